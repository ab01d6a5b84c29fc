"""Stand-ins for the tests of deploys/remote: a hub with faults, GGUF shards, their merge."""

from __future__ import annotations

import hashlib
import http.server
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ALIGN = 32


@dataclass
class Hub:
    """Files by path, what was asked, and what goes wrong."""

    files: dict[str, bytes]
    ranges: bool = True
    port: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)  # path, first byte
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    rate: int = 0  # bytes a second; 0: as fast as it goes
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answered first
    cut: list[int] = field(default_factory=list)  # reset after so many bytes, once each
    stall: list[int] = field(default_factory=list)  # silence after so many bytes, once each
    corrupt: dict[str, int] = field(default_factory=dict)  # answers of a path still to be spoilt
    corrupt_at: int = -1
    redirect: str = ""  # where to send everybody

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer(self, hub)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # clients that are killed

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def path_of(target: str) -> str:
    """The repository path in a request, whichever hub's form it has."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    if "FilePath" in query:
        return query["FilePath"][0]
    path = unquote(parts.path).lstrip("/")
    return path.split("/resolve/", 1)[1].split("/", 1)[1] if "/resolve/" in path else path


def answer(request: http.server.BaseHTTPRequestHandler, hub: Hub) -> None:
    path = path_of(request.path)
    wanted = request.headers.get("Range", "") if hub.ranges else ""
    first, last = 0, None
    if wanted:
        first_text, last_text = wanted.removeprefix("bytes=").split("-")
        first, last = int(first_text), int(last_text) if last_text else None
    hub.asked.append((path, first))
    hub.headers.append(dict(request.headers.items()))
    if hub.redirect:
        return reply(request, 302, {"Location": hub.redirect + request.path})
    if hub.statuses:
        return reply(request, *hub.statuses.pop(0))
    if path not in hub.files:
        return reply(request, 404, {})
    content = hub.files[path]
    if hub.corrupt.get(path, 0) > 0:
        hub.corrupt[path] -= 1
        spoilt = bytearray(content)
        spoilt[hub.corrupt_at] ^= 1
        content = bytes(spoilt)
    if wanted and first >= len(content):
        return reply(request, 416, {"Content-Range": f"bytes */{len(content)}"})
    stop = len(content) if last is None else min(last + 1, len(content))
    request.send_response(206 if wanted else 200)
    if wanted:
        request.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(content)}")
    request.send_header("Content-Length", str(stop - first))
    request.end_headers()
    send(request, hub, content[first:stop])


def reply(
    request: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, str]
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": "0", **headers}.items():
        request.send_header(name, value)
    request.end_headers()


def send(request: http.server.BaseHTTPRequestHandler, hub: Hub, content: bytes) -> None:
    limit = len(content)
    fault = ""
    for name, faults in (("cut", hub.cut), ("stall", hub.stall)):
        if not fault and faults and faults[0] < len(content):
            limit, fault = faults.pop(0), name
    step = max(1, hub.rate // 100) if hub.rate else 1 << 20
    for start in range(0, limit, step):
        piece = content[start : min(start + step, limit)]
        request.wfile.write(piece)
        hub.sent += len(piece)
        if hub.rate:
            time.sleep(len(piece) / hub.rate)
    if fault == "stall":
        time.sleep(1.5)
    if fault:
        request.wfile.flush()
        linger = struct.pack("ii", 1, 0)  # a reset, not an orderly end
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.close_connection = True
        request.connection.close()


# GGUF, written by hand so that nothing is taken from the code under test.


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)


def gguf(pairs: Sequence[bytes], tensors: Sequence[tuple[str, bytes]]) -> bytes:
    """A GGUF file whose tensors are rows of bytes (type I8 = 24)."""
    infos, data = b"", b""
    for name, content in tensors:
        infos += text(name) + struct.pack("<IQIQ", 1, len(content), 24, len(data))
        data += pad(content)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    return pad(head) + data


MODEL = [
    pair("general.architecture", 8, text("llama")),
    pair("llama.block_count", 4, struct.pack("<I", 2)),
    pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("bc") + text("")),
    pair("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + struct.pack("<3f", 0, 1, 2)),
]


def split_pairs(number: int, count: int, total: int) -> list[bytes]:
    return [
        pair("split.no", 2, struct.pack("<H", number)),
        pair("split.count", 2, struct.pack("<H", count)),
        pair("split.tensors.count", 5, struct.pack("<i", total)),
    ]


def split(groups: Sequence[Sequence[tuple[str, bytes]]], prefix: str = "tiny") -> dict[str, bytes]:
    """The shards of a model, one a group of tensors, as llama-gguf-split names and writes them."""
    total = sum(len(group) for group in groups)
    shards = {}
    for number, group in enumerate(groups):
        pairs = [*(MODEL if number == 0 else []), *split_pairs(number, len(groups), total)]
        shards[f"{prefix}-{number + 1:05d}-of-{len(groups):05d}.gguf"] = gguf(pairs, group)
    return shards


def merged(groups: Sequence[Sequence[tuple[str, bytes]]]) -> bytes:
    """What llama-gguf-split --merge makes of `split(groups)`: split.count goes to the end as 0."""
    total = sum(len(group) for group in groups)
    no, _, tensors = split_pairs(0, len(groups), total)
    zero = pair("split.count", 2, struct.pack("<H", 0))
    return gguf([*MODEL, no, tensors, zero], [tensor for group in groups for tensor in group])


def listing(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]


def source(hub: Hub, kind: str = "modelscope") -> dict[str, str]:
    return {"kind": kind, "endpoint": hub.url, "repository": "lab/tiny", "revision": "r1"}


def request(directory: Path, files: dict[str, bytes], *hubs: Hub, **more: Any) -> dict[str, Any]:
    """A fetch spec as the operator sends it."""
    return {
        "model": "tiny",
        "directory": str(directory),
        "sources": [source(hub) for hub in hubs],
        "files": listing(files),
        "merge": None,
        "owner": None,
        **more,
    }
