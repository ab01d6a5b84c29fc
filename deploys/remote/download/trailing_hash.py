"""The sha256 of a file that is written in several places at once, read right behind the writers.

This saves a pass over the finished file: what is read was written a moment ago and is still in
memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence

from ..lib.content import PIECE


class TrailingHasher:
    """Digest of `header`, then of `spans` of `fd`, computed by a thread of its own.

    A span is (first byte, size); they adjoin and are in order.
    """

    def __init__(self, fd: int, header: bytes, spans: Sequence[tuple[int, int]]) -> None:
        self._fd, self._spans = fd, spans
        self._ready = [0] * len(spans)
        self._changed = threading.Condition()
        self._closed = self._final = False
        self._error: BaseException | None = None
        # The digest before each span, so that a span that is fetched again is also read again.
        self._before = [hashlib.sha256(header)]
        self._digest, self._span, self._at = self._before[0].copy(), 0, 0
        self._era = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def reached(self, span: int, size: int) -> None:
        """Record that the first `size` bytes of `span` are in place.

        If these are fewer than before, the span is hashed from its start again.
        """
        with self._changed:
            if size < self._ready[span]:
                self._era += 1  # what is being read at this moment may be the old content
            if size < self._ready[span] and (self._span, self._at) > (span, size):
                del self._before[span + 1 :]
                self._digest, self._span, self._at = self._before[span].copy(), span, 0
            self._ready[span] = size
            self._changed.notify_all()

    def result(self) -> str:
        """Wait until all has been read and return the digest in hex.

        No span may start over after this call.
        """
        with self._changed:
            self._final = True
            self._changed.notify_all()
        self._thread.join()
        if self._error:
            raise self._error
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread, whether or not it was done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                era, position, count = work
                data = os.pread(self._fd, count, position)
                if not data:
                    raise EOFError(f"the file is shorter than {position} bytes")
                self._take(era, data)
        except BaseException as error:
            self._error = error

    def _next(self) -> tuple[int, int, int] | None:
        with self._changed:
            while not self._closed:
                if self._span == len(self._spans):
                    if self._final:
                        break
                    self._changed.wait()  # the last span may begin anew
                    continue
                start, size = self._spans[self._span]
                if self._at == size:
                    self._span, self._at = self._span + 1, 0
                    self._before.append(self._digest.copy())
                elif self._at < self._ready[self._span]:
                    count = min(PIECE, self._ready[self._span] - self._at)
                    return self._era, start + self._at, count
                else:
                    self._changed.wait()
            return None

    def _take(self, era: int, data: bytes) -> None:
        digest = self._digest.copy()
        digest.update(data)
        with self._changed:
            if era == self._era:
                self._digest = digest
                self._at += len(data)
