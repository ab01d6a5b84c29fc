"""The links between a machine's cards, from the tables of `nvidia-smi topo -m` and npu-smi."""

from __future__ import annotations

import re
from typing import Any

# The header is underlined even where nobody sees it.
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_CARD = re.compile(r"[GN]PU(\d{1,4})")


def links(table: str) -> list[dict[str, Any]]:
    """Return one entry per pair of cards, from a topology table.

    `nvidia-smi topo -m` and `npu-smi info -t topo` have the same format.
    """
    columns: list[int] = []
    found = []
    for line in _ESCAPE.sub("", table).splitlines():
        words = line.split()
        cards = [int(match[1]) for match in map(_CARD.fullmatch, words) if match]
        if not columns:
            columns = cards
        elif len(cards) == 1 and _CARD.fullmatch(words[0]):
            kinds = dict(zip(columns, words[1:]))
            found += [
                {"first": cards[0], "second": column, "kind": kind}
                for column, kind in kinds.items()
                if cards[0] < column and kind != "X"
            ]
    return found
