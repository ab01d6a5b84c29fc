"""What the stand-ins share: a threaded HTTP/1.1 file server with Range, faults and a request log.

``POST /_lab/faults`` takes one fault or a list of them as JSON, ``DELETE`` ends them all, ``GET``
shows them. ``GET /_lab/requests`` is the log, ``DELETE`` empties it.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.lab.content import IN_CONTENT, Break, Bytes, Content, Piece
from tests.lab.faults import Fault, Faults

if TYPE_CHECKING:
    from typing_extensions import Self

# A second way to every file, where a redirect leads: what a content network is to a real hub.
ELSEWHERE = "/_elsewhere"

# What comes in place of a file, by fault.
PAGES = {
    "page": b"<!DOCTYPE html><html><title>Please log in</title></html>",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"0" * 64
    + b"\nsize 1\n",
}


@dataclass
class Reply:
    """An answer: ``body``, or the content of ``file``. ``name`` is what fault globs match."""

    name: str = ""
    status: int = 200
    body: bytes = b""
    file: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """One line of the request log; ``bytes`` is the size of the body that was sent."""

    method: str
    path: str
    name: str
    range: str | None
    authorized: bool
    status: int = 0
    bytes: int = 0


def json_reply(value: Any, status: int = 200, name: str = "", **headers: str) -> Reply:
    body = json.dumps(value).encode()
    return Reply(name, status, body, headers={"Content-Type": "application/json", **headers})


class StandIn:
    """A server in threads of this process: ``with Hub(root) as hub: ... hub.url``."""

    def __init__(self, root: Path, bind: str = "127.0.0.1", port: int = 0) -> None:
        self.root = root
        self.faults = Faults()
        self.requests: list[Request] = []
        self._servers: list[_Server] = []
        self.url = self.listen(bind, port)

    def listen(self, bind: str, port: int = 0) -> str:
        """Serve on one more address (a lab's ``host``, say) and return the URL there."""
        handler = type("Handler", (_Handler,), {"standin": self})
        server = _Server((bind, port), handler)
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://{bind}:{server.server_address[1]}"

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        """The answer to a GET or HEAD when nothing is wrong."""
        raise NotImplementedError

    def gate(self, reply: Reply, authorization: str) -> Reply | None:
        """What somebody gets instead who may not have ``reply``."""
        return None

    def changed(self, reply: Reply) -> None:
        """Alter the headers of ``reply`` to those of other content; for the fault ``changed``."""
        reply.headers["ETag"] = '"changed"'

    def close(self) -> None:
        for server in self._servers:
            server.stopping.set()
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.stopping = threading.Event()
        super().__init__(*arguments)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    standin: ClassVar[StandIn]
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed; the request log has it."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if path.startswith("/_lab/"):
            self._send(self._control(path, b""))
            return
        elsewhere = path.startswith(f"{ELSEWHERE}/")
        path = path.removeprefix(ELSEWHERE) if elsewhere else path
        reply = self.standin.answer(path, dict(parse_qsl(parts.query)))
        self.log = Request(
            self.command,
            self.path,
            reply.name,
            self.headers.get("Range"),
            "Authorization" in self.headers,
        )
        self.standin.requests.append(self.log)
        gate = self.standin.gate(reply, self.headers.get("Authorization", ""))
        self._send(gate or self._instead(reply.name, elsewhere) or reply)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._send(self._control(self.path, body))

    do_DELETE = do_POST

    def _control(self, path: str, body: bytes) -> Reply:
        faults, requests = self.standin.faults, self.standin.requests
        try:
            if path == "/_lab/faults":
                if self.command == "DELETE":
                    faults.clear()
                wanted = json.loads(body or b"[]") if self.command == "POST" else []
                for fault in wanted if isinstance(wanted, list) else [wanted]:
                    faults.add(**fault)
                return json_reply(faults.to_json())
            if path == "/_lab/requests":
                if self.command == "DELETE":
                    requests.clear()
                return json_reply([asdict(request) for request in requests])
        except (TypeError, ValueError) as error:
            return json_reply({"error": str(error)}, 400)
        return json_reply({"error": f"no {path}"}, 404)

    def _instead(self, name: str, elsewhere: bool) -> Reply | None:
        """The fault that is due in place of an answer."""
        take = self.standin.faults.take
        if fault := take("status", name):
            reply = json_reply({"error": "on purpose", "Code": fault.code}, fault.code, name)
            if fault.seconds is not None:
                reply.headers["Retry-After"] = f"{fault.seconds:g}"
            return reply
        for kind, page in PAGES.items():
            if take(kind, name):
                return Reply(name, body=page)
        if not elsewhere and (fault := take("redirect", name)):
            return Reply(name, 302, headers={"Location": fault.to or f"{ELSEWHERE}{self.path}"})
        return None

    def _send(self, reply: Reply) -> None:
        if reply.file is None:
            headers = {**reply.headers, "Content-Length": str(len(reply.body))}
            self._end(reply.status, headers, iter([Bytes(reply.body)]))
            return
        take = self.standin.faults.take
        due: dict[str, Fault] = {}
        if self.command != "HEAD":
            due = {kind: fault for kind in IN_CONTENT if (fault := take(kind, reply.name))}
        if "changed" in due:
            self.standin.changed(reply)
        with reply.file.open("rb") as file:
            content = Content(file.fileno(), due)
            status, headers, pieces = content.select(self.headers.get("Range"))
            self._end(status, {**reply.headers, **headers}, pieces)

    def _end(self, status: int, headers: dict[str, str], pieces: Iterator[Piece]) -> None:
        """Send a status line, headers and a body; a body may break off on purpose."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        log = self.__dict__.get("log") or Request(self.command, self.path, "", None, False)
        log.status = status
        if self.command == "HEAD":
            return
        for piece in pieces:
            if isinstance(piece, Break):
                self._break(piece)
                return
            for count in piece.send(self.connection):
                log.bytes += count

    def _break(self, how: Break) -> None:
        self.close_connection = True
        if how.stall:
            self.server.stopping.wait(how.stall)
        if how.reset:
            # Closing a socket that lingers for no time sends RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
