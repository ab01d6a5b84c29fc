"""The ledger: what each purpose takes of every card and of the host, in bytes.

What engines that fill a card (vLLM, SGLang) take of it is in filled.py; how layers are dealt to the
cards of llama.cpp in offload.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploys.planning.adapters.slots import Slots
from deploys.planning.engines.base import FillsCards
from deploys.planning.inputs.profile import KvCache, Performance
from deploys.planning.models.cache import attends_to_all, cache_bytes, fixed_bytes, kv_bytes
from deploys.planning.models.model import Model
from deploys.planning.models.network import Parts
from deploys.planning.models.parameters import latent_weights
from deploys.planning.models.shapes import Network

MIB = 1 << 20
GIB = 1 << 30

# What CUDA programs see is less than nvidia-smi's total. Seen: 143771 and 143155 MiB on an H200,
# 24564 and 24064 on an RTX 4090, 46068 and 45465 on an L40S.
_DRIVER, _DRIVER_LARGE = 500 * MIB, 620 * MIB
# States of linear attention that a request holds: its own, and with prefix caching, the default,
# the one that it began with. Seen in logs of vLLM 0.24 and older (tests/unit/data/memory.yaml).
_STATES = 2


@dataclass(frozen=True, kw_only=True)
class Card:
    """One accelerator, as needed for sizing; sizes in bytes.

    + index: from the driver, else the position in PCI order
    + total: as the driver reports it, else from the hardware table
    + used: held by other processes now
    + numa: NUMA node it is attached to, None if unknown
    """

    index: int
    total: int
    used: int = 0
    numa: int | None = None

    @property
    def visible(self) -> int:
        """Bytes that programs can use on an empty card."""
        return self.total - driver_reserve(self.total)


def freest(cards: Iterable[Card]) -> list[Card]:
    """Return the cards, those with the most memory left first."""
    return sorted(cards, key=lambda card: (card.used - card.visible, card.index))


@dataclass(frozen=True, kw_only=True)
class CardLedger:
    """One card: bytes by purpose, in the order they are printed.

    + index, total: of the card
    + lines: "driver", "other processes", "weights", "adapters", "KV cache", "activations", "CUDA
      graphs", "communication", "CUDA context" or "Vulkan context", "compute buffer", "margin"; what
      is nothing is left out
    + loading: what is taken at most while the weights are made ready, before there is a cache
    """

    index: int
    total: int
    lines: Mapping[str, int]
    loading: int = 0

    @property
    def planned(self) -> int:
        return sum(self.lines.values())

    @property
    def free(self) -> int:
        """Bytes left over; negative if memory is missing."""
        return self.total - max(self.planned, self.loading)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Resources that one service takes on one machine, all its replicas together.

    + cards: every card it is given
    + host: bytes of host memory by purpose: "weights" (mapped, but read for every token),
      "adapters", "KV cache", "compute buffer", "processes", "prompt cache" (of answered prompts)
    + disk: bytes of the files
    + kv_bytes: bytes per token in the cache of one replica, all its cards together
    + kv_tokens: tokens that all replicas can hold at once
    """

    cards: tuple[CardLedger, ...]
    host: Mapping[str, int]
    disk: int
    kv_bytes: int
    kv_tokens: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an engine that fills its cards runs one copy.

    + takes: what the engine takes of its cards
    + share: of a card's visible memory, for everything or for weights and cache
    + performance: what the service's settings favour
    + sequences: requests at the same time in one copy; None for the engine's own number
    + mtp: the layers that predict further tokens are read, too
    + compute: of the cards; kernels go by it
    + context_parallel: cards that hold one cache between them, a part of every request each
    + data_parallel: groups of a copy's cards with requests, attention and a cache of their own
    + ranks: such groups of all copies that take each step together, as they share the experts
    + experts_whole: these are dealt out whole, and not split as other matrices
    + chunk: tokens of a step, where that is not the engine's own number
    + moe_backend: whose kernels multiply by the experts; None leaves it to the engine
    + machines: that the cards of the copy are on, as many on each
    + slots: room for LoRA adapters; None without any
    """

    takes: FillsCards
    tensor_parallel: int
    pipeline_parallel: int
    kv_cache: KvCache
    share: float
    performance: Performance = "balanced"
    sequences: int | None = None
    mtp: bool = False
    compute: str | None = None
    context_parallel: int = 1
    data_parallel: int = 1
    ranks: int = 1
    experts_whole: bool = False
    chunk: int | None = None
    moe_backend: str | None = None
    machines: int = 1
    slots: Slots | None = None

    @property
    def attention_parallel(self) -> int:
        """Cards that share the heads of a layer."""
        return self.tensor_parallel // self.data_parallel

    @property
    def expert_parallel(self) -> int:
        """Cards that share the experts of a layer."""
        return self.attention_parallel * self.ranks if self.ranks > 1 else self.tensor_parallel


def driver_reserve(total: int) -> int:
    """Return the bytes of a card that the driver reserves for itself."""
    return _DRIVER_LARGE if total > 40 * GIB else _DRIVER


def token_bytes(model: Model, layout: Layout, stage: range) -> int:
    """Return the bytes that a token takes in the cache of a card of a stage that holds it."""
    network = model.network
    drafting = network.mtp_layers if layout.mtp and stage.stop == network.layers else 0
    layers = range(stage.start, stage.stop + drafting)
    split = layout.attention_parallel
    kept = cache_bytes(model, layout.kv_cache, tensor_parallel=split, layers=layers)
    # A stage whose layers keep none of it has a cache of something all the same.
    return kept or kv_bytes(model, layout.kv_cache, tensor_parallel=split)


def fixed_cost_tokens(model: Model, layout: Layout) -> int:
    """Return a request's fixed cost in the cache, windows or states, converted to tokens."""
    network = model.network
    states = _STATES if network.linear_value_heads else 1
    split = layout.attention_parallel
    return max(
        states
        * fixed_bytes(model, stage, layout.kv_cache, tensor_parallel=split)
        // token_bytes(model, layout, stage)
        for stage in stages_of(network, layout.pipeline_parallel)
    )


