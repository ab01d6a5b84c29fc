"""Who is told of alerts: robots of DingTalk, Feishu and WeCom, a program, and a mail server.

They answer as the real ones are documented to: 200 in any case, with a code that says whether a
message was taken, and a signature that is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SEC-of-the-lab"
# Bytes of a Markdown message that WeCom takes, and seconds by which clocks may differ.
_MOST, _APART = 4096, 3600


class Told:
    """A server for all of them; ``taken`` has each message, by the form it came in."""

    def __init__(self, bind: str) -> None:
        self.taken: dict[str, list[Any]] = {}
        self.refused: list[str] = []
        self._before = 0
        told = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                """Nothing is said."""

            def do_POST(self) -> None:
                url = urlsplit(self.path)
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                form = url.path.strip("/")
                answer = told.take(form, body, parse_qs(url.query))
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer((bind, 0), Handler)
        self.url = f"http://{bind}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, form: str, body: dict[str, Any], query: dict[str, list[str]]) -> dict[str, Any]:
        """Take a message, or say why not."""
        problem = {
            "alertmanager": lambda: "" if body["version"] == "4" else "another version",
            "dingtalk": lambda: _dingtalk(body, query),
            "feishu": lambda: _feishu(body),
            "wecom": lambda: _wecom(body),
        }[form]()
        if problem:
            self.refused.append(f"{form}: {problem}")
            return {"errcode": 310000, "code": 19021, "errmsg": problem, "msg": problem}
        self.taken.setdefault(form, []).append(body)
        return {"errcode": 0, "errmsg": "ok"} if form != "feishu" else {"code": 0, "msg": "success"}

    def begin(self) -> None:
        """What was told until now is not looked at any more."""
        self._before = len(self.taken.get("alertmanager", ()))

    def of(self, name: str, status: str, *, ever: bool = False) -> list[dict[str, Any]]:
        """The alerts of one name that are firing, or over ("resolved").

        + ever: also those from before `begin`
        """
        messages = self.taken.get("alertmanager", [])[0 if ever else self._before :]
        alerts = [alert for message in messages for alert in message["alerts"]]
        return [
            alert
            for alert in alerts
            if (alert["labels"]["alertname"], alert["status"]) == (name, status)
        ]

    def wait(self, name: str, status: str, seconds: float = 240) -> list[dict[str, Any]]:
        """Those alerts, once there are any."""
        until(
            lambda: bool(self.of(name, status)), f"nobody is told that {name} is {status}", seconds
        )
        return self.of(name, status)


def until(reached: Callable[[], bool], otherwise: str, seconds: float = 240) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)


def _dingtalk(body: dict[str, Any], query: dict[str, list[str]]) -> str:
    stamp, sign = query["timestamp"][0], query["sign"][0]
    made = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
    if abs(int(stamp) / 1000 - time.time()) > _APART or base64.b64decode(sign) != made:
        return "sign not match"
    return "" if body["msgtype"] == "markdown" and body["markdown"]["text"] else "no text"


def _feishu(body: dict[str, Any]) -> str:
    made = hmac.new(f"{body['timestamp']}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
    if abs(int(body["timestamp"]) - time.time()) > _APART or base64.b64decode(body["sign"]) != made:
        return "sign match fail or timestamp is not within one hour from current time"
    return "" if body["msg_type"] == "text" and body["content"]["text"] else "no text"


def _wecom(body: dict[str, Any]) -> str:
    content = body["markdown"]["content"] if body["msgtype"] == "markdown" else ""
    return "" if 0 < len(content.encode()) <= _MOST else "content exceed max length"
