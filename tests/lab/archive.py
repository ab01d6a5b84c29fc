"""A mirror of Debian's archive: gives on what this computer's apt gets of it, signatures and all.

Where the archive is comes from the base tree that machines boot from, and how it is reached from
apt's own settings.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from tests.lab import tree
from tests.lab.http_server import Reply, StandIn, json_reply
from tests.lab.process import LabError, run

# Of them there is a new one at any time; all else in an archive keeps its content for a day.
_CHANGES = ("InRelease", "Release", "Release.gpg")


class Archive(StandIn):
    """The mirror; `security` is the archive of security updates, which is another one.

    + root: an empty folder, for what was fetched once
    """

    def __init__(
        self, root: Path, *, security: bool = False, bind: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._upstream = _upstream(security)
        self._fetching: dict[str, threading.Lock] = {}
        super().__init__(root, bind, port)

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = os.path.normpath(path.strip("/"))
        if name.startswith(".."):
            return json_reply({"error": f"no {name}"}, 404, name)
        with self._fetching.setdefault(name, threading.Lock()):
            file = self.root / name
            if (not file.is_file() or file.name in _CHANGES) and not self._fetch(name, file):
                return json_reply({"error": f"no {name}"}, 404, name)
        return Reply(name, file=file)

    def _fetch(self, name: str, file: Path) -> bool:
        file.parent.mkdir(parents=True, exist_ok=True)
        arriving = file.with_name(f"{file.name}.arriving")
        helper = ["/usr/lib/apt/apt-helper", "-oAPT::Sandbox::User=root", "download-file"]
        try:
            run([*helper, f"{self._upstream}/{name}", str(arriving)])
        except LabError:
            return False
        arriving.rename(file)
        return True


def _upstream(security: bool) -> str:
    sources = (tree.base().trees[0] / "etc/apt/sources.list").read_text()
    for url, suite in re.findall(r"^deb (?:\[[^]]*\] )?(\S+) (\S+) ", sources, re.MULTILINE):
        if suite.endswith("-security") == security:
            return str(url).rstrip("/")
    raise LabError(f"the base tree names no archive in its sources.list:\n{sources}")
