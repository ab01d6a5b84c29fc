"""What is held against a machine, where the plan does not say it, and where that comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from deploys.planning.hardware.gpus import Accelerator

# GB/s of a lane in one direction, by PCIe generation. Source: PCI-SIG, encoding counted.
_LANE = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one class; an inventory's group data may set others as `acceptance`.

    + disk_read, disk_write: GB/s of the disk that has the weights
    + memory_copy: share of a card's memory bandwidth that a copy within it moves, both ways counted
    + link_copy: share of a link's bandwidth that a copy over it reaches
    + all_reduce: share of it that an all-reduce over all cards reaches
    + requests_a_minute, requests_at_once: of a key; who may ask more has no limit
    + right_answers: share of the questions by the parameters of a model from that many on
    + same_answers: share of answers that have to be those of an accepted machine of the same kind
    + source: where the figures of the disk come from
    """

    disk_read: float
    disk_write: float
    source: str
    memory_copy: float = 0.75
    link_copy: float = 0.7
    all_reduce: float = 0.5
    requests_a_minute: int = 6000
    requests_at_once: int = 512
    right_answers: tuple[tuple[float, float], ...] = ((7e9, 0.9), (3e9, 0.75))
    same_answers: float = 0.75

    def to_json(self) -> dict[str, Any]:
        """Return what `debug-inventory` prints."""
        return asdict(self)


SHARES = "a share of the data sheet's figure (deploys/planning/acceptance/limits.py)"
JUDGED = "a judgement (deploys/planning/acceptance/limits.py)"

_WITH_CARDS = Limits(
    disk_read=1.0,
    disk_write=0.5,
    source="a third of what an NVMe disk at PCIe 3.0 x4 reads; a SATA disk reads 0.55 GB/s",
)
_WITHOUT = Limits(
    disk_read=0.1,
    disk_write=0.05,
    source="what a hard disk reads in a row",
)


def limits_of(gpu: Accelerator | None, described: Limits | None = None) -> Limits:
    """Return the limits of a class.

    + described: those of its group data
    """
    if described is not None:
        return described
    return _WITH_CARDS if gpu else _WITHOUT


def disk_limit(limits: Limits, size: int, patience: int) -> Limits:
    """Return limits under which the weights of a service can be read within its patience.

    + size: bytes of its weights; patience: seconds it may take until it answers
    """
    needed = size / max(patience, 1) / 1e9
    if needed <= limits.disk_read:
        return limits
    why = f"weights of {round(size / 1e9)} GB within the {patience} s that the plan waits for them"
    return replace(limits, disk_read=needed, source=why)


def pcie_bandwidth(generation: int, lanes: int) -> float:
    """Return the GB/s of a slot in one direction."""
    return _LANE.get(generation, _LANE[3]) * lanes