def ledger_of(card: Card, own: Mapping[str, int]) -> CardLedger:
    """Return the ledger of a card with what one service takes of it."""
    lines = {"driver": driver_reserve(card.total), "other processes": card.used, **own}
    kept = {purpose: size for purpose, size in lines.items() if size}
    return CardLedger(index=card.index, total=card.total, lines=kept)


def stages_of(network: Network, pipeline_parallel: int) -> tuple[range, ...]:
    """Return the layers of each pipeline stage.

    A remainder is spread over the stages from the last but one backwards.

    Source: vLLM 0.33, distributed/utils.py, get_pp_indices.
    """
    even, over = divmod(network.layers, pipeline_parallel)
    counts = [even] * pipeline_parallel
    for stage in range(over):
        counts[-2 - stage] += 1
    starts = [sum(counts[:stage]) for stage in range(pipeline_parallel)]
    return tuple(range(at, at + count) for at, count in zip(starts, counts, strict=True))


def card_weights(model: Model, split: Parts, stage: range, layout: Layout) -> int:
    """Return the bytes of weights on one card of a stage.

    Layers are split over the cards, and so are the embedding on the first stage and the head on the
    last, by vocabulary. The down projections of MLA are replicated on every card. Layers for
    multi-token prediction are loaded only for speculative decoding (vLLM, deepseek_v2.py). With
    data parallel attention each group of cards has it whole, and with it the embedding, or all that
    is no expert. Where experts are dealt out whole, each card has those that every token passes
    through (vLLM, deepseek_v2.py, is_sequence_parallel).
    """
    network = model.network
    last = stage.stop == network.layers
    read = slice(stage.start, len(split.layers) if last and layout.mtp else stage.stop)
    experts = sum(split.experts[read])
    others = sum(split.layers[read]) - experts
    others += (split.embedding if stage.start == 0 else 0) + (split.head if last else 0)
    latent = sum(attends_to_all(network, layer) for layer in stage)
    uncut = int(latent_weights(network) * latent * split.total / network.parameters)
    uncut += sum(split.shared[read]) if layout.experts_whole else 0
    own = others - uncut
    if layout.takes.mla.whole == "attention":
        own = sum(split.attention[read]) - uncut
        own += split.embedding if stage.start == 0 else 0
    return (
        uncut
        + own // layout.attention_parallel
        + (others - uncut - own) // layout.tensor_parallel
        + experts // layout.expert_parallel
    )


def unpacked_mla_weights(model: Model, stage: range, tensor_parallel: int) -> int:
    """Return the bytes of MLA's up projections in 16 bits, kept beside the quantized ones.

    Source: vLLM, mla_attention.py, W_UK_T and W_UV; SGLang, deepseek_v2.py, w_kc and w_vc.
    """
    network = model.network
    if network.kv_lora_rank is None or model.quantization in ("BF16", "F16"):
        return 0
    if network.compressed is not None:
        return 0
    a_head = (network.nope_head_dim or network.head_dim) + (network.v_head_dim or network.head_dim)
    layers = sum(attends_to_all(network, layer) for layer in stage)
    return layers * network.kv_lora_rank * network.heads * a_head * 2 // tensor_parallel
