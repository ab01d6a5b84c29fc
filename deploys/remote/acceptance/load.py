"""Keep services busy for a while, and print what became of it and what the cards said meanwhile.

    python3 load.py < wanted.json      {"seconds", "services": [{"url", "served", "parallel"}]}

Prints {"asked", "failed", "error", "tokens", "samples": [{"at", "cards"}]}. Each of the requests
at once is asked again as soon as it was answered; no two prompts begin alike.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from typing import Any

from ..services.model_server import ModelServer, RequestFailed
from . import cards

# Seconds between two looks at the cards, and that an answer may take beyond the end.
_LOOK_EVERY, _PATIENCE = 2.0, 300
_TOKENS = 64
_WORDS = ("rack", "river", "seven", "copper", "window", "slow", "north", "paper", "engine", "tea")


class Load:
    """Requests to all services until a moment."""

    def __init__(self, until: float) -> None:
        self._until, self._lock = until, threading.Lock()
        self.asked = self.failed = self.tokens = 0
        self.error = ""

    def ask(self, service: dict[str, Any]) -> None:
        """Ask one question after the other."""
        while time.monotonic() < self._until:
            words = " ".join(random.choices(_WORDS, k=40))
            server = ModelServer(service["url"], _PATIENCE)
            count = 0
            try:
                for said, counted in server.stream(service["served"], words, _TOKENS):
                    count = counted or count + bool(said)
                error = "" if count else "it answers with nothing"
            except RequestFailed as failure:
                error = str(failure) or "it did not answer"
            finally:
                server.close()
            with self._lock:
                self.asked += 1
                self.tokens += count
                if error:
                    self.failed += 1
                    self.error = self.error or error
            if error:
                time.sleep(1)


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    begun = time.monotonic()
    load = Load(begun + wanted["seconds"])
    threads = [
        threading.Thread(target=load.ask, args=(service,), daemon=True)
        for service in wanted["services"]
        for _ in range(service["parallel"])
    ]
    for thread in threads:
        thread.start()
    samples = []
    while time.monotonic() < begun + wanted["seconds"]:
        time.sleep(min(_LOOK_EVERY, wanted["seconds"]))
        found, _ = cards.seen()
        samples.append({"at": round(time.monotonic() - begun, 1), "cards": found})
    for thread in threads:
        thread.join(_PATIENCE)
    told = {name: getattr(load, name) for name in ("asked", "failed", "error", "tokens")}
    print(json.dumps({**told, "samples": samples}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
