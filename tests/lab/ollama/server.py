"""What Ollama answers over HTTP, its own API and that of OpenAI.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

    from .runners import Runners

VERSION = "0.33.1"


class Server:
    """``with Server(Store(models)) as ollama: ... ollama.url``; without runners nothing is loaded.

    Like Ollama, it reads its list of models when it starts, and afterwards knows of changes that it
    made itself.
    """

    def __init__(
        self,
        store: Store,
        runners: Runners | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
        version: str = VERSION,
    ) -> None:
        self.store, self.runners, self.version = store, runners, version
        self.listed = store.tags()
        self._server = ThreadingHTTPServer(address, _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://{address[0]}:{self._server.server_address[1]}"

    def run(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def get(self, path: str) -> Any:
        """The answer to a GET, None where there is none."""
        if path == "/api/tags":
            return {"models": self.listed}
        if path == "/v1/models":
            names = [each["name"] for each in self.listed]
            data = [{"id": name, "object": "model", "owned_by": "library"} for name in names]
            return {"object": "list", "data": data}
        if path == "/api/version":
            return {"version": self.version}
        if path == "/api/ps" and self.runners:
            return {"models": self.runners.shown()}
        return None

    def post(self, path: str, asked: dict[str, Any]) -> Any:
        """The answer to a POST, None where there is none; KeyError for an unknown model."""
        name = str(asked.get("model", ""))
        if path == "/api/show":
            return self.store.show(name)
        if path == "/api/create":
            (weights,) = asked["files"].values()
            self.store.create(name, weights, asked.get("parameters", {}))
            self.listed = self.store.tags()
            return {"status": "success"}
        if self.runners is None:
            return None
        runner = self.runners.of(self._full(name), asked.get("options", {}))
        if path == "/api/generate" and not asked.get("prompt"):
            return {"model": name, "response": "", "done": True, "done_reason": "load"}
        if path in ("/api/chat", "/v1/chat/completions"):
            fields = ("messages", "max_tokens", "temperature")
            question = {key: asked[key] for key in fields if key in asked}
            if path == "/v1/chat/completions" and asked.get("stream"):
                more = {"stream": True, "stream_options": asked.get("stream_options") or {}}
                return runner.stream("/v1/chat/completions", {**question, **more})
            reply = runner.ask("/v1/chat/completions", question)
            if path == "/v1/chat/completions":
                return {**reply, "model": name}
            if asked.get("stream", True):
                raise ValueError("the stand-in answers /api/chat in one piece: set stream to false")
            return {"model": name, "message": reply["choices"][0]["message"], "done": True}
        return None

    def delete(self, name: str) -> None:
        self.store.delete(name)
        self.listed = self.store.tags()

    def _full(self, name: str) -> str:
        return name if ":" in name else f"{name}:latest"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/":
                self._send(200, b"Ollama is running")
            else:
                self._act(lambda: server.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/api/blobs/"):
                wanted = urllib.parse.unquote(self.path.rpartition("/")[2])
                self._act(lambda: {"digest": server.store.add(body)}, 201, wanted)
            else:
                self._act(lambda: server.post(self.path, json.loads(body)))

        def do_DELETE(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._act(lambda: server.delete(asked["model"]) or {})

        def _act(self, answer: Any, status: int = 200, digest: str = "") -> None:
            try:
                value = answer()
            except KeyError as error:
                self._error(404, f"model {error} not found")
            except (OSError, ValueError, RuntimeError) as error:
                self._error(500, str(error))
            else:
                if value is None:
                    self._error(404, f"no {self.path}")
                elif isinstance(value, Iterator):
                    self._stream(value)
                elif digest and value["digest"] != digest:
                    self._error(400, "digest mismatch")
                else:
                    self._send(status, json.dumps(value, default=str).encode())

        def _stream(self, pieces: Iterator[bytes]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        def _error(self, status: int, text: str) -> None:
            print(f"{self.command} {self.path}: {text}", flush=True)
            self._send(status, json.dumps({"error": text}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
