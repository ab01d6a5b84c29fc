"""Everything on this machine that has a checksum, read against it."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..lib.content import no_callback, sha256_of
from ..lib.failure import Failure
from ..lib.probe import read
from ..model_dir import manifest, verify

# dpkg(1), --verify-format=rpm: nine places, of which the third is the content; c is configuration.
_VERIFIED = re.compile(r"^(missing|[?.0-9A-Z]{9}) +(c )? *(/.*?)(?: \(.*\))?$")
# What small installations leave out by a rule of their package manager (dpkg.cfg, path-exclude).
_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")
_DISTRIBUTION = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)


def packages() -> Iterator[str]:
    """Yield a sentence about each file of a package that is not as the package brought it.

    Configuration is the administrator's own.
    """
    for command in (["dpkg", "--verify"], ["rpm", "-Va", "--nomtime", "--noconfig"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            continue
        for line in done.stdout.splitlines():
            found = _VERIFIED.match(line)
            if found and not found[2] and not found[3].startswith(_LEFT_OUT):
                if found[1] == "missing":
                    yield f"{found[3]} is missing, which a package brought"
                elif found[1][2] == "5":
                    yield f"{found[3]} is not what its package brought"


def weights(folder: Path) -> list[str]:
    """Return a sentence about each file of a model that is not what was fetched."""
    try:
        found = manifest.load(folder / manifest.NAME)
        wrong = verify.problems(found, folder, no_callback) if found else ["no manifest"]
    except Failure as failure:
        wrong = [str(failure)]
    return [f"{folder}: {each}" for each in wrong]


def distributions(folder: Path) -> dict[str, str]:
    """Return the version of each distribution in a Python environment, by its normal name."""
    found = {}
    for path in folder.glob("lib/python3*/site-packages/*.dist-info/METADATA"):
        said = dict(_DISTRIBUTION.findall(read(path).partition("\n\n")[0]))
        if "Name" in said:
            found[re.sub(r"[-_.]+", "-", said["Name"]).lower()] = said.get("Version", "")
    return found


def environment(folder: Path) -> Iterator[str]:
    """Yield a sentence about each file of a Python environment that is not as it was installed."""
    for record in folder.glob("lib/python3*/site-packages/*.dist-info/RECORD"):
        with record.open(newline="") as rows:
            for name, digest, *_ in csv.reader(rows):
                kind, _, wanted = digest.partition("=")
                path = record.parents[1] / name
                # What Python compiles it compiles anew, here too.
                if kind != "sha256" or path.suffix == ".pyc":
                    continue
                if not path.is_file():
                    yield f"{path} is missing"
                elif _encoded(path) != wanted:
                    yield f"{path} is not what was installed"


def tree(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a folder, by its path in it."""
    return {
        str(path.relative_to(folder)): sha256_of(path, no_callback)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _encoded(path: Path) -> str:
    # As RECORD has it: PEP 376 and the wheel format, without the padding.
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
