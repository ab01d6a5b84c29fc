"""What is to be registered with Ollama: a model, and the files that become its blobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..lib.failure import Failure
from ..lib.spec import owner_ids
from ..model_dir import manifest
from ..model_dir.manifest import Record
from . import store


@dataclass(frozen=True)
class Registration:
    """What to make of a model directory of ours: the JSON of deploys/operations/services/ollama.py.

    `models` is Ollama's folder, `owner` the account that Ollama runs as, `version` Ollama's own,
    `program` where it lies, `parameters` what a Modelfile would set. `allow_copy`: a second copy of
    the weights is allowed: where a link cannot be, and by `ollama create` where the version is not
    known here. `file` is the GGUF file that Ollama is to open, needed where there are several;
    `projector` the one that lets the model see images. `adapter` is a LoRA adapter that every
    answer has, in `adapter_directory`, whose manifest holds.
    """

    name: str
    directory: Path
    models: Path
    version: str
    program: str = "ollama"
    parameters: dict[str, int | float] = field(default_factory=dict)
    owner: str | None = None
    allow_copy: bool = False
    file: str | None = None
    projector: str | None = None
    adapter: str | None = None
    adapter_directory: Path | None = None


@dataclass(frozen=True)
class BlobSource:
    """One file that becomes a blob of this kind."""

    kind: str
    path: Path
    record: Record


def parse(value: dict[str, Any]) -> Registration:
    """Return the Registration in `value`; raise Failure naming what is wrong."""
    try:
        wanted = Registration(
            **{
                **value,
                "directory": Path(value["directory"]),
                "models": Path(value["models"]),
                "adapter_directory": Path(value["adapter_directory"])
                if value.get("adapter_directory")
                else None,
            }
        )
    except (KeyError, TypeError) as error:
        raise Failure(f"the spec lacks a field or has one too many: {error}") from error
    store.manifest_path(wanted.models, wanted.name)
    owner_ids(wanted.owner)
    return wanted


def parts_of(wanted: Registration) -> list[BlobSource]:
    """Return the GGUF files to register, from directories whose manifests hold: the model first."""
    kinds = (store.MODEL, store.PROJECTOR)
    parts = [
        BlobSource(kind, wanted.directory / each.path, each)
        for kind, each in zip(kinds, _files(wanted), strict=False)
    ]
    if wanted.adapter and wanted.adapter_directory:
        directory = wanted.adapter_directory
        for each in _proven(directory):
            if each.path == wanted.adapter:
                return [*parts, BlobSource(store.ADAPTER, directory / each.path, each)]
        raise Failure(f"{directory} has no file {wanted.adapter}: fetch the adapter again")
    return parts


def _proven(directory: Path) -> list[Record]:
    """Return the GGUF files of a directory whose manifest holds."""
    found = manifest.load(directory / manifest.NAME)
    if not found:
        raise Failure(f"{directory} has no manifest: fetch or merge the model first")
    problems = manifest.problems(found, directory)
    if problems:
        raise Failure(f"{directory}: {problems[0]}: fetch the model again")
    return [each for each in found.files if each.path.lower().endswith(".gguf")]


def _files(wanted: Registration) -> list[Record]:
    """Return the GGUF files of the model itself: that one first."""
    directory, files = wanted.directory, _proven(wanted.directory)
    beside = [each for each in files if wanted.projector == each.path]
    if wanted.projector and not beside:
        raise Failure(f"{directory} has no file {wanted.projector}: fetch the model again")
    if wanted.file:
        files = [each for each in files if each.path == wanted.file]
        if not files:
            raise Failure(f"{directory} has no file {wanted.file}: fetch the model again")
    if len(files) != 1:
        raise Failure(
            f"{directory} has {len(files)} GGUF files, Ollama opens one: merge the shards "
            "(weights merge), or narrow the model's file patterns"
        )
    return [*files, *beside]
