"""Write what node exporter does not know of this machine, again and again, for it to read.

    modelrack.pyz monitoring write SETTINGS
        {"file": ..., "interval": seconds, "vendor": "nvidia" | "amd" | ... | null, "cards": [...],
         "models": folder, "certificates": [...]}

What cannot be read is left out, and the rest is written: a tool that hangs because a card is lost
must not keep anybody from hearing of that card.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from ..gateway.certificate import openssl
from ..lib import durable
from .cards import Cards
from .exposition import Sample, text
from .kernel_errors import KernelErrors


def run(settings: dict[str, Any], stop: Event) -> int:
    """Write until told to stop."""
    cards, errors = Cards(settings["vendor"], settings["cards"]), KernelErrors()
    file = Path(settings["file"])
    while not stop.is_set():
        began = time.monotonic()
        durable.replace(file, text(samples(settings, cards, errors)).encode(), sync=False)
        stop.wait(max(0.0, settings["interval"] - (time.monotonic() - began)))
    return 0


def samples(settings: dict[str, Any], cards: Cards, errors: KernelErrors) -> Iterator[Sample]:
    """Yield all that is known now."""
    yield from cards.samples()
    yield from errors.samples()
    yield from _disk(settings["models"])
    yield from _certificates(settings["certificates"])


def _disk(folder: str) -> Iterator[Sample]:
    try:
        found = os.statvfs(folder)
    except OSError as error:
        print(f"{folder}: {error.strerror}", file=sys.stderr)
        return
    yield Sample("modelrack_models_disk_free_bytes", found.f_bavail * found.f_frsize)
    yield Sample("modelrack_models_disk_size_bytes", found.f_blocks * found.f_frsize)


def _certificates(paths: Sequence[str]) -> Iterator[Sample]:
    for path in paths:
        try:
            dates = openssl("x509", "-noout", "-dates", given=Path(path).read_text())
            begin, end = (
                ssl.cert_time_to_seconds(line.partition("=")[2]) for line in dates.splitlines()
            )
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        yield Sample("modelrack_certificate_begin_timestamp_seconds", begin, path=path)
        yield Sample("modelrack_certificate_end_timestamp_seconds", end, path=path)
