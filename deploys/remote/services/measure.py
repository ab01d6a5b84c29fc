"""Measure how fast a model server answers a single request; it takes a few seconds.

    python3 measure.py < service.json      {"url", "model", "task", "context", "floor", "digest",
                                            "file"}

Prints {"first_token_ms", "tokens_per_second", "tokens", "context", "digest", "at"} and writes it to
`file`. Kernels may still be compiled during the first answers: below `floor` tokens per second it
asks again, and the fastest of three answers counts. Where nothing is written, the tokens are those
of texts that are read, and "first_token_ms" is what a short one takes. Exit 1: it could not be
measured; standard error says why.
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
# Texts that are read at once, at most, and letters of each.
_TEXTS, _LETTERS = 64, 2048
_QUESTION = "Count from one to one hundred, in words."


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    try:
        once = _answer if wanted["task"] == "generate" else _reading
        best = once(wanted)
        for _ in range(_TRIES - 1):
            if best["tokens_per_second"] >= (wanted["floor"] or 0):
                break
            best = max(best, once(wanted), key=lambda answer: answer["tokens_per_second"])
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


def _reading(wanted: dict[str, Any]) -> dict[str, Any]:
    """Have texts read, more each time until that takes a while; return the rate of the last.

    No two begin alike, or the server might remember one.
    """
    server = ModelServer(wanted["url"], _PATIENCE)
    # A token is a letter at least.
    length = min(wanted["context"] // 2, _LETTERS)
    started, taken = time.monotonic(), 0.0
    try:
        _read(server, wanted, [_QUESTION])
        short = time.monotonic() - started
        count = 1
        while True:
            begun = time.monotonic()
            texts = [f"{begun} {at} {_QUESTION * length}"[:length] for at in range(count)]
            tokens = _read(server, wanted, texts)
            taken = time.monotonic() - begun
            if taken > _SECONDS / 4 or count >= _TEXTS:
                break
            count *= 4
    except (KeyError, TypeError, ValueError) as error:
        raise RequestFailed(f"it answers with something else: {error!r}") from error
    finally:
        server.close()
    return {
        "first_token_ms": round(short * 1000, 1),
        "tokens_per_second": round(tokens / taken, 2),
        "tokens": tokens,
    }


def _read(server: ModelServer, wanted: dict[str, Any], texts: list[str]) -> int:
    """Have texts read, as the service is asked to; return the tokens that they had."""
    if wanted["task"] == "embed":
        return server.embed(wanted["model"], texts)[1]
    return server.rerank(wanted["model"], _QUESTION, texts)[1]


def _context(wanted: dict[str, Any]) -> int | None:
    """Return how many tokens one request may take, as the server reports it; None if unknown."""
    server = ModelServer(wanted["url"])
    try:
        return server.context(server.models().get(wanted["model"], {}))
    finally:
        server.close()


if __name__ == "__main__":
    raise SystemExit(main())
