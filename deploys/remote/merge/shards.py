"""The merged file while its shards arrive: data is written in place as it comes, the header last.

Until then the file is called `<output>.part` and begins with zero bytes, so nothing can load it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from ..download.source import RetryPolicy, Source
from ..download.stream import stream
from ..download.target import Item, Run, Target
from ..download.trailing_hash import TrailingHasher
from ..formats import gguf
from ..formats.gguf import Header, padded
from ..formats.gguf_layout import GgufLayout, lay_out
from ..lib import space
from ..lib.durable import replace, write_all
from ..lib.failure import Failure, SourceFailure
from ..lib.folders import make_directories, refuse_links
from ..lib.journal import JournalEntry
from ..lib.spec import ListedFile, Spec, owner_ids, take_ownership
from ..model_dir.manifest import Record

# The journal's key for the file that shards are merged into.
PART = "part"


class HeaderChanged(Failure):
    """A shard's header was read wrongly; the merged file must be laid out again."""


class Merging:
    """The merged file of `shards`, laid out from their first bytes and open inside `with`."""

    def __init__(
        self,
        spec: Spec,
        run: Run,
        shards: Sequence[ListedFile],
        open_sources: Callable[[], Sequence[Source]],
    ) -> None:
        self._spec, self.files, self._run = spec, shards, run
        self._open_sources = open_sources
        self._heads = [
            Head(head_of(spec.directory, file), file, run.patience, run.stop) for file in shards
        ]
        found = self._read_heads()
        self._headers = [header for _, header in found]
        self._prefixes = [prefix for prefix, _ in found]
        try:
            self._layout = lay_out(list(zip(shards, self._headers)))
        except Failure:
            for head in self._heads:
                head.forget()  # not proven yet: the next run reads them again
            raise

    def __enter__(self) -> Merging:
        part = part_of(self._spec)
        refuse_links(self._spec.directory, self._spec.output or "")
        make_directories(part.parent, owner_ids(self._spec.owner))
        new = not part.exists()
        self._fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            own, journal = part_entry(self._fd), self._run.journal
            if new or journal.get(PART) != own:
                # Of another file, or one that was copied here, the journal knows where to look and
                # no more.
                places = zip(self.files, self._layout.places)
                keys = [Target(file, self._fd, place).key for file, place in places]
                ranges = {key: () if new else journal.get(key).ranges for key in keys}
                journal.put({**{key: JournalEntry(ranges[key]) for key in keys}, PART: own})
            space.allocate(self._fd, self._layout.size)
            self._follower = TrailingHasher(self._fd, self._layout.header, self._spans())
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._follower.close()
        os.close(self._fd)

    def items(self) -> list[Item]:
        """Return one item per shard, to be begun in this order, in which the follower reads."""
        return [_Shard(self, number) for number in range(len(self.files))]

    def places(self) -> list[tuple[ListedFile, int, int]]:
        """Return each shard, the size of its header, and where what follows it is in the file."""
        heads = [header.data_offset for header in self._headers]
        return list(zip(self.files, heads, self._layout.places))

    def target(self, number: int) -> Target | None:
        """Return where the shard goes, or None if it is there already."""
        file, header, prefix = self.files[number], self._headers[number], self._prefixes[number]
        head, own = self._heads[number], prefix[: header.data_offset]
        size = padded(max(0, file.size - header.data_offset))

        def renew(doubtful: Set[str]) -> bytes:
            head.forget()
            sources = sorted(self._open_sources(), key=lambda source: source.name in doubtful)
            again, _ = head.read(sources)
            if again[: header.data_offset] != own:
                raise HeaderChanged(
                    f"{file.path}: its header was damaged, laying out the merged file anew"
                )
            return again

        target = Target(
            file,
            self._fd,
            place=self._layout.places[number],
            header=own,
            prefix=prefix,
            padding=size - max(0, file.size - header.data_offset),
            reached=lambda size: self._follower.reached(number, size),
            renew=renew,
        )
        if not self._run.journal.get(target.key).proven:
            return target
        self._run.progress.add(file.size)
        self._follower.reached(number, size)
        return None

    def finish(self) -> Record:
        """Write the header and sync the file, which keeps its `.part` name.

        Return its Record, which has the final name.
        """
        digest = self._follower.result()
        write_all(self._fd, self._layout.header, 0)
        os.fchmod(self._fd, 0o644)
        os.fsync(self._fd)
        take_ownership(part_of(self._spec), owner_ids(self._spec.owner))
        found = os.fstat(self._fd)
        output = self._spec.output or ""
        return Record(output, found.st_size, digest, found.st_mtime_ns, found.st_ino)

    def _spans(self) -> list[tuple[int, int]]:
        ends = [*self._layout.places[1:], self._layout.size]
        return [(start, end - start) for start, end in zip(self._layout.places, ends)]

    def _read_heads(self) -> list[tuple[bytes, Header]]:
        """Read all headers, in several threads: each costs a few round trips and no more."""
        local = threading.local()

        def read(head: Head) -> tuple[bytes, Header]:
            if not hasattr(local, "sources"):
                local.sources = self._open_sources()
            return head.read(local.sources)

        with ThreadPoolExecutor(self._spec.workers) as pool:
            return list(pool.map(read, self._heads))


