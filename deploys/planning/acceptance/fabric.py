"""What is held against the ways of the cards: their own memory, the host's, each other's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, at_least, failed, not_run
from deploys.planning.acceptance.limits import SHARES, Limits, pcie_bandwidth
from deploys.planning.engines.software import Environment, Software
from deploys.planning.hardware.gpus import Accelerator

_TITLES = {
    "memory copy": "a copy within GPU {}",
    "host copy": "a copy from the host to GPU {}",
    "peer copy": "a copy from GPU {}",
}


def left_out(cards: int, software: Sequence[Software], *, quick: bool) -> AcceptanceCheck | None:
    """Return why nothing of it is measured; None where it is.

    An engine that comes as Python packages brings torch, by which the cards are measured.
    """
    if not cards:
        return not_run("fabric", "memory copy", "no cards", required=False)
    if not any(isinstance(each, Environment) for each in software):
        engine = ", ".join(each.name for each in software) or "the plan"
        return not_run("fabric", "memory copy", "no torch", required=False, engine=engine)
    return not_run("fabric", "memory copy", "left out", required=False) if quick else None


def checks(
    gpu: Accelerator | None,
    measured: Mapping[str, Any],
    cards: Sequence[Mapping[str, Any]],
    limits: Limits,
) -> Iterator[AcceptanceCheck]:
    """Yield the checks of what was measured on the cards.

    + measured: what remote/acceptance/cards_speed.py and the all-reduce have come to, in GB/s:
      {"cards": [{"index", "memory", "host", "peer"}], "all_reduce", "error"}
    + cards: as remote/acceptance/look.py has them
    """
    if measured["error"]:
        yield not_run(
            "fabric", "memory copy", "no room on cards", required=True, text=measured["error"]
        )
        return
    by_index = {card["index"]: card for card in cards}
    for each in measured["cards"]:
        card = by_index.get(each["index"], {})
        slot = _slot(card)
        link = _link(gpu) or slot
        for name, speed, most, share in (
            (
                "memory copy",
                each["memory"],
                gpu.bandwidth / 1e9 if gpu else None,
                limits.memory_copy,
            ),
            ("host copy", each["host"], slot, limits.link_copy),
            ("peer copy", each["peer"], link, limits.link_copy),
        ):
            if speed is not None:
                yield _held(name, f"GPU {each['index']}", speed, most, share)
    yield _together(measured, _link(gpu) or min(map(_slot, cards), default=0.0), limits)


def _together(measured: Mapping[str, Any], link: float, limits: Limits) -> AcceptanceCheck:
    if len(measured["cards"]) < 2:
        return not_run("fabric", "all-reduce", "one card", required=False)
    if measured["all_reduce"] is None:
        return failed("fabric", "all-reduce", "refused", text=measured["all_reduce_error"])
    return _held("all-reduce", "", measured["all_reduce"], link, limits.all_reduce)


def _held(
    name: str, subject: str, speed: float, most: float | None, share: float
) -> AcceptanceCheck:
    if not most:
        return not_run("fabric", name, "no limit known", subject, required=False)
    what = _TITLES.get(name, "the all-reduce").format(subject.removeprefix("GPU "))
    return at_least(
        *("fabric", name, speed, share * most, "GB/s", "slow", subject),
        source=f"{share:.0%} of {round(most)} GB/s, {SHARES}",
        what=what,
    )


def _link(gpu: Accelerator | None) -> float | None:
    """Return the GB/s of the cards' own link in one direction; None where PCIe is all they have."""
    return gpu.link_bandwidth / 2e9 if gpu and gpu.link_bandwidth else None


def _slot(card: Mapping[str, Any]) -> float:
    lanes, generation = card.get("lanes"), card.get("generation_max")
    return pcie_bandwidth(generation, lanes) if lanes and generation else 0.0
