"""Kernels that a driver's module does not compile for: interfaces change within a series, too."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.hardware.software_stacks import parsed


@dataclass(frozen=True, kw_only=True)
class Break:
    """A change of the kernel that older modules do not know.

    + vendor: whose modules; before: version of the first one that knows it
    + kernels: the first release of each series that has it, as its numbers: (6, 1, 0, 57) is
      Debian's 6.1.0-57-amd64
    + source, date: where it comes from and when that was read
    """

    vendor: str
    before: str
    kernels: tuple[tuple[int, ...], ...]
    source: str
    date: str


BREAKS = (
    Break(
        vendor="nvidia",
        before="580.126.09",
        kernels=((6, 1, 0, 57), (6, 12, 118)),
        source="compiled on Debian 12 and 13: pci_resize_resource() has a fourth argument there;"
        " 6.1.0-47 still takes the older ones",
        date="2026-11-28",
    ),
)


def breaks(vendor: str, version: str, release: str) -> Break | None:
    """Return what keeps a driver's module from compiling for a kernel; None if nothing is known.

    + release: as `uname -r` prints it
    """
    return next(
        (
            each
            for each in BREAKS
            if each.vendor == vendor
            and parsed(version) < parsed(each.before)
            and any(_has(parsed(release), first) for first in each.kernels)
        ),
        None,
    )


def _has(release: tuple[int, ...], first: tuple[int, ...]) -> bool:
    """Return whether a release is of the series of `first`, and not older."""
    series = len(first) - 1
    return release[:series] == first[:series] and release[series:] >= first[series:]
