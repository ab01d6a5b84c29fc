"""The bytes of a file as an HTTP answer: ranges, and the faults that are in a file's content."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.faults import Fault

CHUNK = 1 << 20
IN_CONTENT = (
    *("truncate", "corrupt", "changed", "close", "reset", "stall", "slow"),
    *("no_range", "wrong_range"),
)
OTHER = bytes(byte ^ 0x5A for byte in range(256))


@dataclass(frozen=True)
class Bytes:
    """Part of a body that is in memory."""

    data: bytes | bytearray

    def send(self, connection: socket.socket) -> Iterator[int]:
        """Send it and say of each part how many bytes it was."""
        connection.sendall(self.data)
        yield len(self.data)


@dataclass(frozen=True)
class Extent:
    """Part of a body that goes from the file to the network without passing through Python."""

    file: int
    begin: int
    end: int

    def send(self, connection: socket.socket) -> Iterator[int]:
        """Send it and say of each part how many bytes it was."""
        at = self.begin
        while at < self.end and (
            sent := os.sendfile(connection.fileno(), self.file, at, min(CHUNK, self.end - at))
        ):
            at += sent
            yield sent


@dataclass(frozen=True)
class Break:
    """The connection ends here, after ``stall`` seconds of silence, by FIN or by ``reset``."""

    stall: float = 0
    reset: bool = False


Piece = Bytes | Extent | Break


@dataclass(frozen=True)
class Content:
    """An open file with the faults that are due for this one request."""

    file: int
    due: dict[str, Fault]

    def select(self, wanted: str | None) -> tuple[int, dict[str, str], Iterator[Piece]]:
        """Status, headers and body for a Range header (or none)."""
        size = os.fstat(self.file).st_size
        if fault := self.due.get("truncate"):
            size = self._place(fault, 0, size)
        if "no_range" in self.due:
            return 200, {"Content-Length": str(size)}, self._pieces(0, size, size)
        headers = {"Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
        if found is None or found[0] == "bytes=-":
            return 200, {**headers, "Content-Length": str(size)}, self._pieces(0, size, size)
        if found[1]:
            begin, end = int(found[1]), int(found[2] or size - 1) + 1
        else:
            begin, end = size - int(found[2]), size
        if "wrong_range" in self.due:
            begin, end = end, end + end - begin
        begin, end = max(begin, 0), min(end, size)
        if begin >= end:
            refusal = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return 416, headers | refusal, iter(())
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - begin)
        return 206, headers, self._pieces(begin, end, size)

    def _pieces(self, begin: int, end: int, size: int) -> Iterator[Piece]:
        stops = {
            self._place(fault, begin, end): kind
            for kind, fault in self.due.items()
            if kind in ("close", "reset", "stall")
        }
        stop = min(stops, default=end)
        yield from self._until(begin, min(stop, end), size)
        if kind := stops.get(stop):
            seconds = self.due[kind].seconds
            stall = (3600 if seconds is None else seconds) if kind == "stall" else 0
            yield Break(stall, reset=kind == "reset")

    def _until(self, begin: int, end: int, size: int) -> Iterator[Piece]:
        slow, corrupt = self.due.get("slow"), self.due.get("corrupt")
        if not slow and not corrupt and "changed" not in self.due:
            yield Extent(self.file, begin, end)
            return
        wrong = self._place(corrupt, 0, size) if corrupt else -1
        chunk = max(slow.rate // 10, 1) if slow else CHUNK
        for at in range(begin, end, chunk):
            data = bytearray(os.pread(self.file, min(chunk, end - at), at))
            if at <= wrong < at + len(data):
                data[wrong - at] ^= 0xFF
            yield Bytes(data.translate(OTHER) if "changed" in self.due else data)
            if slow:
                time.sleep(len(data) / slow.rate)

    def _place(self, fault: Fault, begin: int, end: int) -> int:
        """Where in the body the fault is: so many bytes in, or the middle."""
        return (begin + end) // 2 if fault.at is None else min(begin + fault.at, end)
