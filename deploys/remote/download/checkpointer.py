"""Keep the journal of a run with several threads; it never claims more than is on disk."""

from __future__ import annotations

import os
import threading

from ..lib.journal import Journal, JournalEntry
from .scheduler import Scheduler
from .transfer import Transfer, TransferState


class Checkpointer:
    """Writer of a run's journal.

    `held` is held by whoever brings the journal up to date with the disk, and by whoever closes a
    file. `room` is notified when there is room for more bytes that are not in the journal yet.
    """

    def __init__(
        self, claims: Scheduler, journal: Journal, lock: threading.Lock, room: threading.Condition
    ) -> None:
        self.held = threading.Lock()
        self._claims, self._journal, self._lock, self._room = claims, journal, lock, room

    def prove(self, transfer: Transfer) -> None:
        """Sync a verified file to disk and record it as such."""
        target = transfer.target
        os.fdatasync(target.fd)
        with self.held:
            self._journal.put({target.key: JournalEntry(((0, transfer.file.size),), proven=True)})
            transfer.state = TransferState.PROVEN

    def sync(self) -> None:
        """Sync what has been written to disk, then record it in the journal."""
        with self.held:
            with self._lock:
                written = [
                    (each, each.era, each.unsynced, each.entry())
                    for each in self._claims.open
                    if each.unsynced and each.state is TransferState.OPEN
                ]
            for fd in {each.target.fd for each, *_ in written}:
                os.fdatasync(fd)
            entries = {
                each.target.key: entry
                for each, era, _, entry in written
                if each.era == era and each.state is TransferState.OPEN
            }
            if entries:
                self._journal.put(entries)
            with self._lock:
                for each, _, count, _ in written:
                    each.unsynced -= count
                self._room.notify_all()
