"""Take alerts from Alertmanager, and post them to groups and programs in the forms that they read.

    modelrack.pyz monitoring notify SETTINGS
        {"port": ..., "webhooks": [{"url": ..., "form": ..., "secret": ... | null}]}

POST /0 goes to the first of them. What one does not take is answered with 502, so that
Alertmanager tries it again.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from . import messages

# Seconds that another side may take; Alertmanager waits longer.
_PATIENCE = 8
# Bytes of what is told, and of an answer.
_MOST = 1 << 20


def run(settings: dict[str, Any], stop: Event) -> int:
    """Serve until told to stop."""
    webhooks: list[dict[str, Any]] = settings["webhooks"]

    class Received(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Write nothing: what goes wrong is said where it does."""

        def do_GET(self) -> None:
            self._reply(200)

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            name = self.path.strip("/")
            if not name.isdecimal() or int(name) >= len(webhooks) or length > _MOST:
                self._reply(404)
                return
            problem = _post(webhooks[int(name)], json.loads(self.rfile.read(length)))
            if problem:
                # Not its address, which is a secret.
                print(f"webhook {name} takes no alert: {problem}", file=sys.stderr, flush=True)
            self._reply(502 if problem else 200)

        def _reply(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", settings["port"]), Received)
    Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    server.shutdown()
    return 0


def _post(webhook: dict[str, Any], told: dict[str, Any]) -> str:
    """Post what is told, and return why it was not taken."""
    form = webhook["form"]
    try:
        url, body = messages.request(form, webhook["url"], webhook["secret"], told, time.time())
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return messages.refusal(form, answer.read(_MOST))
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        return f"{type(error).__name__}: {reason or 'see what it was told'}"
