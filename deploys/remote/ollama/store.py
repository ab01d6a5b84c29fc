"""The layout of Ollama's models folder, as far as we write to it: paths and file formats.

`blobs/sha256-<hex>` holds content by digest; `manifests/<host>/<namespace>/<model>/<tag>` is JSON
that names a config blob and layers. Ollama does not document this layout; it was read in the source
of the versions below.
https://github.com/ollama/ollama/blob/main/manifest/manifest.go
https://github.com/ollama/ollama/blob/main/types/model/config.go
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ..formats.gguf import Header, text_of
from ..lib.failure import Failure

# From the first to before the last of these versions the layout is known. Read in the source of
# v0.24.0 and of v0.33.0-rc2 (commit fb30760) on 2026-11-22. Of 0.34 and 0.35 public programs are
# seen to use it as it is, and the change that may come (pull request 15735, manifests-v2) still
# reads this folder; a deploy ends with the model's own answer, so it would show.
KNOWN = ((0, 24), (0, 36))
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
MODEL = "application/vnd.ollama.image.model"
PROJECTOR = "application/vnd.ollama.image.projector"
ADAPTER = "application/vnd.ollama.image.adapter"
PARAMETERS = "application/vnd.ollama.image.params"
# By which we know a manifest as ours again; Ollama passes over what it does not know.
MARK = "modelrack"
COPIED = "modelrack.copied"
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
# general.file_type by number, as llama.cpp counts and Ollama shows them.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One blob that a manifest names; `digest` in hex, `size` in bytes."""

    kind: str
    digest: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """Return the layer as Ollama writes it."""
        return {"mediaType": self.kind, "digest": f"sha256:{self.digest}", "size": self.size}


def layer(kind: str, content: bytes) -> Layer:
    """Return the Layer of a blob with this content."""
    return Layer(kind, hashlib.sha256(content).hexdigest(), len(content))


def is_known(version: str) -> bool:
    """Return whether this version of Ollama uses the folder layout described here."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.\d+", version)
    if not numbers:
        return False
    return KNOWN[0] <= (int(numbers[1]), int(numbers[2])) < KNOWN[1]


def manifest_path(models: Path, name: str) -> Path:
    """Return the path of the manifest of a model.

    Names are `tiny`, `tiny:tag`, `space/tiny:tag` or `host/space/tiny:tag`; raise Failure for
    others.
    """
    place, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "latest")
    parts = place.split("/")
    if len(parts) > 3 or not all(PART.fullmatch(part) for part in [*parts, tag]):
        raise Failure(
            f"{name!r} cannot be the name of a model in Ollama: use letters, digits, . _ and -"
        )
    host = parts[0] if len(parts) == 3 else "registry.ollama.ai"
    space = parts[-2] if len(parts) > 1 else "library"
    return models / "manifests" / host / space / parts[-1] / tag


def blob_path(models: Path, digest: str) -> Path:
    """Return the path of the blob with this digest (hex)."""
    return models / "blobs" / f"sha256-{digest}"


def config(header: Header, digest: str) -> bytes:
    """Return the config blob of a GGUF model with this header and digest."""
    family = text_of(header, b"general.architecture")
    kind = header.scalars.get(b"general.file_type")
    record = {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": count_text(sum(elements(each.info) for each in header.tensors)),
        "file_type": FILE_TYPES.get(int(kind), "unknown") if kind is not None else "unknown",
        "architecture": "amd64",  # on every machine: Ollama itself writes nothing else
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    return json.dumps(record, separators=(",", ":")).encode()


def parameters(values: dict[str, int | float]) -> bytes:
    """Return the blob of what a Modelfile sets by PARAMETER, such as num_ctx."""
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def manifest(settings: Layer, layers: list[Layer], origin: str, copied: str = "") -> bytes:
    """Return the manifest of a model of one file from our folder `origin`.

    `copied` says how the blob lay when it was verified, if it is a file of its own.
    """
    record = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": settings.to_json(),
        "layers": [each.to_json() for each in layers],
        "annotations": {MARK: origin, **({COPIED: copied} if copied else {})},
    }
    return json.dumps(record, separators=(",", ":")).encode()


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the content of a manifest, or None if there is none or it is not a JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def blobs_of(manifest: dict[str, Any]) -> list[Layer]:
    """Return the config and the layers that a manifest names, leaving out malformed ones."""
    layers = []
    for each in [manifest.get("config"), *(manifest.get("layers") or [])]:
        digest = each.get("digest") if isinstance(each, dict) else None
        found = re.fullmatch(r"sha256[:-]([0-9a-fA-F]{64})", str(digest))
        if found:
            layers.append(
                Layer(str(each.get("mediaType")), found[1].lower(), int(each.get("size") or 0))
            )
    return layers


def elements(info: bytes) -> int:
    """Return the number of elements of the tensor with this entry."""
    (length,) = struct.unpack_from("<Q", info)
    (dimensions,) = struct.unpack_from("<I", info, 8 + length)
    return prod(struct.unpack_from(f"<{dimensions}Q", info, 12 + length))


def count_text(count: int) -> str:
    """Return a parameter count as Ollama shows it: `7.6B`, `494.03M`, `224K`."""
    if count >= 10**9:
        return f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count / 10**6:.2f}M"
    return f"{count / 1000:.0f}K"
