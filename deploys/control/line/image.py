"""An image on the line's computer: signed by somebody known, and whole, or it is not taken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploys.control.bundle.seal import sha256
from deploys.control.bundle.signature import foreign
from deploys.planning.inputs.refusal import Refusal

# A second disk has the weights of the first.
_ENDING, _SECOND = ".raw.zst", "-weights"
_SUMS = "SHA256SUMS"
_AGAIN = "Copy the image again from who made it"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image, as its maker has signed it.

    + file: compressed, as it was signed
    + size, sha256: of what is written to a disk
    + host_class: whose machines it is for
    + manifest: all that its maker says of it
    """

    file: Path
    size: int
    sha256: str
    host_class: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return self.file.name.removesuffix(_ENDING)

    def to_json(self) -> dict[str, Any]:
        """Return what a report has of it."""
        return {
            "name": self.name,
            "class": self.host_class,
            "size": self.size,
            "sha256": self.sha256,
            **{key: self.manifest[key] for key in ("models", "commit") if key in self.manifest},
        }


def checked(file: Path, signers: Path) -> Image:
    """Return an image that may be written: all of it was read, and is what was signed."""
    image = described(file, signers)
    _check(file, _listed(file.with_name(_SUMS)))
    return image


def described(file: Path, signers: Path) -> Image:
    """Return an image as its signed manifest has it; raise Refusal if that is not as signed.

    + file: NAME.raw.zst, or NAME-weights.raw.zst for a second disk; NAME.manifest.json, SHA256SUMS
      and SHA256SUMS.sig lie beside it
    + signers: names and public keys of who may sign images
    """
    if not file.name.endswith(_ENDING):
        raise Refusal(f"{file} is not an image", f"Name the file that ends with {_ENDING}")
    disk = file.name.removesuffix(_ENDING)
    manifest = file.with_name(f"{disk.removesuffix(_SECOND)}.manifest.json")
    sums, signature = file.with_name(_SUMS), file.with_name(f"{_SUMS}.sig")
    for needed in (file, manifest, sums, signature, signers):
        if not needed.is_file():
            raise Refusal(f"There is no {needed}", _AGAIN)
    if problem := foreign(sums, signature, signers):
        raise Refusal(
            f"{file} was not signed by anybody in {signers}: {problem}",
            "Write it to no disk; have it sent again by who made it",
        )
    _check(manifest, _listed(sums))
    try:
        told = json.loads(manifest.read_text())
        raw = told["disks"][disk]["raw"]
        return Image(
            file=file,
            size=int(raw["size"]),
            sha256=raw["sha256"],
            host_class=told["class"],
            manifest=told,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{manifest} does not describe {file.name}: {error!r}", _AGAIN) from error


def _check(file: Path, signed: dict[str, str]) -> None:
    if signed.get(file.name) != sha256(file):
        raise Refusal(f"{file} is not what was signed", _AGAIN)


def _listed(sums: Path) -> dict[str, str]:
    found = re.findall(r"^([0-9a-f]{64}) [ *](?:\./)?(.+)$", sums.read_text(), re.MULTILINE)
    return {name: digest for digest, name in found}
