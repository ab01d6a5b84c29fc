"""Lines of the kernel log that report a broken GPU."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..lib.probe import run

LOG = Path("/dev/kmsg")

# NVIDIA numbers its errors ("Xid"), but a card that is gone is at times told of in words alone;
# AMD's driver says that it resets one (amdgpu_device.c).
_ERROR = re.compile(r"NVRM: Xid|GPU has fallen off the bus|amdgpu.*GPU reset begin", re.IGNORECASE)
# A record of /dev/kmsg: "4,1234,98765432,-;text", with details on lines that begin with a space.
_PREFIX = re.compile(r"^\d+,\d+,\d+,[^;]*;")
# The first ones name the cause, and a card in trouble may write thousands.
_MOST = 50


def errors(log: Path = LOG) -> list[str]:
    """Return the lines since boot that report a broken GPU, oldest first, 50 at most.

    Duplicates are left out. The list is empty if the log may not be read.
    """
    text = _buffer(log)
    if text is None:
        text, _ = run("journalctl", "--dmesg", "--boot", "--output=cat", "--no-pager", "--quiet")
    return error_lines(text)


def error_lines(text: str) -> list[str]:
    """Return the lines of a log's text that report a broken GPU, limited as by `errors`."""
    lines = (_PREFIX.sub("", line).strip() for line in text.splitlines())
    return list(dict.fromkeys(filter(_ERROR.search, lines)))[:_MOST]


def _buffer(log: Path) -> str | None:
    """Return what the kernel still holds of its log, or None if it may not be read.

    In a container the file is a FIFO that nobody writes to.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    parts = []
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return None
        while True:
            try:
                # One record a read; a buffer that is too small for it would be an error.
                part = os.read(descriptor, 1 << 16)
            except BrokenPipeError:
                continue  # The kernel has overwritten what came next.
            except OSError:
                break  # EAGAIN: that was the last one.
            if not part:
                break
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode(errors="replace")
