"""Files on the machine, written atomically, many in one round trip."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyinfra import host
from pyinfra.api import FileUploadCommand, QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs
from deploys.facts.files import Entries, Found, Kind
from deploys.rendering.templates import Rendered


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A directory; missing parents are created with the same owner and mode."""

    path: str
    mode: str = "755"
    user: str = "root"
    group: str = "root"

    def differs(self, found: Found | None) -> str:
        return _kind(self.path, "directory", found) or _owned(self, found)

    def to_json(self) -> dict[str, str]:
        return {"kind": "directory", **vars(self)}


@dataclass(frozen=True, kw_only=True)
class File:
    """A text file with an explicit mode; its content appears in no log and on no command line."""

    path: str
    content: str
    mode: str
    user: str = "root"
    group: str = "root"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()

    @classmethod
    def of(cls, rendered: Rendered) -> File:
        """Return the file for a rendered template."""
        return cls(path=rendered.path, content=rendered.content, mode=rendered.mode)

    def __repr__(self) -> str:
        return f"File({self.path})"

    def differs(self, found: Found | None) -> str:
        other = _kind(self.path, "file", found)
        if not other and found and found.sha256 != self.sha256:
            other = f"{self.path} has other content"
        return other or _owned(self, found)

    def to_json(self) -> dict[str, str]:
        content = base64.b64encode(self.content.encode()).decode()
        return {"kind": "file", **vars(self), "content": content}


@dataclass(frozen=True, kw_only=True)
class Link:
    """A symbolic link, replaced atomically by rename."""

    path: str
    target: str

    def differs(self, found: Found | None) -> str:
        other = _kind(self.path, "link", found)
        if not other and found and found.target != self.target:
            other = f"{self.path} leads to {found.target} instead of {self.target}"
        return other

    def to_json(self) -> dict[str, str]:
        return {"kind": "link", **vars(self)}


Entry = Directory | File | Link


@operation()
def put(
    entries: Sequence[Entry], gone: Sequence[str] = ()
) -> Generator[PyinfraCommand, None, None]:
    """
    Write folders, files and links; those that are as described already are left alone.

    + entries: in the order they are written, so folders before what lies in them
    + gone: files and folders that are not to be there, nor anything in them

    A file is written beside its place with its final owner and mode, synced and renamed: a lost
    connection or a power cut leaves the old file or the new one.
    """
    found = _found(entries, gone)
    missing = _differing(entries, found)
    unwanted = [path for path in gone if path in found]
    looking.differs(f"{path} is there" for path in unwanted)
    if not missing and not unwanted:
        host.noop("everything is in place")
        return
    if unwanted:
        yield StringCommand("rm", "-rf", "--", *map(QuoteString, unwanted))
    if missing:
        yield write(missing)


def differing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that do not match what is on the machine."""
    return _differing(entries, _found(entries))


def _differing(entries: Sequence[Entry], found: dict[str, Found]) -> list[Entry]:
    others = {entry: entry.differs(found.get(entry.path)) for entry in entries}
    looking.knows(entry.path for entry in entries)
    looking.differs(filter(None, others.values()))
    return [entry for entry, other in others.items() if other]


def _found(entries: Sequence[Entry], gone: Sequence[str] = ()) -> dict[str, Found]:
    paths = (*(entry.path for entry in entries), *gone)
    hashed = any(isinstance(entry, File) for entry in entries)
    return host.get_fact(Entries, paths=paths, hashed=hashed) if paths else {}


def write(entries: Sequence[Entry], units: Sequence[str] = ()) -> StringCommand:
    """Return the command that writes entries; if systemd rejects one of `units`, none is kept."""
    request = {"entries": [entry.to_json() for entry in entries], "units": list(units)}
    program = programs.inline("lib.put")
    return StringCommand(*program.bits, _stdin=json.dumps(request))


@operation()
def upload(src: Path | bytes, dest: str, mode: str) -> Generator[PyinfraCommand, None, None]:
    """
    Copy one file of the operator's computer whose name at `dest` changes with its content.

    + src: file here, or the content where there is none
    + dest: path on the machine, in a folder that exists, with a version or a digest in it
    + mode: octal digits
    """
    found = host.get_fact(Entries, paths=(dest,)).get(dest)
    looking.knows(hashes={dest: partial(sha256, src)})
    # It came to this name by a rename after its content was proven, and the name names the content.
    size = len(src) if isinstance(src, bytes) else src.stat().st_size
    if found is not None and (found.size, found.mode) == (size, mode):
        host.noop(f"{dest} is in place")
        return
    wanted = {"mode": mode, "size": size}
    there = {"mode": found.mode, "size": found.size} if found else {}
    looking.differs([_instead(dest, there, wanted)])
    yield from uploading(src, dest, mode)


def uploading(src: Path | bytes, dest: str, mode: str) -> Generator[PyinfraCommand, None, None]:
    """Yield the commands that upload one file; `dest` is only ever complete."""
    arriving = f"{dest}.arriving"
    yield StringCommand("install", "-m", mode, "/dev/null", QuoteString(arriving))
    yield FileUploadCommand(io.BytesIO(src) if isinstance(src, bytes) else str(src), arriving)
    check = f"{sha256(src)}  {arriving}\n"
    yield StringCommand(
        *("printf", "%s", QuoteString(check), "|", "sha256sum", "--check", "--quiet", "&&"),
        *("sync", QuoteString(arriving), "&&"),
        *("mv", "-f", QuoteString(arriving), QuoteString(dest), "&&"),
        *("sync", QuoteString(str(Path(dest).parent))),
    )


def _kind(path: str, wanted: Kind, found: Found | None) -> str:
    """Return why this is not there, or not as what it should be; "" if it is."""
    if found is None:
        return f"{path} is missing"
    return "" if found.kind == wanted else f"{path} is a {found.kind} instead of a {wanted}"


def _owned(wanted: Directory | File, found: Found | None) -> str:
    there = {"mode": found.mode, "user": found.user, "group": found.group} if found else {}
    due = {"mode": wanted.mode, "user": wanted.user, "group": wanted.group}
    return "" if there == due else _instead(wanted.path, there, due)


def _instead(path: str, found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    if not found:
        return f"{path} is missing"
    other = [
        f"{what} {found[what]} instead of {wanted[what]}"
        for what in wanted
        if found[what] != wanted[what]
    ]
    return f"{path} has {', '.join(other)}"


_hashes: dict[tuple[str, int, int], str] = {}


def sha256(path: Path | bytes) -> str:
    """Return the sha256 of a local file, which is read once per run rather than once per host."""
    if isinstance(path, bytes):
        return hashlib.sha256(path).hexdigest()
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _hashes:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        _hashes[key] = digest.hexdigest()
    return _hashes[key]
