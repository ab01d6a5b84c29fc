"""The ledger: what each purpose takes of every card and of the host, in bytes.

Engines that fill a card (vLLM, SGLang) take a share of it and keep the cache in what the rest
leaves; how layers are dealt to the cards of llama.cpp is in offload.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploys.planning.model import Model
from deploys.planning.network import Parts, growing, kv_bytes, latent_weights, parts, request_bytes
from deploys.planning.profile import KvCache, Performance

MIB = 1 << 20
GIB = 1 << 30

# What CUDA programs see is less than nvidia-smi's total. Seen: 143771 and 143155 MiB on an H200,
# 24564 and 24064 on an RTX 4090, 46068 and 45465 on an L40S.
_DRIVER, _DRIVER_LARGE = 500 * MIB, 620 * MIB
# A CUDA context and the libraries' workspaces, per process and card. Together with the logits, the
# feed-forward part and MLA below it explains what vLLM 0.24 left on one H200 beside weights and
# cache (tests/gpu/results): 2.5 GiB with Qwen2.5-32B AWQ, 6.9 GiB with 20 layers of DeepSeek-R1
# AWQ, both eager.
_CONTEXT = 512 * MIB
# CUDA graphs of the same two, as vLLM estimated them before it took its cache, and as runs without
# them lack: 0.8 to 1.0 GiB, 4.2 to 4.6. That what experts add is cut as they are, and that cards
# below 70 GiB, where fewer sizes are captured, need half, is not confirmed.
_GRAPHS, _GRAPHS_EXPERTS = 920 * MIB, 3560 * MIB
# NCCL's channels and the all-reduce buffers of a group; not confirmed.
_COMMUNICATION = 512 * MIB
# vLLM's defaults for a server: visible memory from which they hold, tokens of one step, sequences.
# Source: vLLM 0.33, engine/arg_utils.py, get_batch_defaults; the A100 has those of small cards.
_STEPS = ((160 * GIB, 16384, 1024), (70 * GIB, 8192, 1024), (0, 2048, 256))
# Copies of the logits, in 4 bytes, that sampling makes.
_LOGITS = 3 * 4
# States of linear attention that a request holds: its own, and with prefix caching, the default,
# the one that it began with. Seen in logs of vLLM 0.24 and older (tests/unit/data/memory.yaml).
_STATES = 2
# Tokens whose keys and values MLA unpacks at once in a chunked prefill (vLLM, mla_attention.py).
_MLA_WORKSPACE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Card:
    """One accelerator as sizing sees it; sizes in bytes.

    + index: the driver's, else the place in PCI order
    + total: as the driver reports it, else as the hardware table has it
    + used: what other processes hold now
    + numa: node it hangs on, None where unknown
    """

    index: int
    total: int
    used: int = 0
    numa: int | None = None

    @property
    def visible(self) -> int:
        """What programs can have of an empty card."""
        return self.total - driver_reserve(self.total)


@dataclass(frozen=True, kw_only=True)
class CardLedger:
    """One card: bytes by purpose, in the order they are printed.

    + index, total: of the card
    + lines: "driver", "other processes", "weights", "KV cache", "activations", "CUDA graphs",
      "communication", "CUDA context", "compute buffer", "margin"; what is nothing is left out
    """

    index: int
    total: int
    lines: Mapping[str, int]

    @property
    def planned(self) -> int:
        return sum(self.lines.values())

    @property
    def free(self) -> int:
        """What is left; negative by what is missing."""
        return self.total - self.planned


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What one service takes of one machine, all its copies together.

    + cards: every card it is given
    + host: bytes of host memory by purpose: "weights" (mapped, but read for every token), "KV
      cache", "compute buffer", "processes", "prompt cache" (of answered prompts)
    + disk: bytes of the files
    + kv_bytes: bytes that one token takes in the cache of one copy, all its cards together
    + kv_tokens: tokens that all copies can hold at once
    """

    cards: tuple[CardLedger, ...]
    host: Mapping[str, int]
    disk: int
    kv_bytes: int
    kv_tokens: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an engine that fills its cards runs one copy.

    + share: of a card's visible memory, for everything (vLLM) or for weights and cache (SGLang)
    + performance: what the service's settings favour; for throughput vLLM takes twice the tokens
      into a step
    + sequences: requests at the same time in one copy; None for the engine's own number
    + mtp: the layers that predict further tokens are read, too
    """

    engine: str
    tensor_parallel: int
    pipeline_parallel: int
    kv_cache: KvCache
    share: float
    performance: Performance = "balanced"
    sequences: int | None = None
    mtp: bool = False


def driver_reserve(total: int) -> int:
    """What the driver keeps of a card for itself."""
    return _DRIVER_LARGE if total > 40 * GIB else _DRIVER


def copy_of(
    model: Model, size: int, layout: Layout, group: Sequence[Card]
) -> tuple[tuple[CardLedger, ...], int]:
    """The ledgers of one copy's cards, stage by stage, and the tokens that its cache holds.

    vLLM's cache is what its share leaves after all the rest. SGLang's share is weights and cache
    alone. A share below the weights leaves no cache, and the ledger may end below zero.
    """
    split = parts(model, size)
    stages = stages_of(model, layout.pipeline_parallel)
    ledgers, tokens = [], []
    for position, card in enumerate(group):
        stage = stages[position // layout.tensor_parallel]
        own = {
            "weights": card_weights(model, split, stage, layout.tensor_parallel, mtp=layout.mtp)
            + unpacked(model, stage, layout.tensor_parallel),
            **_working(model, layout, card),
        }
        counted = own["weights"] if layout.engine == "sglang" else sum(own.values())
        cache = max(0, int(layout.share * card.visible) - counted)
        tokens.append(cache // token_bytes(model, layout, stage))
        ledgers.append(ledger_of(card, {**own, "KV cache": cache}))
    return tuple(ledgers), min(tokens)


def token_bytes(model: Model, layout: Layout, stage: range) -> int:
    """Bytes that one token takes in the cache of one card of a stage."""
    a_layer = kv_bytes(model, layout.kv_cache, tensor_parallel=layout.tensor_parallel)
    drafting = model.mtp_layers if layout.mtp and stage.stop == model.layers else 0
    return a_layer * max(1, growing(model, stage) + drafting)


def fixed_tokens(model: Model, layout: Layout) -> int:
    """What one request takes of the cache whatever its length, in tokens: windows or states."""
    if model.full_attention_interval == 1:
        return 0
    tensor_parallel = layout.tensor_parallel
    a_layer = request_bytes(model, layout.kv_cache, tensor_parallel=tensor_parallel)
    if model.sliding_window is None:
        a_layer *= _STATES
    return max(
        a_layer * (len(stage) - growing(model, stage)) // token_bytes(model, layout, stage)
        for stage in stages_of(model, layout.pipeline_parallel)
    )


def ledger_of(card: Card, own: Mapping[str, int]) -> CardLedger:
    """A card with what one service takes of it."""
    lines = {"driver": driver_reserve(card.total), "other processes": card.used, **own}
    kept = {purpose: size for purpose, size in lines.items() if size}
    return CardLedger(index=card.index, total=card.total, lines=kept)


def stages_of(model: Model, pipeline_parallel: int) -> tuple[range, ...]:
    """Layers of each pipeline stage; the last stages but one take what does not divide.

    Source: vLLM 0.33, distributed/utils.py, get_pp_indices.
    """
    even, over = divmod(model.layers, pipeline_parallel)
    counts = [even] * pipeline_parallel
    for stage in range(over):
        counts[-2 - stage] += 1
    starts = [sum(counts[:stage]) for stage in range(pipeline_parallel)]
    return tuple(range(at, at + count) for at, count in zip(starts, counts, strict=True))


def card_weights(
    model: Model, split: Parts, stage: range, tensor_parallel: int, *, mtp: bool = False
) -> int:
    """Bytes of one card of a stage.

    Layers are cut, and so are the embedding on the first stage and the head on the last, by
    vocabulary. The down projections of MLA are not: every card has them in full. Layers that
    predict further tokens are not read unless speculation is on (vLLM, deepseek_v2.py).
    """
    whole = sum(split.layers[stage.start : stage.stop])
    if stage.start == 0:
        whole += split.embedding
    if stage.stop == model.layers:
        whole += split.head + (sum(split.layers[model.layers :]) if mtp else 0)
    uncut = int(latent_weights(model) * len(stage) * split.total / model.parameters)
    return (whole - uncut) // tensor_parallel + uncut


def unpacked(model: Model, stage: range, tensor_parallel: int) -> int:
    """What engines keep of MLA's up projections in 16 bits, beside them as the files have them.

    Source: vLLM, mla_attention.py, W_UK_T and W_UV; SGLang, deepseek_v2.py, w_kc and w_vc.
    """
    if model.kv_lora_rank is None or model.quantization in ("BF16", "F16"):
        return 0
    a_head = (model.nope_head_dim or model.head_dim) + (model.v_head_dim or model.head_dim)
    return len(stage) * model.kv_lora_rank * model.heads * a_head * 2 // tensor_parallel


def _working(model: Model, layout: Layout, card: Card) -> dict[str, int]:
    """What an engine takes beside weights and cache."""
    grouped = layout.tensor_parallel * layout.pipeline_parallel > 1
    return {
        "activations": _activations(model, layout, card),
        "CUDA graphs": _graphs(model, layout.tensor_parallel, card),
        "communication": _COMMUNICATION if grouped else 0,
        "CUDA context": _CONTEXT,
    }


def _activations(model: Model, layout: Layout, card: Card) -> int:
    """The peak of one full step, in bf16 but for the logits, and what is kept beside it.

    Of its phases the widest counts: logits of all requests, which every card gathers; gate, up and
    product of the feed-forward part and what goes in and out, or a token's routed experts and their
    outputs before and after they are weighed; with MLA the unpacked queries, keys and values. The
    workspace of MLA's chunked prefill is kept all the time.
    """
    tensor_parallel = layout.tensor_parallel
    step, sequences = _step(card)
    sequences = min(sequences, layout.sequences or sequences)
    if layout.engine == "vllm" and layout.performance == "throughput":
        step *= 2
    heads = model.heads / tensor_parallel
    wide = 3 * (model.intermediate or 4 * model.hidden) / tensor_parallel + 2 * model.hidden
    if model.experts:
        expert = 3 * model.expert_intermediate / tensor_parallel + 2 * model.hidden
        wide = max(wide, model.experts_used * expert)
    phases = [sequences * (model.vocabulary or 0) * _LOGITS, step * wide * 2]
    kept = 0.0
    if model.kv_lora_rank is not None:
        unpacked = (model.nope_head_dim or model.head_dim) + (model.v_head_dim or model.head_dim)
        queries = unpacked + 2 * (model.rope_head_dim or 0) + model.head_dim
        phases.append(step * queries * heads * 2)
        kept = _MLA_WORKSPACE * unpacked * heads * 2
    return int(kept + max(phases))


def _graphs(model: Model, tensor_parallel: int, card: Card) -> int:
    full = _GRAPHS + (_GRAPHS_EXPERTS // tensor_parallel if model.experts else 0)
    return full if card.visible >= _STEPS[1][0] else full // 2


def _step(card: Card) -> tuple[int, int]:
    """Tokens of one step, and sequences."""
    return next((step, rows) for least, step, rows in _STEPS if card.visible >= least)
