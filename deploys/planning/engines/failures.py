"""What engines print when they cannot start, in one sentence each, with what is to be changed.

The first row that knows a line of the journal explains it, so the causes stand before what follows
from them. The rows are in known_failures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploys.planning.engines.known_failures import KNOWN


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One failure that is known.

    + line: of the journal
    + says: what it means and what to change
    """

    line: str
    says: str


def explain(engine: str, lines: Sequence[str], **service: Any) -> Explained | None:
    """What is known of a journal; None where nothing is.

    + service: port, for the sentence
    """
    for known in KNOWN:
        if engine in known.engines:
            for line in reversed(lines):
                if found := known.pattern.search(line):
                    words = {"engine": engine, **service, **found.groupdict()}
                    return Explained(line=line.strip(), says=known.says.format(**words))
    return None
