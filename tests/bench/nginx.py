"""nginx as a model hub: ModelScope's addresses on static files, as a plain process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploys.remote.lib.content import sha256_of
from tests.temporary import DIES_WITH_US

if TYPE_CHECKING:
    from typing_extensions import Self

MODEL = "bench/tiny"
_CONFIGURATION = """\
daemon off;
{user}
pid {work}/nginx.pid;
error_log {work}/nginx.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port};
    root {work}/root/{model};
    location = /api/v1/models/{model}/repo/files {{
      default_type application/json;
      alias {work}/listing.json;
    }}
    location = /api/v1/models/{model}/repo {{ try_files /$arg_FilePath =404; }}
  }}
}}
"""


class ServerError(Exception):
    """The bench cannot go on."""


class Nginx:
    """Serves the model in ``folder``, inside ``with``."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.folder = work / "root" / MODEL
        self.listing: list[dict[str, Any]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def address(self, path: str) -> str:
        return f"{self.url}/api/v1/models/{MODEL}/repo?Revision=master&FilePath={path}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file["size"] for file in self.listing)

    def __enter__(self) -> Self:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not program:
            raise ServerError("nginx is missing: apt-get install nginx")
        self._publish()
        configuration = self._work / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                # Root's nginx would read the files as somebody who may not.
                user="user root;" if os.geteuid() == 0 else "",
                work=self._work,
                port=self._port,
                model=MODEL,
            )
        )
        self._process = subprocess.Popen(
            [
                *DIES_WITH_US,
                *(program, "-c", str(configuration), "-e", str(self._work / "nginx.log")),
            ]
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        self.__exit__()
        raise ServerError(f"nginx does not answer: {(self._work / 'nginx.log').read_text()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _publish(self) -> None:
        """List the files with size and sha256, as a hub does."""
        for path in sorted(self.folder.iterdir()):
            digest, size = sha256_of(path), path.stat().st_size
            self.listing.append({"path": path.name, "size": size, "sha256": digest})
        files = [
            {
                "Path": file["path"],
                "Name": file["path"],
                "Type": "blob",
                "Size": file["size"],
                "Sha256": file["sha256"],
                "Revision": "master",
            }
            for file in self.listing
        ]
        answer = {"Code": 200, "Success": True, "Data": {"Files": files}}
        (self._work / "listing.json").write_text(json.dumps(answer))
