"""A stand-in for GitHub's downloads: source archives and release files.

``<root>/<owner>/<repo>/<commit or tag>.tar.gz`` is a source archive,
``<root>/<owner>/<repo>/releases/<tag>/<file>`` a release file. As on GitHub, the address that
people know answers 302 and another one has the bytes. llama.cpp's archive is made on first request.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from tests.lab import llama_cpp_source
from tests.lab.http_server import Reply, StandIn, json_reply


class GitHub(StandIn):
    """The stand-in; ``root`` is where prepared archives lie."""

    def __init__(self, root: Path | None = None, bind: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(root or llama_cpp_source.sources(), bind, port)
        self._making = threading.Lock()

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = path.strip("/")
        if ".." in name.split("/"):
            return json_reply({"error": "no such path"}, 404, name)
        archive = r"([^/]+/[^/]+)/archive/(?:refs/(?:tags|heads)/)?(.+\.tar\.gz)"
        if found := re.fullmatch(archive, name):
            return Reply(name, 302, headers={"Location": f"/_codeload/{found[1]}/{found[2]}"})
        if found := re.fullmatch(r"([^/]+/[^/]+)/releases/download/([^/]+/[^/]+)", name):
            place = f"/_codeload/{found[1]}/releases/{found[2]}"
            return Reply(name, 302, headers={"Location": place})
        if name.startswith("_codeload/"):
            name = name.removeprefix("_codeload/")
            if name == llama_cpp_source.NAME:
                with self._making:
                    return Reply(name, file=llama_cpp_source.archive())
            if (self.root / name).is_file():
                return Reply(name, file=self.root / name)
        return json_reply({"error": f"no {name}"}, 404, name)
