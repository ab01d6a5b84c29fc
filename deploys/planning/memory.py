"""The ledger: what each purpose takes of every card and of the host, in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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


@dataclass(frozen=True, kw_only=True)
class CardLedger:
    """One card: bytes by purpose, in the order they are printed.

    + index, total: of the card
    + lines: "driver", "other processes", "weights", "KV cache", "activations", "CUDA graphs",
      "communication", "compute buffer", "margin"; those that are nothing are left out
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
    + host: bytes of host memory by purpose: "weights", "KV cache", "compute buffer", "process",
      "page cache" (files that stay mapped; the kernel may drop it)
    + disk: bytes of the files
    + kv_bytes: bytes that one token takes in the cache of one copy, all its cards together
    + kv_tokens: tokens that all copies can hold at once
    """

    cards: tuple[CardLedger, ...]
    host: Mapping[str, int]
    disk: int
    kv_bytes: int
    kv_tokens: int
