"""What cannot be made again, in one file: packed on a machine, and put back on one that lacks it.

    python3 kept.py pack FILE < {"paths": [paths]}
    python3 kept.py put FILE < {"paths": [paths]}

`pack` leaves out what is not there, and prints what it has packed, as a JSON list. A database of
SQLite is copied as it is at one moment, though its program may be writing to it. `put` takes no
path that exists already, and removes FILE; owners go by their names, which have to be known here.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..lib import space
from ..lib.failure import Failure, exit_code

_SQLITE = b"SQLite format 3\0"
# What SQLite keeps beside a database while it is open; the copy has it in it.
_BESIDE = ("-wal", "-shm", "-journal")


def main() -> int:
    return exit_code(_main)


def _main() -> int:
    verb, archive = sys.argv[1], Path(sys.argv[2])
    request: dict[str, Any] = json.load(sys.stdin)
    paths = [Path(path) for path in request["paths"]]
    if verb == "pack":
        print(json.dumps(pack(archive, paths)))
        return 0
    try:
        print(json.dumps(put(archive, paths)))
    finally:
        archive.unlink()
    return 0


def pack(archive: Path, paths: list[Path], root: Path = Path("/")) -> list[str]:
    """Pack these paths, for root alone, and return those that are there."""
    there = [path for path in paths if (root / path.relative_to("/")).exists()]
    files = [file for path in there for file in _below(root / path.relative_to("/"))]
    space.require(archive.parent, sum(file.lstat().st_size for file in files), 2)
    arriving = archive.with_name(f".{archive.name}.arriving")
    handle = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as packed:
        for each in files:
            _add(packed, each, str(each.relative_to(root)), archive.parent)
    arriving.replace(archive)
    return list(map(str, there))


def _below(path: Path) -> Iterator[Path]:
    """Yield a path and all that is in it, folders first."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.iterdir()):
            if not each.is_socket() and not each.is_fifo() and not each.name.endswith(_BESIDE):
                yield from _below(each)


def _add(packed: tarfile.TarFile, path: Path, name: str, work: Path) -> None:
    if path.is_symlink() or not path.is_file() or not _is_database(path):
        packed.add(path, name, recursive=False)
        return
    with tempfile.TemporaryDirectory(dir=work) as folder:
        copy = Path(folder, "copy.db")
        uri = f"{path.as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True)) as source,
            closing(sqlite3.connect(copy)) as to,
        ):
            source.backup(to)
        entry = packed.gettarinfo(path, name)
        entry.size = copy.stat().st_size
        with copy.open("rb") as content:
            packed.addfile(entry, content)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def put(archive: Path, paths: list[Path], root: Path = Path("/")) -> list[str]:
    """Put back those of the paths that are missing, each as a whole, and return them."""
    done = []
    with tarfile.open(archive) as packed:
        # By default Python 3.14 takes owners and some modes away; what is in it is checked here.
        packed.extraction_filter = lambda member, path: member
        members = packed.getmembers()
        for path in paths:
            target = root / path.relative_to("/")
            name = str(path.relative_to("/"))
            within = [each for each in members if f"{each.name}/".startswith(f"{name}/")]
            if not within or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                for member in within:
                    _check(member, name)
                    packed.extract(member, folder, numeric_owner=False)
                os.sync()
                shutil.move(str(Path(folder, name)), str(target))
            done.append(str(path))
    return done


def _check(member: tarfile.TarInfo, name: str) -> None:
    """Raise Failure for what only a stranger would have packed."""
    parts = member.name.split("/")
    if ".." in parts or not (member.isreg() or member.isdir() or member.issym()):
        raise Failure(f"the backup has {member.name}, which is none of {name}: it is not ours")


if __name__ == "__main__":
    raise SystemExit(main())
