"""A stand-in for an engine, where its hits are counted or it has to fail.

    python3 openai_engine.py PORT MODEL

It speaks as much of the OpenAI API as the gateway passes on, and says its numbers at the end of an
answer, as engines do that are told to. /ctl says what it has seen, and sets what it is to do:
`gap` seconds between two chunks, `fail` requests to answer with 503, `stop` to end all answers,
`cache` how full it says that its cache is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PORT, MODEL = int(sys.argv[1]), sys.argv[2]
LOCK = threading.Lock()
STATE: dict[str, Any] = {
    "gap": 0.0,
    "fail": 0,
    "stop": False,
    "running": 0,
    "served": 0,
    "paths": [],
    "users": [],
    "cache": 0.0,
}
# As vLLM writes them.
METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="%s"} %d
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="%s"} 0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="%s"} %f
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="%s"} %d
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="%s"} %d
"""


class Engine(BaseHTTPRequestHandler):
    """One connection of the gateway, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        """Nothing is said."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/ctl":
            with LOCK:
                STATE.update({key: json.loads(value) for key, value in parse_qsl(url.query)})
            self._json(200, STATE)
        elif url.path == "/metrics":
            self._seen()
            numbers = (STATE["running"], STATE["cache"], 7 * STATE["served"], STATE["served"])
            running, cache, read, written = numbers
            self._text(METRICS % (MODEL, running, MODEL, MODEL, cache, MODEL, read, MODEL, written))
        elif url.path == "/v1/models" and "service=" in url.query:
            self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._seen()
            self._json(200, {"reached": self.path})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._seen()
        with LOCK:
            fails = STATE["fail"] > 0
            STATE["fail"] -= fails
        if fails:
            self._json(503, {"error": {"message": "not now"}})
            return
        if not self.path.startswith("/v1/"):
            self._json(200, {"reached": self.path})
            return
        asked = json.loads(body)
        with LOCK:
            STATE["running"] += 1
            STATE["served"] += 1
        try:
            self._answer(int(asked.get("max_tokens") or 10), bool(asked.get("stream")))
        except OSError:
            self.close_connection = True
        finally:
            with LOCK:
                STATE["running"] -= 1

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_GET

    def _seen(self) -> None:
        with LOCK:
            STATE["paths"].append(f"{self.command} {self.path}")
            STATE["users"].append(self.headers.get("x-modelrack-user"))

    def _answer(self, count: int, stream: bool) -> None:
        usage = {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}
        said = 0
        about = {"id": "x", "created": 1, "model": MODEL}
        if not stream:
            time.sleep(STATE["gap"] * count)
            message = {"role": "assistant", "content": f"from {PORT}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
            self._json(200, whole)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        about["object"] = "chat.completion.chunk"
        while said < count and not STATE["stop"]:
            said += 1
            delta = {"content": f"{time.time():.6f} {PORT}"}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            self._chunk(json.dumps({**about, "choices": [choice]}))
            time.sleep(STATE["gap"])
        usage["completion_tokens"] = said
        self._chunk(json.dumps({**about, "choices": [], "usage": usage}))
        self._chunk("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: str) -> None:
        line = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _text(self, text: str) -> None:
        self._whole(200, "text/plain; version=0.0.4", text.encode())

    def _json(self, status: int, content: object) -> None:
        self._whole(status, "application/json", json.dumps(content).encode())

    def _whole(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """As many connections as a gateway opens."""

    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", PORT), Engine).serve_forever()
