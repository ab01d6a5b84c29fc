"""Ollama's folder of models, as its server reads, prunes and writes it.

It says no where Ollama would: a manifest that is no JSON, a config blob that is not what its digest
says, a blob of another size than the manifest has it.
https://github.com/ollama/ollama/blob/main/manifest/manifest.go
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODEL = "application/vnd.ollama.image.model"
PARAMETERS = "application/vnd.ollama.image.params"
CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
BLOB = re.compile(r"sha256-[0-9a-f]{64}")
PRUNE_AFTER = 3600.0


class Store:
    """The folder that OLLAMA_MODELS names; it is read anew each time."""

    def __init__(self, models: Path) -> None:
        self.models = models

    def start(self, *, prune: bool = True) -> None:
        """What a start does: blobs that no manifest names and that are an hour old are removed."""
        (self.models / "blobs").mkdir(parents=True, exist_ok=True)
        (self.models / "manifests").mkdir(exist_ok=True)
        if not prune:
            return
        used = {
            each["digest"].replace(":", "-")
            for path in self._manifests()
            for each in _layers(json.loads(path.read_bytes()))
        }
        for blob in (self.models / "blobs").iterdir():
            old = time.time() - blob.stat().st_mtime > PRUNE_AFTER
            if not BLOB.fullmatch(blob.name) or (old and blob.name not in used):
                blob.unlink()

    def tags(self) -> list[dict[str, Any]]:
        """What ``GET /api/tags`` lists: models whose manifest and config can be read."""
        listed = []
        for path in self._manifests():
            try:
                manifest, config = self._read(path)
            except (OSError, ValueError, KeyError):
                continue
            listed.append(
                {
                    "name": self._name(path),
                    "model": self._name(path),
                    "size": sum(each["size"] for each in _layers(manifest)),
                    "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "details": _details(config),
                }
            )
        return listed

    def show(self, wanted: str) -> dict[str, Any]:
        """What ``POST /api/show`` answers; KeyError when there is no such model."""
        from gguf import GGUFReader

        _, config = self._read(self.path(wanted))
        file, parameters = self.model(wanted)
        fields = GGUFReader(file).fields.items()
        info = {key: field.contents() for key, field in fields if key.startswith("general.")}
        # Source: Ollama, server/routes.go, GetModelInfo.
        lines = [f"{name:30} {value}" for name, value in parameters.items()]
        about = {"parameters": "\n".join(lines)} if lines else {}
        return {"details": _details(config), "model_info": info, **about}

    def model(self, wanted: str) -> tuple[Path, dict[str, Any]]:
        """The blob of a model's weights, and its parameters; KeyError when there is no such."""
        manifest, _ = self._read(self.path(wanted))
        blobs = {each["mediaType"]: self._blob(each) for each in manifest["layers"]}
        parameters = json.loads(blobs[PARAMETERS].read_bytes()) if PARAMETERS in blobs else {}
        return blobs[MODEL], parameters

    def path(self, wanted: str) -> Path:
        """The manifest of a model; KeyError when there is none."""
        name = wanted if ":" in wanted.rpartition("/")[2] else f"{wanted}:latest"
        for path in self._manifests():
            if self._name(path) == name:
                return path
        raise KeyError(wanted)

    def add(self, content: bytes) -> str:
        """A blob with this content, which is not written again where it is there; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blob = self.models / "blobs" / digest.replace(":", "-")
        if not blob.exists():
            blob.write_bytes(content)
        return digest

    def create(self, wanted: str, weights: str, parameters: dict[str, Any]) -> None:
        """A model of a blob; Ollama would write the blob anew, with another digest."""
        content = (self.models / "blobs" / weights.replace(":", "-")).read_bytes()
        config = {"model_format": "gguf", "model_family": "", "model_families": []}
        config |= {"model_type": "", "file_type": "unknown"}
        layers = [(MODEL, content), (PARAMETERS, json.dumps(parameters).encode())]
        described = [
            {"mediaType": kind, "digest": self.add(data), "size": len(data)}
            for kind, data in [(CONFIG, json.dumps(config).encode()), *layers]
        ]
        model, _, tag = wanted.partition(":")
        path = self.models / "manifests/registry.ollama.ai/library" / model / (tag or "latest")
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST}
        path.write_text(json.dumps({**manifest, "config": described[0], "layers": described[1:]}))

    def delete(self, wanted: str) -> None:
        """The manifest, and blobs that no other names."""
        path = self.path(wanted)
        gone = _layers(json.loads(path.read_bytes()))
        path.unlink()
        used = {
            each["digest"]
            for other in self._manifests()
            for each in _layers(json.loads(other.read_bytes()))
        }
        for each in gone:
            if each["digest"] not in used:
                (self.models / "blobs" / each["digest"].replace(":", "-")).unlink(missing_ok=True)

    def _manifests(self) -> Iterator[Path]:
        yield from sorted((self.models / "manifests").glob("*/*/*/*"))

    def _name(self, path: Path) -> str:
        host, space, model, tag = path.relative_to(self.models / "manifests").parts
        shown = [] if host == "registry.ollama.ai" else [host]
        shown += [] if not shown and space == "library" else [space]
        return f"{'/'.join([*shown, model])}:{tag}"

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        manifest = json.loads(path.read_bytes())
        if manifest["schemaVersion"] != 2:
            raise ValueError(f"{path}: schema {manifest['schemaVersion']}")
        for layer in manifest["layers"]:
            self._blob(layer)
        content = self._blob(manifest["config"]).read_bytes()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != manifest["config"]["digest"]:
            raise ValueError(f"{path}: the config is not what its digest says")
        return manifest, json.loads(content)

    def _blob(self, layer: dict[str, Any]) -> Path:
        blob = self.models / "blobs" / layer["digest"].replace(":", "-")
        if not BLOB.fullmatch(blob.name) or blob.stat().st_size != layer["size"]:
            raise ValueError(f"{blob} is not {layer['size']} bytes")
        return blob


def _layers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [*manifest["layers"], manifest["config"]]


def _details(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": config["model_format"],
        "family": config["model_family"],
        "families": config["model_families"],
        "parameter_size": config["model_type"],
        "quantization_level": config["file_type"],
    }
