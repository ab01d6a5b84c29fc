"""An engine that streams answers as fast as it is told to, for benches: no model, little work.

    python -m tests.bench.streaming_engine PORT MODEL

Each chunk says when it was sent, on the clock that all processes of a computer share. A request for
/gap/SECONDS sets how long it waits between two chunks.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Engine(asyncio.Protocol):
    """One connection, kept alive; its requests come one after the other."""

    gap = 0.0
    model = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        self.answering: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self.answering:
            self.answering.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(named.get("content-length", 0))
        if len(rest) < length:
            return
        self.received = rest[length:]
        method, path, _ = lines[0].split()
        if method == "POST":
            self.answering = asyncio.ensure_future(self._stream(json.loads(rest[:length])))
            return
        if path.startswith("/gap/"):
            Engine.gap = float(path.removeprefix("/gap/"))
        body = json.dumps({"object": "list", "data": [{"id": self.model, "object": "model"}]})
        head_of = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        )
        self.transport.write(f"{head_of}\r\n\r\n{body}".encode())

    async def _stream(self, asked: dict[str, int]) -> None:
        self.transport.write(_HEAD)
        for _ in range(asked["max_tokens"]):
            self._chunk(f'"choices":[{{"index":0,"delta":{{"content":"{time.monotonic_ns()} "}}}}]')
            await asyncio.sleep(self.gap)
        usage = json.dumps({"prompt_tokens": 7, "completion_tokens": asked["max_tokens"]})
        self._chunk(f'"choices":[],"usage":{usage}')
        self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _chunk(self, rest: str) -> None:
        about = f'"id":"x","object":"chat.completion.chunk","created":1,"model":"{self.model}"'
        line = f"data: {{{about},{rest}}}\n\n".encode()
        self.transport.write(b"%x\r\n%s\r\n" % (len(line), line))


async def main() -> None:
    """Serve until the end."""
    Engine.model = sys.argv[2]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
