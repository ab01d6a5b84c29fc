"""One card's part of an all-reduce over all cards, run by the engine's interpreter as its input.

    python - '{"rank", "world", "card", "head", "port", "meet"}' < all_reduce.py

Prints {"gigabytes_per_second", "microseconds"} as its last line: the bandwidth of the bus at the
largest size, and how long the smallest takes. A card of null measures between processors, by Gloo.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from datetime import timedelta
from typing import Any

# Bytes; the last is for cards alone.
_SIZES, _LARGEST = (8 << 10, 1 << 20, 64 << 20), 1 << 30


def main() -> int:
    told: dict[str, Any] = json.loads(sys.argv[1])
    # The engine has it; the Python of the machine has not.
    torch: Any = importlib.import_module("torch")
    distributed: Any = importlib.import_module("torch.distributed")
    card = told["card"]
    if card is not None:
        torch.cuda.set_device(card)
    distributed.init_process_group(
        "gloo" if card is None else "nccl",
        init_method=f"tcp://{told['head']}:{told['port']}",
        rank=told["rank"],
        world_size=told["world"],
        timeout=timedelta(seconds=told["meet"]),
    )
    seconds = {}
    sizes = _SIZES if card is None else (*_SIZES, _LARGEST)
    for size in sizes:
        numbers = torch.ones(size // 4, device="cpu" if card is None else f"cuda:{card}")
        rounds = 20 if size < 1 << 24 else 5
        seconds[size] = _measured(torch, distributed, numbers, rounds, card is not None)
        wanted = float(told["world"]) ** (rounds + 1)
        if not all(abs(float(each) / wanted - 1) < 1e-4 for each in (numbers[0], numbers[-1])):
            print(f"the sum is {float(numbers[0])} instead of {wanted}", flush=True)
            return 3
    distributed.barrier()
    distributed.destroy_process_group()
    largest, world = sizes[-1], told["world"]
    speed = 2 * (world - 1) / world * largest / seconds[largest] / 1e9
    figures = {"gigabytes_per_second": speed, "microseconds": seconds[sizes[0]] * 1e6}
    print(json.dumps(figures), flush=True)
    return 0


def _measured(torch: Any, distributed: Any, numbers: Any, rounds: int, cuda: bool) -> float:
    """Return the seconds of one all-reduce."""
    distributed.all_reduce(numbers)
    if cuda:
        torch.cuda.synchronize()
    distributed.barrier()
    begun = time.perf_counter()
    for _ in range(rounds):
        distributed.all_reduce(numbers)
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - begun) / rounds


if __name__ == "__main__":
    raise SystemExit(main())
