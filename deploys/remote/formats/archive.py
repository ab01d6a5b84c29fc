"""Unpack an archive into an empty directory, and write nothing outside it.

The rules are those of tarfile's `data` filter, written out because Python before 3.10.12 and 3.11.4
has no filters and zipfile has none at all. There is one more: no member may pass through a link
from the same archive.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..lib.failure import Failure

ZSTD = b"\x28\xb5\x2f\xfd"
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)


class BadArchive(Failure):
    """The archive is damaged, of unknown format, or has something that no archive should."""


@dataclass(frozen=True)
class Member:
    """One entry; `kind` is file, directory, symlink or hardlink, `link` the target of a link."""

    name: str
    kind: str
    executable: bool
    link: str
    content: IO[bytes] | None


def unpack(archive: Path, target: Path, strip: int) -> None:
    """Unpack the members of `archive` into `target`, without their first `strip` path components.

    Files get mode 0644 or 0755, directories 0755; times are those of unpacking. Raise Unpackable if
    the archive is damaged or not to be trusted.
    """
    links: set[Path] = set()
    try:
        with contextlib.closing(_members(archive)) as members:
            for member in members:
                path = _inside(target, member.name, strip)
                if path is not None:
                    _place(member, path, target, links, strip)
    except DAMAGED as error:
        raise BadArchive(f"{archive.name} is damaged or no tar or zip archive ({error})") from error
    except OSError as error:
        # gzip and bz2 report damage as an OSError without a number.
        if error.errno is None:
            raise BadArchive(f"{archive.name} is damaged ({error})") from error
        raise
    root = target.resolve()
    for link in links:
        if not link.resolve().is_relative_to(root):
            raise BadArchive(f"{archive.name}: the link {link.relative_to(target)} leads outside")


def _members(archive: Path) -> Generator[Member, None, None]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                yield from _zip_member(packed, entry)
        return
    with archive.open("rb") as file:
        packed_by_zstd = file.read(len(ZSTD)) == ZSTD
    if packed_by_zstd:
        yield from _zstd_members(archive)
        return
    with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as tar:
        for info in tar:
            yield _tar_member(tar, info)


def _zstd_members(archive: Path) -> Generator[Member, None, None]:
    """Yield the members, read through the zstd program: Python has zstd from 3.14 on."""
    program = shutil.which("zstd")
    if program is None:
        raise Failure(f"{archive.name} is packed by zstd, which is not installed: install zstd")
    with subprocess.Popen(
        [program, "--decompress", "--stdout", "--quiet", str(archive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reading:
        assert reading.stdout is not None
        with tarfile.open(
            fileobj=reading.stdout, mode="r|", encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for info in tar:
                yield _tar_member(tar, info)
        while reading.stdout.read(1 << 20):
            pass  # what pads the archive; an error after the last member is one, too
    if reading.returncode:
        raise BadArchive(f"{archive.name} is damaged: zstd ended with {reading.returncode}")


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    executable = bool(info.mode & stat.S_IXUSR)
    if info.isdir():
        return Member(info.name, "directory", True, "", None)
    if info.issym():
        return Member(info.name, "symlink", False, info.linkname, None)
    if info.islnk():
        return Member(info.name, "hardlink", executable, info.linkname, None)
    if info.isreg():
        return Member(info.name, "file", executable, "", tar.extractfile(info))
    raise BadArchive(f"{info.name} is a device or pipe: this archive is not to be trusted")


def _zip_member(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[Member]:
    mode = entry.external_attr >> 16
    if entry.is_dir():
        yield Member(entry.filename, "directory", True, "", None)
        return
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise BadArchive(f"{entry.filename} is a device or pipe: this archive is not to be trusted")
    with packed.open(entry) as content:
        if stat.S_ISLNK(mode):
            yield Member(entry.filename, "symlink", False, os.fsdecode(content.read()), None)
        else:
            yield Member(entry.filename, "file", bool(mode & stat.S_IXUSR), "", content)


def _inside(target: Path, name: str, strip: int) -> Path | None:
    """Return where `name` goes; None if nothing of it is left after stripping."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BadArchive(f"unsafe path in the archive: {name!r}")
    return target.joinpath(*parts[strip:]) if parts[strip:] else None


def _place(member: Member, path: Path, target: Path, links: set[Path], strip: int) -> None:
    if any(parent in links for parent in path.parents):
        raise BadArchive(f"{member.name} goes through a link of the same archive")
    if member.kind == "directory":
        if path in links:
            raise BadArchive(f"{member.name} is both a link and a directory")
        _directories(path, target)
        return
    _directories(path.parent, target)
    if path.is_symlink() or path.exists():
        path.unlink()  # a later member of the same name counts, as with tar
        links.discard(path)
    if member.kind == "symlink":
        if member.link.startswith("/"):
            raise BadArchive(f"the link {member.name} leads to the absolute path {member.link}")
        path.symlink_to(member.link)
        links.add(path)
    elif member.kind == "hardlink":
        origin = _inside(target, member.link, strip)
        if origin is None or origin.is_symlink() or not origin.is_file():
            raise BadArchive(f"the hard link {member.name} leads to no file of this archive")
        if any(parent in links for parent in origin.parents):
            raise BadArchive(f"the hard link {member.name} goes through a link")
        path.hardlink_to(origin)
    else:
        with path.open("wb") as file:
            shutil.copyfileobj(member.content or _nothing(), file, 1 << 20)
            os.fchmod(file.fileno(), 0o755 if member.executable else 0o644)


def _directories(path: Path, target: Path) -> None:
    if path == target or path.is_dir():
        return
    _directories(path.parent, target)
    path.mkdir()
    path.chmod(0o755)


def _nothing() -> IO[bytes]:
    raise BadArchive("a member has no content")
