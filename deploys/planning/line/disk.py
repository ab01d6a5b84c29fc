"""Which disk an image may be written to: none that is in use, too small, or this computer's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.quantity import human

# Where a computer's own system is; swap has no folder.
_SYSTEM = {"/", "/boot", "/boot/efi", "/usr", "/var", "[SWAP]"}
# What is a disk of its own. A loop device is a file that is one.
_WHOLE = {"disk", "loop"}


@dataclass(frozen=True, kw_only=True)
class LineDisk:
    """One disk as the kernel has it.

    + path: of its device
    + kind: "disk", "part" and so on, as lsblk calls it
    + size: bytes
    + read_only: it refuses to be written
    + model, serial, wwn: what it says of itself; None where it says nothing
    + mounts: where it or a part of it is mounted
    + holders: devices that are made of it: of RAID, LVM, encryption
    """

    path: str
    kind: str
    size: int
    read_only: bool = False
    model: str | None = None
    serial: str | None = None
    wwn: str | None = None
    mounts: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()

    @classmethod
    def of(cls, listed: Mapping[str, Any]) -> LineDisk:
        """Return the disk of an entry that lsblk has listed, with what is below it."""
        below = list(_below(listed))
        mounts = [mount for each in (listed, *below) for mount in each.get("mountpoints") or ()]
        return cls(
            path=listed["path"],
            kind=listed["type"],
            size=int(listed["size"]),
            read_only=bool(listed["ro"]),
            **{name: (listed.get(name) or "").strip() or None for name in _NAMES},
            mounts=tuple(dict.fromkeys(mount for mount in mounts if mount)),
            holders=tuple(each["path"] for each in below if each["type"] != "part"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a report has of it."""
        return {name: getattr(self, name) for name in ("path", "size", *_NAMES)}

    def __str__(self) -> str:
        known = [self.model, self.serial and f"serial number {self.serial}", human(self.size)]
        return f"{self.path} ({', '.join(each for each in known if each)})"


_NAMES = ("model", "serial", "wwn")


def refusals(disk: LineDisk, size: int) -> Iterator[Refusal]:
    """Yield why an image of so many bytes may not be written to a disk."""
    if disk.kind not in _WHOLE:
        yield Refusal(f"{disk.path} is not a whole disk", "Name the disk that it is a part of")
    if own := [mount for mount in disk.mounts if mount in _SYSTEM]:
        yield Refusal(
            f"{disk.path} has the system of this computer, at {own[0]}", "Name another disk"
        )
    elif disk.mounts:
        yield Refusal(
            f"{disk.path} is mounted at {', '.join(disk.mounts)}",
            f"Unmount it, if it is the right disk: umount {disk.mounts[0]}",
        )
    elif disk.holders:
        yield Refusal(
            f"{disk.path} is in use by {', '.join(disk.holders)}",
            "Take that apart first, if it is the right disk",
        )
    if disk.read_only:
        yield Refusal(f"{disk.path} cannot be written", "Look for its switch, or use another disk")
    if disk.size < size:
        yield Refusal(
            f"{disk.path} has {human(disk.size)}, and the image {human(size, up=True)}",
            "Use a larger disk",
        )


def _below(listed: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in listed.get("children") or ():
        yield child
        yield from _below(child)
