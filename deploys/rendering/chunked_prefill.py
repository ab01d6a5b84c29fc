"""How much of one prompt a processor reads before the other requests get their next token."""

from __future__ import annotations

from deploys.planning.plan import ServicePlan

# llama-server and vLLM by themselves take 2048 tokens. With 1.5 billion weights on two cores, and
# on one, everybody else waits 29 s and 26 s for that. Pieces of 256 make it 5 s and 4 s, and the
# prompt itself takes 2 % longer, and as long as before: `make bench-turns`.
_PIECE = 256


def chunk(service: ServicePlan) -> int | None:
    """Tokens. None leaves it to the engine, as on cards, which read the same in a second or two."""
    shared = service.parallel > 1 and not service.placement.cards
    if not shared or service.performance == "throughput":
        return None
    return max(_PIECE, service.parallel)
