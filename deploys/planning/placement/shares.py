"""The share of a card's memory that an engine takes by default, where that depends on the model."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.engines.base import Kept
from deploys.planning.models.shapes import Network
from deploys.planning.placement.memory import GIB, MIB, Card


def beside(
    rows: Sequence[Kept], network: Network, tensor_parallel: int, pipeline_parallel: int, card: Card
) -> float:
    """Return the share for weights and cache that is left beside what is kept, to three digits.

    Kept are 512 MiB, 1.5 for each token of a chunk, 2 for each request of the largest graph, 8 for
    each graph of prefill (1536 for all of them with MLA), and 1 GiB for every eight cards of a
    replica; at least 10 GiB on cards above 60.
    """
    row = next(row for row in rows if card.total >= row.gib * GIB)
    batch = row.batches[tensor_parallel >= 4]
    prefill = 1536 if network.kv_lora_rank is not None else row.graphs * 8
    kept = (512 + batch * 2 + prefill) * MIB + row.chunk * 3 * MIB // 2
    kept += tensor_parallel * pipeline_parallel * GIB // 8
    if card.total > 60 * GIB:
        kept = max(kept, 10 * GIB)
    return round(1 - kept / card.total, 3)
