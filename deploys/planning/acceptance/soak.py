"""What is held against a machine that has answered for long: before and after, and all between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.cards import called, ours, throttled
from deploys.planning.acceptance.check import AcceptanceCheck, failed, not_run

# Seconds, where nobody says how long.
QUICK, FULL = 20, 1800


def checks(
    wanted: Sequence[str],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    load: Mapping[str, Any],
) -> Iterator[AcceptanceCheck]:
    """Yield what has become of a machine under load.

    + wanted: PCI addresses of our cards
    + before, after: what remote/acceptance/look.py has printed
    + samples: what each card said meanwhile, [{"cards": [...]}]
    + load: {"asked", "failed", "error", "tokens"} of all its services
    """
    yield _answers(load)
    was = {card["address"]: card for card in ours(wanted, before["cards"])}
    new = [line for line in after["xids"] if line not in before["xids"]]
    if new:
        yield failed("soak", "soak xid", "soak xid", text=new[0])
    else:
        yield AcceptanceCheck(phase="soak", name="soak xid", measured=0, wanted=0)
    now = {card["address"]: card for card in ours(wanted, after["cards"])}
    for address, card in was.items():
        if card["index"] is None:
            continue  # It did not answer before either, which its own check says.
        after_it = now.get(address)
        if after_it is None or after_it["index"] is None:
            yield failed("soak", "soak ecc", "soak lost", called(card), card=called(card))
            continue
        yield _errors(card, after_it)
        yield _clock(card, [each for sample in samples for each in sample["cards"]])


def _answers(load: Mapping[str, Any]) -> AcceptanceCheck:
    told = {"asked": load["asked"], "failed": load["failed"], "text": load["error"]}
    if load["failed"]:
        return failed("soak", "soak", "soak errors", **told)
    if not load["asked"]:
        return failed("soak", "soak", "soak silent")
    return AcceptanceCheck(phase="soak", name="soak", measured=load["asked"], unit="answers")


def _errors(before: Mapping[str, Any], after: Mapping[str, Any]) -> AcceptanceCheck:
    count = (after["uncorrected"] or 0) - (before["uncorrected"] or 0)
    if count > 0:
        told = {"card": called(after), "count": count}
        return failed("soak", "soak ecc", "soak ecc", called(after), **told)
    return AcceptanceCheck(
        phase="soak", name="soak ecc", subject=called(after), measured=0, wanted=0
    )


def _clock(card: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> AcceptanceCheck:
    own = [each for each in samples if each["address"] == card["address"]]
    found = [throttled("soak", "soak clock", each) for each in own]
    slowed = next((check for check in found if check.result == "failed"), None)
    if slowed is not None:
        return slowed
    clocks = [each["clock"] for each in own if each["clock"] is not None]
    if not clocks:
        return not_run("soak", "soak clock", "no limit known", called(card), required=False)
    return AcceptanceCheck(
        phase="soak",
        name="soak clock",
        subject=called(card),
        measured=f"{min(clocks)}-{max(clocks)}",
        wanted=card["clock_max"],
        unit="MHz",
        source="no slowdown by heat or power",
    )


def survived(name: str, unit: str, subject: str, state: str, answer: str) -> AcceptanceCheck:
    """Return whether a service answers again.

    + name: "restart" or "reboot"
    + state: of its unit; answer: "" where it answers, else why not
    """
    if state == "active" and not answer:
        return AcceptanceCheck(phase="soak", name=name, subject=subject, measured=state)
    text = answer or f"it is {state}"
    return failed("soak", name, "not back", subject, unit=unit, what=f"a {name}", text=text)


def not_rebooted(why: str) -> AcceptanceCheck:
    """Return that a machine is not back after the reboot that was asked for."""
    return failed("soak", "reboot", "no reboot", text=why)
