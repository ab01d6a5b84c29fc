"""The order in which many machines are changed: one first, then ever more, never half a group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class RolledHost:
    """A host of the inventory.

    + of_class: the same for hosts whose groups are made of each other
    + machines: how many of them serve a model together
    + asks: whom its gateway asks, itself too; none if it has no gateway
    """

    name: str
    of_class: str
    machines: int
    asks: frozenset[str] = frozenset()


def waves(hosts: Sequence[RolledHost], upto: str, after: str | None = None) -> list[list[str]]:
    """Return the names of each wave's hosts; those that serve a model together are in one.

    + upto: hosts that are done after each wave, as numbers or shares of all: "1,10%,100%"
    + after: the last host that is done already, with all before it
    """
    parts = _parts(hosts)
    names = [name for part in parts for name in part]
    done = 0
    if after is not None:
        if after not in names:
            raise Refusal(
                f"There is no host {after}", f"Name one of the inventory: {', '.join(names[:10])}"
            )
        done = names.index(after) + 1
    found = []
    for count in [*_counts(upto, len(names)), len(names)]:
        wave: list[str] = []
        for part in parts:
            begins = names.index(part[0])
            if done <= begins < count:
                wave += part
        if wave:
            found.append(wave)
            done = names.index(wave[-1]) + 1
    return found


def gateways(hosts: Sequence[RolledHost], wave: Sequence[str]) -> list[str]:
    """Return those whose gateways have others to ask while these machines are changed."""
    changed = {*wave}
    return [host.name for host in hosts if host.asks & changed and host.asks - changed]


def _parts(hosts: Sequence[RolledHost]) -> list[list[str]]:
    """Return what is changed as one: a host, or those of one group."""
    parts: list[list[str]] = []
    # The group of each class that is not full yet.
    begun: dict[str, list[str]] = {}
    for host in hosts:
        part = begun.setdefault(host.of_class, [])
        if not part:
            parts.append(part)
        part.append(host.name)
        if len(part) >= host.machines:
            del begun[host.of_class]
    return parts


def _counts(upto: str, total: int) -> list[int]:
    counts = []
    for word in upto.split(","):
        number = word.strip().removesuffix("%")
        if not number.isdecimal() or int(number) < 1:
            raise Refusal(
                f"{word.strip()!r} of the waves {upto!r} is no number of hosts",
                "Write how many are done after each wave, such as 1,10%,100%",
            )
        share = math.ceil(total * int(number) / 100)
        counts.append(share if word.strip().endswith("%") else int(number))
    return counts