class _Shard:
    def __init__(self, merging: Merging, number: int) -> None:
        self._merging, self._number = merging, number
        self.file = merging.files[number]

    def begin(self) -> Target | None:
        return self._merging.target(self._number)

    def finish(self) -> None:
        """Do nothing: the shard is in its place in the merged file."""

    def close(self) -> None:
        """Do nothing: the merged file is closed when all shards are in it."""


class Head:
    """The first bytes of one shard, at least its header; kept for the next run."""

    def __init__(
        self, kept: Path, file: ListedFile, patience: RetryPolicy, stop: threading.Event
    ) -> None:
        self._kept, self._file = kept, file
        self._patience, self._stop = patience, stop

    def read(self, sources: Sequence[Source]) -> tuple[bytes, Header]:
        """Return (first bytes, header) as kept, or from the first source that has valid ones.

        Raise Failure if no source has.
        """
        try:
            data = self._kept.read_bytes()
            return data, gguf.scan(data, self._file.path)
        except (OSError, gguf.NotGguf, gguf.HeaderIncomplete):
            pass
        troubles = []
        for source in sources:
            try:
                data, header = self._fetch(source)
            except (SourceFailure, gguf.NotGguf) as trouble:
                troubles.append(f"{source.name}: {trouble}")
            else:
                replace(self._kept, data)
                return data, header
        raise Failure(f"{self._file.path}: " + "; ".join(troubles))

    def forget(self) -> None:
        self._kept.unlink(missing_ok=True)

    def _fetch(self, source: Source) -> tuple[bytes, Header]:
        file, data = self._file, bytearray()

        def read(goal: int) -> bytes:
            pieces = stream(
                source,
                file.path,
                len(data),
                file.size,
                patience=self._patience,
                stop=self._stop,
                end=goal,
            )
            for offset, piece in pieces:
                del data[offset:]  # a source without ranges begins again at 0
                data.extend(piece)
            return bytes(data)

        return gguf.beginning(read, file.size, file.path)


def part_entry(fd: int) -> JournalEntry:
    """Return the journal's entry for the merged file, by which it is recognized later."""
    return JournalEntry(stat=(os.fstat(fd).st_ino,))


def part_of(spec: Spec) -> Path:
    """Return the path of the merged file until it is complete."""
    return spec.directory / f"{spec.output}.part"


def head_of(directory: Path, file: ListedFile) -> Path:
    """Return where a model directory keeps the first bytes of a shard."""
    return directory / ".fetch" / f"{state_name(file)}.head"


def kept(directory: Path, shards: Sequence[ListedFile]) -> tuple[list[bytes], GgufLayout]:
    """Return the headers that are kept of all shards of a merged file, and the layout of that file.

    Raise OSError, NotGguf or Short if they are missing or damaged, Failure if they do not fit.
    """
    found = [head_of(directory, file).read_bytes() for file in shards]
    headers = [gguf.scan(data, file.path) for data, file in zip(found, shards)]
    layout = lay_out(list(zip(shards, headers)))
    ends = [min(header.data_offset, file.size) for header, file in zip(headers, shards)]
    return [data[:end] for data, end in zip(found, ends)], layout


def state_name(file: ListedFile) -> str:
    """Return a unique file name for what `.fetch/` keeps about `file` with this content."""
    return hashlib.sha256(f"{file.path}\n{file.sha256}".encode()).hexdigest()[:24]
