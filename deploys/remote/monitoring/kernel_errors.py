"""When the kernel has last told of each error of a card: NVIDIA's Xid, by its number.

Told as a time and not as a count: an error that was there before Prometheus looked for the first
time, or that comes once, is no increase of anything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from ..facts import kernel_log
from ..lib.probe import read
from .exposition import Sample

# A record of /dev/kmsg: "4,1234,98765432,-;text", with microseconds since boot.
_XID = re.compile(
    r"^\d+,(?P<number>\d+),(?P<time>\d+),[^;]*;"
    r"NVRM: Xid \((?:PCI:)?(?P<address>[0-9A-Fa-f:.]+)[^)]*\): (?P<xid>\d+)\b",
    re.MULTILINE,
)


class KernelErrors:
    """What was seen since this program runs, and before, as far as the kernel still has it."""

    def __init__(self, log: Path = kernel_log.LOG) -> None:
        self._log = log
        self._seen: set[str] = set()
        self._last: dict[tuple[str, str], float] = {}

    def samples(self) -> Iterator[Sample]:
        """Yield the time of the last error of each number, of each card."""
        booted = _booted()
        now = time.time()
        for found in _XID.finditer(kernel_log.records(self._log)):
            if found["number"] in self._seen:
                continue
            self._seen.add(found["number"])
            of = (_address(found["address"]), found["xid"])
            # Clocks differ; none of it is of the future.
            at = min(booted + int(found["time"]) / 1e6, now)
            self._last[of] = max(at, self._last.get(of, 0.0))
        for (address, xid), at in self._last.items():
            yield Sample("modelrack_card_xid_timestamp_seconds", at, address=address, xid=xid)


def _address(text: str) -> str:
    """Return a PCI address as it is called everywhere else: the log leaves the function out."""
    address = text.lower()
    return address if "." in address else f"{address}.0"


def _booted() -> float:
    up = read("/proc/uptime").split()
    return time.time() - float(up[0]) if up else 0.0
