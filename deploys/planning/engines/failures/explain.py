"""Explanations of what engines print when they cannot start, and what to change.

The first row that matches a line of the journal explains it, so causes come before their
consequences, in the order of known.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploys.planning.engines.failures.every import EVERY
from deploys.planning.engines.failures.known import ORDER
from deploys.planning.engines.registry import ENGINES


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One known failure.

    + line: the line of the journal
    + says: what it means and what to change
    """

    line: str
    says: str


def explain(engine: str, lines: Sequence[str], **service: Any) -> Explained | None:
    """Return the explanation of a journal, or None if no known failure matches.

    + service: values for the sentence, such as port
    """
    rows = (*ENGINES[engine].failures, *EVERY)
    for known in sorted(rows, key=lambda row: ORDER.index(row.about)):
        for line in reversed(lines):
            found = known.pattern.search(line)
            if found and _is_of(service, found.groupdict()):
                words = {"engine": engine, **service, **found.groupdict()}
                return Explained(line=line.strip(), says=known.says.format(**words))
    return None


def _is_of(service: dict[str, Any], said: dict[str, Any]) -> bool:
    """Return whether a line is about this service: the port that it names is not another one."""
    return "port" not in said or said["port"] == str(service.get("port"))
