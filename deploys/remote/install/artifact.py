"""Download an archive and unpack it into a directory of its own, completely or not at all.

Beside the directory are `.<name>.lock`, `.<name>.json` (what it was made from) and, until it is
complete, `.<name>.part` and `.<name>.unpack`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..download.http import RangeRefused
from ..download.source import Address, DirectorySource, RetryPolicy, Source
from ..download.stream import stream
from ..formats.archive import BadArchive, unpack
from ..formats.tree import tree_sha256
from ..lib import spec
from ..lib.content import looks_like, update_from
from ..lib.durable import rename, replace, sync_file_system, write_all
from ..lib.failure import Failure, Stopped
from ..lib.folders import make_directories
from ..lib.lock import Taken, held
from ..lib.progress import Progress
from ..lib.space import explain, require


class WrongArchive(BadArchive):
    """The download is not the archive that was pinned."""


@dataclass(frozen=True)
class Artifact:
    """An archive to install, and where.

    It is pinned by `sha256`, of the archive file, by `tree_sha256`, of its content, or by both.
    `keep` is where the archive itself is kept, once its content is proven; None to remove it.
    """

    url: str
    sha256: str | None
    tree_sha256: str | None
    directory: Path
    strip: int = 0
    token_file: str | None = None
    keep: Path | None = None


@dataclass(frozen=True)
class InstallRecord:
    """Record of what a directory was made from."""

    url: str
    sha256: str
    tree_sha256: str
    strip: int

    def satisfies(self, wanted: Artifact) -> bool:
        return (
            wanted.sha256 in (None, self.sha256)
            and wanted.tree_sha256 in (None, self.tree_sha256)
            and wanted.strip == self.strip
        )


def parse(value: dict[str, Any]) -> Artifact:
    """Return the Artifact in `value`; raise Failure naming what is wrong."""
    try:
        wanted = Artifact(
            url=str(value["url"]),
            sha256=_pin(value, "sha256"),
            tree_sha256=_pin(value, "tree_sha256"),
            directory=Path(str(value["directory"])),
            strip=int(value.get("strip") or 0),
            token_file=value.get("token_file"),
            keep=Path(value["keep"]) if value.get("keep") else None,
        )
    except KeyError as error:
        raise Failure(f"the spec lacks the field {error}") from error
    except (TypeError, ValueError) as error:
        raise Failure(f"the spec has a field of the wrong type: {error}") from error
    if not (wanted.sha256 or wanted.tree_sha256):
        raise Failure(
            f"{wanted.url}: neither sha256 nor tree_sha256 is given: pin one of them first"
        )
    if not wanted.directory.is_absolute():
        raise Failure(f"directory {wanted.directory} is not an absolute path")
    return wanted


def install(
    wanted: Artifact, *, patience: RetryPolicy | None = None, stop: threading.Event | None = None
) -> InstallRecord:
    """Install the pinned content as `wanted.directory`, and return what it was made from.

    Nothing is downloaded or unpacked if the directory already has this content.
    """
    found = _made(wanted)
    if found:
        return found
    parent = wanted.directory.parent
    try:
        make_directories(parent, (-1, -1))
        with held(sidecar_path(wanted, "lock")):
            return _made(wanted) or _install(
                wanted, patience or RetryPolicy(), stop or threading.Event()
            )
    except Taken:
        raise Failure(
            f"{wanted.directory} is being installed by another process: wait for it"
        ) from None
    except OSError as error:
        raise explain(error, parent) or error from error


def _pin(value: dict[str, Any], name: str) -> str | None:
    return spec.digest(value[name], name) if value.get(name) else None


def _made(wanted: Artifact) -> InstallRecord | None:
    directory, record = wanted.directory, sidecar_path(wanted, "json")
    if not directory.exists():
        return None
    try:
        found = InstallRecord(**json.loads(record.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = None
    if found and found.satisfies(wanted):
        return found
    if not found and wanted.tree_sha256 and tree_sha256(directory) == wanted.tree_sha256:
        # Renamed, and then the machine went down before the record was written.
        found = InstallRecord(wanted.url, wanted.sha256 or "", wanted.tree_sha256, wanted.strip)
        replace(record, json.dumps(asdict(found)).encode())
        return found
    raise Failure(
        f"{directory} exists and is not this artifact: remove it or choose another directory"
    )


def _install(wanted: Artifact, patience: RetryPolicy, stop: threading.Event) -> InstallRecord:
    part, target = sidecar_path(wanted, "part"), sidecar_path(wanted, "unpack")
    for last in (False, False, True):
        resumed = part.exists()
        _remove(target)  # of a killed run
        try:
            found = download(wanted, part, patience, stop)
            target.mkdir(mode=0o755)
            made = _unpack(wanted, part, target, found)
            break
        except (BadArchive, RangeRefused) as trouble:
            part.unlink(missing_ok=True)
            _remove(target)
            # The rest of a resumed download may belong to an archive that was packed anew since.
            if last or not (resumed or isinstance(trouble, WrongArchive)):
                raise
            print(f"{trouble}; fetching it again from the start", flush=True)
    rename(target, wanted.directory)
    replace(sidecar_path(wanted, "json"), json.dumps(asdict(made)).encode())
    if wanted.keep:
        part.chmod(0o644)
        rename(part, wanted.keep)
    part.unlink(missing_ok=True)
    return made


def download(wanted: Artifact, part: Path, patience: RetryPolicy, stop: threading.Event) -> str:
    """Download the archive to `part`, resuming what is there, and return its sha256.

    Raise WrongArchive if that is not the pinned one.
    """
    digest, progress = hashlib.sha256(), Progress("download", 0)

    def announce(total: int) -> None:
        progress.total = total
        require(part.parent, total - part.stat().st_size, 8)

    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        position = os.fstat(fd).st_size
        update_from(digest, fd, 0, position)
        progress.add(position)
        if position and digest.hexdigest() == wanted.sha256:
            return digest.hexdigest()
        source, path = _source(wanted, patience)
        for offset, data in stream(
            source, path, position, None, patience=patience, stop=stop, on_size=announce
        ):
            if offset < position:
                os.ftruncate(fd, 0)
                progress.add(-position)
                digest, position = hashlib.sha256(), 0
            write_all(fd, data, offset)
            digest.update(data)
            position += len(data)
            progress.add(len(data))
            progress.tick()
            if stop.is_set():
                raise Stopped
        os.fsync(fd)
        progress.tick(last=True)
    finally:
        os.close(fd)
    if wanted.sha256 not in (None, digest.hexdigest()):
        guess = looks_like(part.read_bytes()[:512]) if position < 1 << 20 else ""
        raise WrongArchive(
            f"{source.name}: sha256 expected {wanted.sha256}, found {digest.hexdigest()}"
            + (f" ({guess})" if guess else "")
            + ": check the pin, or use another mirror"
        )
    return digest.hexdigest()


def _unpack(wanted: Artifact, part: Path, target: Path, found: str) -> InstallRecord:
    unpack(part, target, wanted.strip)
    tree = tree_sha256(target)
    if wanted.tree_sha256 not in (None, tree):
        raise BadArchive(
            f"{wanted.url.partition('?')[0]}: tree_sha256 expected {wanted.tree_sha256}, "
            f"found {tree}: check the pin and strip, or use another mirror"
        )
    if not any(target.iterdir()):
        raise BadArchive(
            f"nothing is left of {wanted.url} after stripping {wanted.strip} path parts"
        )
    sync_file_system(target)
    return InstallRecord(wanted.url.partition("?")[0], found, tree, wanted.strip)


def _source(wanted: Artifact, patience: RetryPolicy) -> tuple[Source, str]:
    parts = urlsplit(wanted.url)
    if parts.scheme in ("", "file"):
        local = Path(unquote(parts.path) if parts.scheme else wanted.url)
        return DirectorySource(local.parent), local.name
    return Address(wanted.url, wanted.token_file, patience), wanted.directory.name


def sidecar_path(wanted: Artifact, kind: str) -> Path:
    """Return the hidden path beside the directory for its lock, record or unfinished part."""
    return wanted.directory.with_name(f".{wanted.directory.name}.{kind}")


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
