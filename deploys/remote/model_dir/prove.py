"""A model directory that was copied or restored: proven again by its digests, recorded anew.

Its manifest names files as they lay elsewhere. What is still as recorded is not read; each of the
others is, once, and is in the manifest as it lies now as soon as it is proven, so that a proof that
was interrupted goes on from there. The caller holds the lock of the directory.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from dataclasses import replace as altered
from pathlib import Path
from typing import Any

from ..lib import space
from ..lib.durable import replace
from ..lib.failure import Failure, Stopped
from ..lib.lock import Taken, held
from ..lib.progress import Progress
from ..lib.spec import ListedFile, take_ownership
from . import manifest, verify
from .manifest import Manifest, Record
from .verify import Finding

# In `.fetch/`: what was read and is wrong, so that nobody reads it again to learn that.
WRONG = "wrong.json"


@dataclass(frozen=True)
class Proof:
    """`problems`: a sentence for each file that is not what it should be; none: `found` holds.

    `sound` are shards that are right in a merged file that is not.
    """

    found: Manifest
    problems: tuple[str, ...] = ()
    sound: tuple[ListedFile, ...] = ()


def prove(found: Manifest, directory: Path, stop: threading.Event | None = None) -> Proof:
    """Every file of `found` that is not as recorded has been read, unless its size says enough."""
    known, doubtful = _read_wrong(directory), dict[str, Record]()
    findings = []
    for each, problem in manifest.changes(found, directory):
        now = _record(directory, each)
        if now is None or now.size != each.size:
            findings.append(Finding(each, problem))
        elif (directory / each.path).is_symlink():
            findings.append(Finding(each, f"{each.path}: a link, and it was a file"))
        elif (wrong := known.get(each.path)) and wrong["now"] == asdict(now):
            sound = tuple(file for file in found.sources if file.path in wrong["sound"])
            findings.append(Finding(each, wrong["problem"], sound))
        else:
            doubtful[each.path] = now
    if doubtful:
        print(
            f"{directory}: copied, restored or written to since it was proven; reading"
            f" {len(doubtful)} of {len(found.files)} files, to prove them again",
            flush=True,
        )
        with closing(_read(found, directory, doubtful, stop or threading.Event())) as read:
            for finding in read:
                now = doubtful[finding.record.path]
                if finding.problem:
                    findings.append(finding)
                    sound_paths = [file.path for file in finding.sound]
                    known[now.path] = {
                        "now": asdict(now),
                        "problem": finding.problem,
                        "sound": sound_paths,
                    }
                    replace(directory / ".fetch" / WRONG, json.dumps(known).encode())
                else:
                    files = [now if each.path == now.path else each for each in found.files]
                    found = altered(found, files=tuple(files))
                    _write(found, directory)
    return Proof(
        found,
        tuple(each.problem for each in findings),
        tuple(file for each in findings for file in each.sound),
    )


def refresh(file: Path, stop: threading.Event | None = None) -> None:
    """If a manifest beside `file` names it, it speaks of the file as it lies now."""
    found = manifest.load(file.parent / manifest.NAME)
    if found and file.exists() and any(each.path == file.name for each in found.files):
        prove(found, file.parent, stop)


def renew(directory: Path, stop: threading.Event) -> list[str]:
    """Verify what may have been copied in a model directory, and return what is wrong.

    Wait for a fetch or another proof that is at work there.
    """
    found = manifest.load(directory / manifest.NAME)
    if not found:
        raise Failure(f"{directory / manifest.NAME} is missing: fetch the weights first")
    if not manifest.problems(found, directory):
        return []
    try:
        (directory / ".fetch").mkdir(mode=0o700, exist_ok=True)
        while True:
            with suppress(Taken), held(directory / ".fetch" / "lock"):
                found = manifest.load(directory / manifest.NAME) or found
                return list(prove(found, directory, stop).problems)
            if stop.is_set():
                raise Stopped
    except OSError as error:
        raise space.explain(error, directory) or error from error


def _read(
    found: Manifest, directory: Path, doubtful: dict[str, Record], stop: threading.Event
) -> Generator[Finding, None, None]:
    progress = Progress("prove", sum(each.size for each in doubtful.values()))

    def on_bytes(count: int) -> None:
        if stop.is_set():
            raise Stopped
        progress.advance(count)

    records = [each for each in found.files if each.path in doubtful]
    try:
        with closing(verify.findings_of(records, found, directory, on_bytes)) as findings:
            for each in findings:
                now = doubtful[each.record.path]
                if not each.problem and _record(directory, now) != now:
                    yield Finding(now, f"{now.path}: written to while it was read")
                else:
                    yield each
    finally:
        progress.tick(last=True)


def _record(directory: Path, each: Record) -> Record | None:
    """Return the record of the file as it lies now, with the digest expected; None if missing."""
    try:
        return manifest.record(directory, each.path, each.sha256)
    except OSError:
        return None


def _write(found: Manifest, directory: Path) -> None:
    path = directory / manifest.NAME
    owner = path.stat()
    replace(path, found.render())
    take_ownership(path, (owner.st_uid, owner.st_gid))


def _read_wrong(directory: Path) -> dict[str, Any]:
    try:
        known = json.loads((directory / ".fetch" / WRONG).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
