"""How many users a service carries, each of whom gets so many tokens a second.

What is expected of a step in which each of them gets a token, as floors.py has it for one; with
many, more of the experts are read, the caches of all, and the arithmetic takes its time, too. A
user is somebody who is being answered; who reads or types is none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.model import Model
from deploys.planning.placement import floors
from deploys.planning.placement.choice import Placement

# Tokens a second of each: as fast as one reads, and as one skims.
RATES = (10, 25)
# Tokens of each in the cache.
LENGTH = 2048

# Dense arithmetic in 16 bits with sums in 32, in TFLOPS. Source: NVIDIA's and AMD's data sheets;
# GeForce boards sum at half the rate.
_TERAFLOPS = {
    **{"V100": 125, "V100-16": 125, "V100S": 130},
    **{"A100": 312, "A100-40": 312, "A100 PCIe": 312, "A100 PCIe-40": 312},
    **{"A800": 312, "A800 PCIe": 312, "RTX 3090": 71, "RTX A6000": 155},
    **{"RTX 4090": 165, "RTX 4090 D": 147, "RTX 6000 Ada": 364, "L20": 120, "L40S": 362},
    **{"H20": 148, "H20-141": 148, "H100": 989, "H100 PCIe": 756, "H100 NVL": 835},
    **{"H800": 989, "H800 PCIe": 756, "H200": 989, "H200 NVL": 835},
    **{"RTX 5090": 210, "B200": 2250, "MI300X": 1307},
}
# Of that, what is reached. One H200 with vLLM 0.32 and Qwen2.5-32B AWQ gave each of 64 users 56
# tokens a second (here 59), and each of 256 30 (here 28), see tests/gpu/results.
_REACHED = 0.9


def users(
    model: Model, size: int, placement: Placement, gpu: Accelerator | None
) -> Mapping[int, int] | None:
    """Return how many users get each rate, or None where that is not known.

    They are no more than are admitted, and than the cache has room for.
    """
    if gpu is None or gpu.name not in _TERAFLOPS or placement.refusals:
        return None
    if not isinstance(ENGINES[placement.engine].takes, FillsCards) or not placement.groups:
        return None
    network = model.network
    arithmetic = _REACHED * _TERAFLOPS[gpu.name] * 1e12
    active = 2 * (network.active_parameters or network.parameters)
    a_token = cache_bytes(model, placement.kv_cache)
    copies, stages = placement.replicas, placement.pipeline_parallel
    # Cards that hold the same read the same.
    holding = placement.tensor_parallel * a_token / max(1, placement.ledger.kv_bytes)

    def seconds(count: int) -> float:
        # Each copy answers its share, and each stage of a pipeline a part of that at a time.
        at_once = max(1.0, count / copies / stages)
        step = floors.token_seconds(model, size, gpu, placement, tokens=at_once)
        cache = (at_once - 1) * LENGTH * a_token / holding
        step += cache / (floors.EFFICIENCY * gpu.bandwidth)
        return step + active * at_once / (arithmetic * placement.tensor_parallel)

    most = min(placement.parallel, placement.ledger.kv_tokens // LENGTH)
    counts = range(1, most + 1)
    return {
        rate: _rounded(bisect_left(counts, 1 / rate, key=lambda n: seconds(n) + 1e-12))
        for rate in RATES
    }


def _rounded(count: int) -> int:
    """Return a count in two digits, rounded down."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return count // step * step
