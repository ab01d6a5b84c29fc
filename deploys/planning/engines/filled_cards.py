"""What engines take of cards that they fill, and how they keep a cache there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of computation on a card.

    + gib: visible memory of the card from which this holds
    + tokens, sequences: of the step, at most
    """

    gib: int
    tokens: int
    sequences: int


@dataclass(frozen=True, kw_only=True)
class FixedShare:
    """A share of a card that is the same for every model.

    + usual: the engine's own default; most: the share where that leaves hardly any cache
    """

    usual: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a card keeps beside weights and cache, from a memory in GiB up (placement/layouts.py).

    + chunk: tokens of a prefill chunk
    + batches: largest batch of the decoding graphs, below and from four cards that share layers
    + graphs: graphs of prefill
    """

    gib: int
    chunk: int
    batches: tuple[int, int]
    graphs: int


@dataclass(frozen=True, kw_only=True)
class MlaCache:
    """How an engine keeps MLA's cache once, where plain tensor parallelism has it on every card.

    Source: tests/unit/data/attention.yaml.

    + parts: compute capabilities with kernels for decode context parallelism, in which each card
      holds a part of every request's cache
    + parts_in_fp8: those of them whose kernels take a cache in FP8
    + drafting: those of them that prove several drafted tokens at once
    + whole: what each card has whole where attention is data parallel, and the cards hold requests
      of their own
    + replicas: data parallel attention goes together with further replicas
    """

    parts: tuple[str, ...] = ()
    parts_in_fp8: tuple[str, ...] = ()
    drafting: tuple[str, ...] = ()
    whole: Literal["all but experts", "attention"]
    replicas: bool
