"""The manifest of a bundle and its signature, which coreutils and OpenSSH check without us."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from deploys.control.bundle.signature import foreign, sign
from deploys.planning.inputs.refusal import Refusal

MANIFEST, SIGNATURE = "MANIFEST", "MANIFEST.sig"


def seal(bundle: Path, key: Path) -> int:
    """Write the manifest of a bundle and sign it; return how many files it has.

    + key: private key of OpenSSH; one with a passphrase is asked for by ssh-keygen
    """
    lines = [f"{sha256(bundle / name)}  ./{name}\n" for name in _files(bundle)]
    (bundle / SIGNATURE).unlink(missing_ok=True)
    (bundle / MANIFEST).write_text("".join(lines))
    sign(bundle / MANIFEST, key)
    return len(lines)


def check(bundle: Path, signers: Path) -> Iterator[Refusal]:
    """Yield what is wrong with a bundle: its signature, or the files that differ from its manifest.

    + signers: allowed signers as ssh-keygen(1) has them: a name and a public key on each line
    """
    manifest, signature = bundle / MANIFEST, bundle / SIGNATURE
    for needed in (manifest, signature, signers):
        if not needed.is_file():
            yield Refusal(f"There is no {needed}", "Name the folder that bundle.py has written")
            return
    if problem := foreign(manifest, signature, signers):
        yield Refusal(
            f"The manifest of {bundle} was not signed by anybody in {signers}: {problem}",
            "Take nothing from it; have it sent again by who made it",
        )
        return
    sealed = listed(manifest)
    there = set(_files(bundle))
    for name in sorted(sealed.keys() - there):
        yield Refusal(f"{name} is missing", _AGAIN)
    for name in sorted(there - sealed.keys()):
        yield Refusal(f"{name} is in no manifest", "Remove it, or have the bundle sent again")
    for name in sorted(sealed.keys() & there):
        if sha256(bundle / name) != sealed[name]:
            yield Refusal(f"{name} is not what was sealed", _AGAIN)


_AGAIN = "Copy it again from who made the bundle"


def _files(bundle: Path) -> list[str]:
    return sorted(
        path.relative_to(bundle).as_posix()
        for path in bundle.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, SIGNATURE)
    )


def listed(manifest: Path) -> dict[str, str]:
    """Return the sha256 of each file by its path, as a manifest has them."""
    try:
        lines = [line.partition("  ./") for line in manifest.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise Refusal(f"{manifest} cannot be read: {error}", "Name a manifest") from error
    return {name: digest for digest, _, name in lines}


def sha256(file: Path) -> str:
    """Return the sha256 of a file, however large."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
