"""The share of a card's memory that an engine takes by default, where that depends on the model."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.engines.filled_cards import Kept
from deploys.planning.models.shapes import Network
from deploys.planning.placement.memory import GIB, MIB, Card, Layout

# Requests of a graph above which padding takes more.
_LARGE_BATCH = 300


def beside(rows: Sequence[Kept], network: Network, layout: Layout, card: Card) -> float:
    """Return the share for weights and cache that is left beside what is kept, to three digits.

    Kept are 512 MiB, 1.5 for each token of a chunk, 2 for each request of the largest graph, 8 for
    each graph of prefill (1536 for all of them with MLA), and 1 GiB for every eight cards of a
    replica; with data parallel attention, for each request and group of cards, 3 or 4.5; at least
    10 GiB on cards above 60, unless its chunks are smaller than usual.
    """
    row = next(row for row in rows if card.total >= row.gib * GIB)
    largest = row.batches[layout.tensor_parallel >= 4]
    batch = min(largest, layout.sequences or largest)
    prefill = 1536 if network.kv_lora_rank is not None else row.graphs * 8
    kept = (512 + batch * 2 + prefill) * MIB + (layout.chunk or row.chunk) * 3 * MIB // 2
    if layout.data_parallel > 1:
        padding = 9 if batch > _LARGE_BATCH else 6
        kept += batch * layout.data_parallel * padding * MIB // 2
    kept += layout.tensor_parallel * layout.pipeline_parallel * GIB // 8
    if card.total > 60 * GIB and layout.chunk is None:
        kept = max(kept, 10 * GIB)
    return round(1 - kept / card.total, 3)
