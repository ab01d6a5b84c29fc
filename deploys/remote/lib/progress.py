"""Progress of a long step: a small JSON file to be polled, and an occasional line in the log."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TextIO

from .durable import replace
from .space import human

FILE_EVERY = 0.5
LINE_EVERY = 5.0
RATE_OVER = 20.0


class Progress:
    """Count of bytes done, out of `total`; any thread calls `add`, one thread calls `tick`."""

    def __init__(self, step: str, total: int, *, log: TextIO | None = None) -> None:
        self.step, self.total, self.done = step, total, 0
        self._log = log or sys.stdout
        self._lock = threading.Lock()
        self._ticking = threading.Lock()
        self._path = os.environ.get("MODELRACK_PROGRESS")
        now = time.monotonic()
        self._file_due = now
        self._line_due = now + LINE_EVERY
        # What was there at the start is not speed: the first sample is taken at the first tick.
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """Count `count` more bytes as done, or fewer if it is negative."""
        with self._lock:
            self.done += count

    def advance(self, count: int) -> None:
        """Call `add` and `tick`; any thread may do so."""
        self.add(count)
        if self._ticking.acquire(blocking=False):
            try:
                self.tick()
            finally:
                self._ticking.release()

    def tick(self, *, last: bool = False) -> None:
        """Write the file if half a second has passed, and a line to the log if five have.

        With `last`, write both now.
        """
        now = time.monotonic()
        if now >= self._file_due or last:
            self._file_due = now + FILE_EVERY
            self._samples.append((now, self.done))
            while len(self._samples) > 2 and now - self._samples[0][0] > RATE_OVER:
                self._samples.popleft()
            self._write()
        if now >= self._line_due or last:
            self._line_due = now + LINE_EVERY
            print(self.line(), file=self._log, flush=True)

    def line(self) -> str:
        """Return a line like `fetch: 1.2 GB of 4.0 GB (30 %), 110.0 MB/s, 26 s left`."""
        share = 100 * self.done // self.total if self.total else 100
        text = f"{self.step}: {human(self.done)} of {human(self.total)} ({share} %)"
        rate = self._rate()
        if rate > 0 and self.done < self.total:
            text += f", {human(rate)}/s, {duration((self.total - self.done) / rate)} left"
        return text

    def _rate(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else 0.0

    def _write(self) -> None:
        if not self._path:
            return
        record = {"done": self.done, "total": self.total, "step": self.step, "unit": "B"}
        # Progress is a courtesy: a full disk there must not end the work.
        with contextlib.suppress(OSError):
            replace(Path(self._path), json.dumps(record).encode() + b"\n", sync=False)


def duration(seconds: float) -> str:
    """Return a duration as `45 s`, `12 min` or `3 h 05 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
