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
from pathlib import Path
from typing import Any

from ..formats import gguf
from ..lib import space
from ..lib.durable import replace, sync_directory
from ..lib.failure import Failure
from ..lib.folders import make_directories
from ..lib.spec import owner_ids, read_json, take_ownership
from ..model_dir.manifest import Record
from . import blob as ollama_blob
from . import create, load, store
from .registration import BlobSource, Registration, parse, parts_of
from .store import Layer


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
    parts = parts_of(wanted)
    record = parts[0].record
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
        for part in parts:
            digest = part.record.sha256
            blob = store.blob_path(wanted.models, digest)
            ollama_blob.link_or_copy(part.path, digest, blob, ids, may_copy=wanted.allow_copy)
        for content in contents:
            digest = store.layer("", content).digest
            _write(store.blob_path(wanted.models, digest), content, ids)
        described = store.manifest(
            store.layer(store.CONFIG, config),
            _layers(wanted, parts),
            str(wanted.directory),
            _copied(wanted, parts),
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
        parts = parts_of(wanted)
    except Failure:
        return False
    record = parts[0].record
    if not store.is_known(wanted.version):
        source = (record.sha256, wanted.parameters)
        return wanted.allow_copy and create.holds(wanted.models, wanted.name, *source)
    found = store.read_manifest(store.manifest_path(wanted.models, wanted.name))
    blobs = store.blobs_of(found or {})
    if not found or blobs[1:] != _layers(wanted, parts):
        return False
    if not all(_has(store.blob_path(wanted.models, each.digest), each) for each in blobs):
        return False
    # What is not the proven file itself, but a copy, must lie as it did when that was made.
    return _copied(wanted, parts) in ("", (found.get("annotations") or {}).get(store.COPIED))


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


def _copied(wanted: Registration, parts: list[BlobSource]) -> str:
    """How the blobs of these files lie, "" where they are the very files."""
    return "".join(
        ollama_blob.copied(each.path, store.blob_path(wanted.models, each.record.sha256))
        for each in parts
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


def _layers(wanted: Registration, parts: list[BlobSource]) -> list[Layer]:
    """Return the layers that the manifest names beside the config."""
    return [
        *(Layer(each.kind, each.record.sha256, each.record.size) for each in parts),
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
    if wanted.projector or wanted.adapter:
        raise Failure(
            f"Ollama {wanted.version} may keep projectors and adapters in another way than {low}"
            f" up to before {high} do: use one of these, or serve the model with llama.cpp"
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
