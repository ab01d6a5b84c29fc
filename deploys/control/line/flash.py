"""Images onto several disks at a time, each with a report of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from deploys.control.line import disks, reports, write
from deploys.control.line.image import Image
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.line import disk as rules
from deploys.planning.line.disk import LineDisk

# Seconds between two lines about one disk.
_SAY_EVERY = 10.0


@dataclass(frozen=True, kw_only=True)
class FlashTarget:
    """One unit's disk, looked at and good for the image."""

    serial: str
    disk: LineDisk
    image: Image
    model: str | None = None


def is_agreed() -> bool:
    """Ask whoever sits there whether disks may be written; return False where nobody does."""
    if not sys.stdin.isatty():
        return False
    return input("All that is on these disks will be lost. Write? [y/N] ").lower() in ("y", "yes")


def targets(
    wanted: Iterable[tuple[str, Path, Image, str | None]],
) -> tuple[list[FlashTarget], list[tuple[str, Refusal]]]:
    """Return the units whose disks may be written, and by serial number why others may not.

    + wanted: serial number, disk, image and model of each
    """
    good: list[FlashTarget] = []
    against: list[tuple[str, Refusal]] = []
    taken: dict[str, str] = {}
    for serial, path, image, model in wanted:
        try:
            disk = disks.look(path)
        except Refusal as refusal:
            against.append((serial, refusal))
            continue
        found = list(rules.refusals(disk, image.size))
        if (other := taken.setdefault(disk.path, serial)) != serial:
            found.append(Refusal(f"{disk.path} is the disk of {other}", "Name one disk a unit"))
        against += ((serial, refusal) for refusal in found)
        if not found:
            good.append(FlashTarget(serial=serial, disk=disk, image=image, model=model))
    return good, against


def flash(
    wanted: Sequence[FlashTarget], kept: reports.Reports, say: Callable[[str], None]
) -> Iterator[tuple[FlashTarget, Refusal | None]]:
    """Write and compare all of them side by side; yield each as it ends, with what went wrong."""
    with ThreadPoolExecutor(max(len(wanted), 1)) as pool:
        running = {pool.submit(_flash, target, kept, say): target for target in wanted}
        for future in as_completed(running):
            try:
                future.result()
                yield running[future], None
            except Refusal as refusal:
                yield running[future], refusal


def _flash(target: FlashTarget, kept: reports.Reports, say: Callable[[str], None]) -> None:
    image, said = target.image, [time.monotonic()]

    def tell(what: str, at: int) -> None:
        if time.monotonic() - said[0] >= _SAY_EVERY:
            said[0] = time.monotonic()
            say(f"{target.serial}: {at * 100 // image.size} % {what}")

    begun = reports.now()
    kept.begun(target.serial)
    write.write(image, target.disk.path, target.disk.size, tell)
    kept.add(
        target.serial,
        "flash",
        {"begun": begun, "ended": reports.now(), "sha256": image.sha256},
        image=image.to_json(),
        disk=target.disk.to_json(),
        model=target.model,
        **{"class": image.host_class},
    )
