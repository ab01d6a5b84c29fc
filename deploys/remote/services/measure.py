"""Measure how fast a model server answers a single request; it takes a few seconds.

    python3 measure.py < service.json      {"url", "model", "context", "floor", "digest", "file"}

Prints {"first_token_ms", "tokens_per_second", "tokens", "context", "digest", "at"} and writes it to
`file`. Kernels may still be compiled during the first answers: below `floor` tokens per second it
asks again, and the fastest of three answers counts. Exit 1: it could not be measured; standard
error says why.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..lib import durable
from .model_server import ModelServer, RequestFailed

# Tokens that are asked for, and seconds after the first one at which the rest is given up.
_TOKENS = 256
_SECONDS = 4
_TRIES = 3
# Seconds; Ollama may have to load the model again, after it gave its place to another.
_PATIENCE = 300
_QUESTION = "Count from one to one hundred, in words."


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    try:
        best = _answer(wanted)
        for _ in range(_TRIES - 1):
            if best["tokens_per_second"] >= (wanted["floor"] or 0):
                break
            best = max(best, _answer(wanted), key=lambda answer: answer["tokens_per_second"])
        figures = {**best, "context": _context(wanted)}
    except RequestFailed as error:
        print(error, file=sys.stderr)
        return 1
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    figures.update(digest=wanted["digest"], at=now)
    file = Path(wanted["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(file, json.dumps(figures, indent=2).encode() + b"\n")
    print(json.dumps(figures))
    return 0


def _answer(wanted: dict[str, Any]) -> dict[str, Any]:
    """Request one answer; return the time to its first token and the rate of the others."""
    server = ModelServer(wanted["url"], _PATIENCE)
    asked = time.monotonic()
    first = last = None
    pieces = 0
    try:
        for said, counted in server.stream(
            wanted["model"], _QUESTION, min(_TOKENS, wanted["context"] // 2)
        ):
            now = time.monotonic()
            if said:
                pieces += 1
                last = (now, counted or pieces)
                first = first or last
            elif last and counted:
                last = (last[0], counted)
            if first and now - first[0] > _SECONDS:
                break
    finally:
        server.close()
    if first is None or last is None:
        raise RequestFailed("it answers a question with nothing")
    # An answer that comes at once after a pause says no more than how long all of it took.
    at_once = last[0] - first[0] < first[0] - asked
    begun, before = (asked, 0) if at_once else first
    rate = (last[1] - before) / (last[0] - begun)
    return {
        "first_token_ms": round((first[0] - asked) * 1000, 1),
        "tokens_per_second": round(rate, 2),
        "tokens": last[1],
    }


def _context(wanted: dict[str, Any]) -> int | None:
    """Return how many tokens one request may take, as the server reports it; None if unknown."""
    server = ModelServer(wanted["url"])
    try:
        return server.context(server.models().get(wanted["model"], {}))
    finally:
        server.close()


if __name__ == "__main__":
    raise SystemExit(main())
