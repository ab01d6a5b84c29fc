"""Lines of the kernel log that report a GPU error: of the card itself, or of an application."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..lib.probe import run

LOG = Path("/dev/kmsg")

# NVIDIA numbers its errors: Xid of a card, SXid of an NVSwitch, fatal or not. A card that is gone
# or does not start is at times told of in words alone (nv.c, osinit.c), and AMD's driver says that
# it resets one (amdgpu_device.c).
_ERROR = re.compile(
    r"NVRM: Xid|SXid.*\bFatal\b|GPU has fallen off the bus"
    r"|RmInitAdapter failed|rm_init_adapter failed|amdgpu.*GPU reset begin",
)
# What a program does wrong: an address outside its memory, an exception, its end by a signal.
# Source: NVIDIA's Xid catalog, and the default list of its k8s-device-plugin.
_OF_APPLICATIONS = re.compile(r"NVRM: Xid \([^)]*\): (?:13|31|43|45|68|109)\b")
# A record of /dev/kmsg: "4,1234,98765432,-;text", with details on lines that begin with a space.
_PREFIX = re.compile(r"^\d+,\d+,\d+,[^;]*;")
# The first ones name the cause, and a card in trouble may write thousands.
_MOST = 50


def errors(log: Path = LOG) -> tuple[list[str], list[str]]:
    """Return the lines since boot that report errors of GPUs, and those of applications on them.

    Oldest first, 50 of each at most, without duplicates; both empty if the log may not be read.
    """
    text = _buffer(log)
    if text is None:
        text, _ = run("journalctl", "--dmesg", "--boot", "--output=cat", "--no-pager", "--quiet")
    return error_lines(text)


def records(log: Path = LOG) -> str:
    """Return what the kernel holds of its log, as it writes it; "" if it may not be read."""
    return _buffer(log) or ""


def error_lines(text: str) -> tuple[list[str], list[str]]:
    """Return the lines of a log's text that report errors, as `errors` does."""
    lines = (_PREFIX.sub("", line).strip() for line in text.splitlines())
    found = list(dict.fromkeys(filter(_ERROR.search, lines)))
    of_applications = list(filter(_OF_APPLICATIONS.search, found))
    return [line for line in found if line not in of_applications][:_MOST], of_applications[:_MOST]


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
