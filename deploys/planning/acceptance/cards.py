"""What is held against the cards: all of them, on their whole link, unhurt, at their clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, failed, not_run

# What slows a card down that is not its power limit alone, which is normal under load. Source:
# NVML, nvmlClocksEventReasons.
REASONS = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")
SeenCard = Mapping[str, Any]


def checks(
    wanted: Sequence[str], gpus: int, vendor: str | None, seen: Mapping[str, Any]
) -> Iterator[AcceptanceCheck]:
    """Yield the checks of the cards at rest.

    + wanted: PCI addresses of ours; () where the plan is refused
    + gpus: how many the profile has
    + vendor: of them; None without cards
    + seen: what remote/acceptance/look.py has printed
    """
    if not gpus:
        yield not_run("cards", "count", "no cards", required=False)
        return
    if vendor != "nvidia":
        yield not_run("cards", "count", "other vendor", required=True)
        return
    cards = ours(wanted, seen["cards"])
    answering = [card for card in cards if card["index"] is not None]
    if len(answering) < gpus:
        missing = ", ".join(_lost(wanted, cards)) or seen["cards_error"] or "?"
        yield failed(
            *("cards", "count", "card missing"),
            measured=len(answering),
            wanted=gpus,
            missing=missing,
        )
    else:
        yield AcceptanceCheck(phase="cards", name="count", measured=len(answering), wanted=gpus)
    for card in answering:
        yield _width(card)
        yield throttled("cards", "clock", card)
        yield _errors(card)
    yield xids("cards", seen["xids"])


def ours(wanted: Sequence[str], cards: Sequence[SeenCard]) -> list[SeenCard]:
    """Return those that are ours; all of them where nobody says which."""
    return [card for card in cards if not wanted or card["address"] in wanted]


def called(card: SeenCard) -> str:
    """Return what a report calls a card: by its driver's index, and where it is plugged in."""
    return f"GPU {card['index']} ({card['address']})"


def throttled(phase: Any, name: str, card: SeenCard) -> AcceptanceCheck:
    """Return whether a card is slowed down by heat or by what powers it."""
    reasons = [reason for reason in REASONS if card.get(reason)]
    if reasons:
        return failed(
            *(phase, name, "throttled", called(card)),
            card=called(card),
            reasons=", ".join(reason.replace("_", " ") for reason in reasons),
            clock=card["clock"],
            most=card["clock_max"],
            temperature=card["temperature"],
        )
    if all(card.get(reason) is None for reason in REASONS):
        return not_run(phase, name, "not counted", called(card), required=False)
    return AcceptanceCheck(
        phase=phase,
        name=name,
        subject=called(card),
        measured=card["clock"],
        wanted=card["clock_max"],
        unit="MHz",
    )


def xids(phase: Any, lines: Sequence[str]) -> AcceptanceCheck:
    """Return whether the driver has told of errors of a card since the machine's boot."""
    if lines:
        return failed(phase, "xid", "xid", text=lines[-1])
    return AcceptanceCheck(phase=phase, name="xid", measured=0, wanted=0)


def _lost(wanted: Sequence[str], cards: Sequence[SeenCard]) -> list[str]:
    there = {card["address"] for card in cards if card["index"] is not None}
    on_bus = [card["address"] for card in cards if card["index"] is None]
    return [*(address for address in wanted if address not in there), *on_bus]


def _width(card: SeenCard) -> AcceptanceCheck:
    lanes, most = card["lanes"], card["lanes_max"]
    if lanes is None or most is None:
        # A virtual machine has no slot of its own.
        return not_run("cards", "link width", "no limit known", called(card), required=False)
    if lanes < most:
        told = {"card": called(card), "measured": lanes, "wanted": most}
        return failed("cards", "link width", "narrow link", called(card), **told)
    return AcceptanceCheck(
        phase="cards",
        name="link width",
        subject=called(card),
        measured=lanes,
        wanted=most,
        unit="lanes",
        source="the board's own",
    )


def _errors(card: SeenCard) -> AcceptanceCheck:
    count = card["uncorrected"]
    if count:
        return failed("cards", "ecc", "uncorrected", called(card), card=called(card), count=count)
    if count is None:
        return not_run("cards", "ecc", "not counted", called(card), required=False)
    return AcceptanceCheck(
        phase="cards", name="ecc", subject=called(card), measured=count, wanted=0
    )
