"""A file that is not merged, from its part in `.fetch/` to its final name."""

from __future__ import annotations

import os
from pathlib import Path

from ..lib import space
from ..lib.content import sha256_of
from ..lib.durable import rename
from ..lib.folders import make_directories, refuse_links
from ..lib.journal import JournalEntry
from ..lib.spec import ListedFile, Spec, owner_ids, take_ownership
from ..merge.shards import state_name
from ..model_dir import manifest
from ..model_dir.manifest import Record
from ..peers.seed import Share
from .target import Run, Target


class Plain:
    """The Item of a file that is not merged; its Record is added to `records`."""

    def __init__(
        self, spec: Spec, run: Run, file: ListedFile, records: list[Record], share: Share | None
    ) -> None:
        self.file, self._share = file, share
        self._spec, self._run, self._records = spec, run, records
        self._final = spec.directory / file.path
        self._part = spec.directory / ".fetch" / f"{state_name(file)}.part"
        self._key = Target(file, -1).key
        self._fd = -1

    def begin(self) -> Target | None:
        if _already_there(self._run, self.file, self._final, self._key):
            self._record()
            return None
        refuse_links(self._spec.directory, self.file.path)
        if not self._part.exists():
            self._run.journal.forget(self._key)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._part, flags, 0o644)
        space.allocate(self._fd, self.file.size)
        if self._share:
            self._share.link(self.file, self._part)
        return Target(self.file, self._fd)

    def finish(self) -> None:
        os.fchmod(self._fd, 0o644)
        os.fsync(self._fd)
        make_directories(self._final.parent, owner_ids(self._spec.owner))
        rename(self._part, self._final)
        self._record()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _record(self) -> None:
        if self._share:
            self._share.link(self.file, self._final)
        take_ownership(self._final, owner_ids(self._spec.owner))
        found = manifest.record(self._spec.directory, self.file.path, self.file.sha256)
        stat = (found.size, found.mtime_ns, found.inode or 0)
        self._run.journal.put({self._key: JournalEntry(((0, self.file.size),), True, stat)})
        self._records.append(found)


def _already_there(run: Run, file: ListedFile, final: Path, key: str) -> bool:
    if final.is_symlink() or not has(final, file.size):
        return False
    found, entry = final.stat(), run.journal.get(key)
    if entry.proven and entry.stat == (found.st_size, found.st_mtime_ns, found.st_ino):
        run.progress.add(file.size)
        return True
    if sha256_of(final, run.progress.add) == file.sha256:
        final.chmod(0o644)
        return True
    run.progress.add(-file.size)
    return False


def has(path: Path, size: int) -> bool:
    """Return whether a file of this size exists."""
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False
