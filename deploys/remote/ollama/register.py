"""Registration of a verified GGUF file as a model in Ollama, without a second copy of it.

Ollama trusts a blob that is stored in its folder under its digest. So the file becomes that blob by
hard link, and the config blob, the parameters and the manifest are written beside it, the manifest
last. For a version of Ollama whose folder layout is not known here, `ollama create` is used
(create.py), if copying is allowed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..formats import gguf
from ..lib import space
from ..lib.durable import replace, sync_directory
from ..lib.failure import Failure
from ..lib.folders import make_directories
from ..lib.spec import owner_ids, read_json, take_ownership
from ..model_dir import manifest
from ..model_dir.manifest import Record
from . import blob as ollama_blob
from . import create, load, store
from .store import Layer


@dataclass(frozen=True)
class Registration:
    """What to make of a model directory of ours: the JSON of deploys/operations/services/ollama.py.

    `models` is Ollama's folder, `owner` the account that Ollama runs as, `version` Ollama's own,
    `program` where it lies, `parameters` what a Modelfile would set. `allow_copy`: a second copy of
    the weights is allowed: where a link cannot be, and by `ollama create` where the version is not
    known here. `file` is the GGUF file that Ollama is to open, needed where there are several;
    `projector` the one that lets the model see images.
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


def run(arguments: list[str]) -> int:
    """Run `register SPEC`, `unregister SPEC`, `load URL NAME...` or `registered`.

    A spec is the JSON of a Registration, in a file or on standard input (-); `registered` reads a
    list of them from standard input. Return the exit code.
    """
    if arguments[:1] == ["load"] and len(arguments) > 2:
        return load.load(arguments[1], arguments[2:])
    if arguments == ["registered"]:
        specs = [parse(each) for each in json.load(sys.stdin)]
        print(json.dumps([each.name for each in specs if is_registered(each)]))
        return 0
    if len(arguments) != 2 or arguments[0] not in ("register", "unregister"):
        raise Failure("ollama takes: register SPEC, unregister SPEC, load URL NAME..., registered")
    wanted = parse(read_json(arguments[1]))
    if arguments[0] == "register":
        print(f"{wanted.name}: {'registered' if register(wanted) else 'already registered'}")
    else:
        print(f"{wanted.name}: {'removed' if unregister(wanted) else 'not registered'}")
    return 0


def register(wanted: Registration) -> bool:
    """Register the model with Ollama; return whether anything had to be done."""
    if is_registered(wanted):
        return False
    records = _files(wanted)
    record = records[0]
    path = store.manifest_path(wanted.models, wanted.name)
    before = store.read_manifest(path)
    if not create.exists(wanted.models, wanted.name):
        _check_foreign(wanted, before)
    source = wanted.directory / record.path
    with source.open("rb") as file:
        _, header = gguf.beginning(lambda count: _first(file, count), record.size, record.path)
    gguf.refuse_parts(header, record.path)
    if not store.is_known(wanted.version):
        _create(wanted, record)
        return True
    ids = owner_ids(wanted.owner)
    config = store.config(header, record.sha256)
    contents = [config, *_parameters(wanted)]
    for folder in (wanted.models / "blobs", path.parent):
        make_directories(folder, ids)
    try:
        for each in records:
            blob = store.blob_path(wanted.models, each.sha256)
            proven = wanted.directory / each.path
            ollama_blob.link_or_copy(proven, each.sha256, blob, ids, may_copy=wanted.allow_copy)
        for content in contents:
            digest = store.layer("", content).digest
            _write(store.blob_path(wanted.models, digest), content, ids)
        described = store.manifest(
            store.layer(store.CONFIG, config),
            _layers(wanted, records),
            str(wanted.directory),
            _copied(wanted, records),
        )
        _write(path, described, ids)
    except OSError as error:
        raise space.explain(error, wanted.models) or error from error
    create.forget(wanted.models, wanted.name)
    _drop(wanted.models, before or {})
    return True


def is_registered(wanted: Registration) -> bool:
    """Return whether Ollama has the model as it is on disk now, without reading the weights."""
    try:
        records = _files(wanted)
    except Failure:
        return False
    record = records[0]
    if not store.is_known(wanted.version):
        source = (record.sha256, wanted.parameters)
        return wanted.allow_copy and create.holds(wanted.models, wanted.name, *source)
    found = store.read_manifest(store.manifest_path(wanted.models, wanted.name))
    blobs = store.blobs_of(found or {})
    if not found or blobs[1:] != _layers(wanted, records):
        return False
    if not all(_has(store.blob_path(wanted.models, each.digest), each) for each in blobs):
        return False
    # What is not the proven file itself, but a copy, must lie as it did when that was made.
    return _copied(wanted, records) in ("", (found.get("annotations") or {}).get(store.COPIED))


