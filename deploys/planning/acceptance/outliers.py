"""Which machines and cards of a batch differ from their siblings, by robust z-scores.

A z-score by median and median absolute deviation, as one bad card must not hide itself by moving
the mean. Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): 0.6745 and 3.5,
and the mean absolute deviation where more than half of all are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

_SCALE, _SCALE_OF_MEAN = 0.6745, 1.253314
_MOST = 3.5
# A difference that is less than this share of the median is none, however alike the others are.
_LEAST = 0.03
# With fewer, nobody knows which of them is the odd one.
_SIBLINGS = 5


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """One figure that is not like those of its siblings.

    + machine: its serial number, or its name where it has none
    + subject: which card; "" for the machine
    + share: of the median, less 1
    + note: what else is other about it
    """

    machine: str
    subject: str
    measure: str
    value: float
    median: float
    share: float
    z: float
    note: str

    def __str__(self) -> str:
        what = f"{self.subject} of SN {self.machine}" if self.subject else f"SN {self.machine}"
        side = "below" if self.share < 0 else "above"
        note = f", {self.note}" if self.note else ""
        return f"{what}: {abs(self.share):.0%} {side} its siblings in {self.measure}{note}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "says": str(self)}


@dataclass(frozen=True)
class _Figure:
    machine: str
    subject: str
    value: float
    note: str


def z_scores(values: Sequence[float]) -> list[float]:
    """Return how many deviations each value is from the median."""
    middle = median(values)
    distances = [abs(value - middle) for value in values]
    if scale := median(distances):
        return [_SCALE * (value - middle) / scale for value in values]
    if scale := fmean(distances):
        return [(value - middle) / (_SCALE_OF_MEAN * scale) for value in values]
    return [0.0] * len(values)


def outliers(documents: Sequence[Mapping[str, Any]]) -> list[Outlier]:
    """Return what differs among reports; those of other cards and models are no siblings."""
    measures: dict[tuple[str, str], list[_Figure]] = {}
    for document in documents:
        for measure, figure in _figures(document):
            measures.setdefault((_kind(document), measure), []).append(figure)
    found = []
    for (_, measure), figures in sorted(measures.items()):
        if len(figures) < _SIBLINGS:
            continue
        middle = median(figure.value for figure in figures)
        for figure, z in zip(figures, z_scores([each.value for each in figures]), strict=True):
            share = figure.value / middle - 1 if middle else 0.0
            if abs(z) > _MOST and abs(share) >= _LEAST:
                found.append(
                    Outlier(
                        machine=figure.machine,
                        subject=figure.subject,
                        measure=measure,
                        value=figure.value,
                        median=middle,
                        share=share,
                        z=z,
                        note=figure.note,
                    )
                )
    return found


def _kind(document: Mapping[str, Any]) -> str:
    """Return what siblings have in common: their cards, and what they serve."""
    cards = sorted({str(card["name"]) for card in document["cards"]})
    served = [f"{each['model']} by {each['engine']}" for each in document["services"]]
    return "; ".join([*cards, *served, "quick" if document["quick"] else "whole"])


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, _Figure]]:
    own = document["machine"]
    machine = own.get("unit") or own.get("serial") or document["name"]
    notes = {card["index"]: _note(card) for card in document["cards"]}
    for each in (document.get("fabric") or {}).get("cards", ()):
        for name in ("memory", "host", "peer"):
            if each[name] is not None:
                index = each["index"]
                figure = _Figure(machine, f"GPU {index}", each[name], notes.get(index, ""))
                yield f"copies: {name}", figure
    for address, seen in document["samples"]["cards"].items():
        index = next((c["index"] for c in document["cards"] if c["address"] == address), address)
        for name, pick in (("clock", min), ("temperature", max)):
            if values := [value for value in seen[name] if value is not None]:
                figure = _Figure(machine, f"GPU {index}", pick(values), notes.get(index, ""))
                yield f"{name} under load", figure
    if disk := document["disk"]:
        for name in ("read", "write"):
            if disk[name]:
                yield f"disk: {name}", _Figure(machine, "", disk[name], "")
    for service, runs in document["load"].items():
        for run in runs:
            name = f"tokens a second of {service}, {run['parallel']} at once"
            yield name, _Figure(machine, "", run["tokens_per_second"], "")


def _note(card: Mapping[str, Any]) -> str:
    lanes, most = card["lanes"], card["lanes_max"]
    return f"PCIe x{lanes}" if lanes and most and lanes < most else ""
