"""One card after the other: how fast it copies within itself, from the host and to the next one.

    python - '{"cards": [0, 1], "bytes": 268435456}' < cards_speed.py

It is run by the engine's interpreter as its input, on cards that the engine has most of the memory
of. Prints {"cards": [{"index", "memory", "host", "peer"}]} as its last line, in GB/s; what is
copied within a card is read and written, so it counts twice. "peer" is null for one card alone.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

_ROUNDS = 10


def main() -> int:
    told: dict[str, Any] = json.loads(sys.argv[1])
    # The engine has it; the Python of the machine has not.
    torch: Any = importlib.import_module("torch")
    size = told["bytes"]
    host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    found = []
    for at, card in enumerate(told["cards"]):
        here = torch.empty(size, dtype=torch.uint8, device=f"cuda:{card}")
        speeds: dict[str, Any] = {"index": card, "peer": None}
        # What is copied within a card is read there and written there.
        speeds["memory"] = 2 * size / _seconds(torch, torch.empty_like(here), here) / 1e9
        speeds["host"] = size / _seconds(torch, here, host) / 1e9
        if len(told["cards"]) > 1:
            following = told["cards"][(at + 1) % len(told["cards"])]
            there = torch.empty(size, dtype=torch.uint8, device=f"cuda:{following}")
            speeds["peer"] = size / _seconds(torch, there, here) / 1e9
            here.random_(0, 255)
            there.copy_(here)
            if not bool((there.cpu() == here.cpu()).all()):
                print(f"what GPU {card} sent to GPU {following} arrived otherwise", flush=True)
                return 3
        found.append(speeds)
    print(json.dumps({"cards": found}), flush=True)
    return 0


def _seconds(torch: Any, target: Any, source: Any) -> float:
    """Return the seconds of one copy, the fastest of ten."""
    best = float("inf")
    for _ in range(_ROUNDS):
        _wait(torch)
        begun = time.perf_counter()
        target.copy_(source, non_blocking=True)
        _wait(torch)
        best = min(best, time.perf_counter() - begun)
    return best


def _wait(torch: Any) -> None:
    """Wait until no card copies any more."""
    for card in range(torch.cuda.device_count()):
        torch.cuda.synchronize(card)


if __name__ == "__main__":
    raise SystemExit(main())
