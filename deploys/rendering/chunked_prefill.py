"""The size of prefill chunks on a CPU, so that one long prompt does not stall other requests."""

from __future__ import annotations

from deploys.planning.plan import ServicePlan

# llama-server and vLLM by themselves take 2048 tokens. With 1.5 billion weights on two cores, and
# on one, everybody else waits 29 s and 26 s for that. Pieces of 256 make it 5 s and 4 s, and the
# prompt itself takes 2 % longer, and as long as before: `make bench-turns`.
_PIECE = 256


def chunk(service: ServicePlan) -> int | None:
    """Return the tokens per chunk.

    None leaves it to the engine, as on GPUs, which read 2048 tokens in a second or two.
    """
    # Where no answer is written, nobody waits for its next token; an encoder's text cannot be cut.
    written = service.task == "generate"
    shared = written and service.parallel > 1 and not service.placement.cards
    if not shared or service.performance == "throughput":
        return None
    return max(_PIECE, service.parallel)