def unregister(wanted: Registration) -> bool:
    """Remove the model from Ollama, with the blobs that only it needs.

    Return whether it was registered. Raise Failure if it was not registered by modelrack.
    """
    path = store.manifest_path(wanted.models, wanted.name)
    found = store.read_manifest(path)
    if create.exists(wanted.models, wanted.name):
        ids = owner_ids(wanted.owner)
        create.remove(wanted.models, wanted.name, wanted.program, ids)
        return True
    if found is None:
        return False
    _check_foreign(wanted, found)
    path.unlink()
    sync_directory(path.parent)
    _drop(wanted.models, found)
    with contextlib.suppress(OSError):
        path.parent.rmdir()  # unless it has other tags
    return True


def parse(value: dict[str, Any]) -> Registration:
    """Return the Registration in `value`; raise Failure naming what is wrong."""
    try:
        wanted = Registration(
            **{
                **value,
                "directory": Path(value["directory"]),
                "models": Path(value["models"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise Failure(f"the spec lacks a field or has one too many: {error}") from error
    store.manifest_path(wanted.models, wanted.name)
    owner_ids(wanted.owner)
    return wanted


def _files(wanted: Registration) -> list[Record]:
    """Return the GGUF files to register, from a directory whose manifest holds: the model first."""
    directory = wanted.directory
    found = manifest.load(directory / manifest.NAME)
    if not found:
        raise Failure(f"{directory} has no manifest: fetch or merge the model first")
    problems = manifest.problems(found, directory)
    if problems:
        raise Failure(f"{directory}: {problems[0]}: fetch the model again")
    files = [each for each in found.files if each.path.lower().endswith(".gguf")]
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


def _copied(wanted: Registration, records: list[Record]) -> str:
    """How the blobs of these files lie, "" where they are the very files."""
    return "".join(
        ollama_blob.copied(
            wanted.directory / each.path, store.blob_path(wanted.models, each.sha256)
        )
        for each in records
    )


def _drop(models: Path, manifest: dict[str, Any]) -> None:
    """Remove the blobs that `manifest` names and no other manifest does."""
    used = {
        each.digest
        for path in (models / "manifests").rglob("*")
        if path.is_file()
        for each in store.blobs_of(store.read_manifest(path) or {})
    }
    for each in store.blobs_of(manifest):
        if each.digest not in used:
            store.blob_path(models, each.digest).unlink(missing_ok=True)


def _check_foreign(wanted: Registration, found: dict[str, Any] | None) -> None:
    if found is not None and not _is_ours(found):
        raise Failure(
            f"Ollama has a model {wanted.name} that is not ours: ollama rm {wanted.name}, or use "
            "another name"
        )


def _is_ours(found: dict[str, Any]) -> bool:
    return store.MARK in (found.get("annotations") or {})


def _parameters(wanted: Registration) -> list[bytes]:
    return [store.parameters(wanted.parameters)] if wanted.parameters else []


def _layers(wanted: Registration, records: list[Record]) -> list[Layer]:
    """Return the layers that the manifest names beside the config."""
    kinds = (store.MODEL, store.PROJECTOR)
    return [
        *(Layer(kind, each.sha256, each.size) for kind, each in zip(kinds, records, strict=False)),
        *(store.layer(store.PARAMETERS, each) for each in _parameters(wanted)),
    ]


def _create(wanted: Registration, record: Record) -> None:
    low, high = (".".join(map(str, each)) for each in store.KNOWN)
    if not wanted.allow_copy:
        raise Failure(
            f"Ollama {wanted.version} may keep its models in another way than {low} up to before "
            f"{high} do: use one of these, or allow ollama create, which copies the weights, by "
            "allow_copy=True of the service"
        )
    if wanted.projector:
        raise Failure(
            f"Ollama {wanted.version} may keep projectors in another way than {low} up to before"
            f" {high} do: use one of these, or serve the model with llama.cpp"
        )
    made = create.GgufSource(
        wanted.directory / record.path, record.sha256, record.size, wanted.parameters
    )
    ids = owner_ids(wanted.owner)
    create.create(wanted.models, wanted.name, made, wanted.program, ids)


def _write(path: Path, content: bytes, ids: tuple[int, int]) -> None:
    if not path.exists() or path.read_bytes() != content:
        replace(path, content)
    take_ownership(path, ids)


def _has(path: Path, layer: Layer) -> bool:
    try:
        return path.is_file() and path.stat().st_size == layer.size
    except OSError:
        return False


def _first(file: Any, count: int) -> bytes:
    file.seek(0)
    data: bytes = file.read(count)
    return data
