"""A merged file becomes a model of Ollama's: one content, two names, read by a stand-in of it."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace as altered
from math import prod
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.__main__ import main
from deploys.remote.download import fetch
from deploys.remote.lib import spec
from deploys.remote.lib.failure import Failure
from deploys.remote.merge.merge import join
from deploys.remote.model_dir import manifest
from deploys.remote.ollama import blob as ollama_blob
from deploys.remote.ollama import register
from deploys.remote.ollama import store as ollama_store
from deploys.remote.ollama.register import Registration
from tests.lab.ollama.server import Server
from tests.lab.ollama.store import Store
from tests.lab.tiny_adapter import TinyAdapter
from tests.lab.tiny_model import TinyModel
from tests.unit.remote import support


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A model directory: a split model of the lab, merged."""
    return made(tmp_path, TinyModel(), "tiny")


def made(root: Path, model: TinyModel, name: str) -> Path:
    shards = model.write_split(root / "shards" / name, "tiny-qwen2-F16", "F16", 3)
    join(shards[0], root / "models" / name / f"{name}.gguf")
    return root / "models" / name


@pytest.fixture
def wanted(tmp_path: Path, weights: Path) -> Registration:
    return Registration("tiny", weights, tmp_path / "ollama", "0.33.1")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def ask(store: Server, path: str, **body: Any) -> Any:
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(f"{store.url}{path}", data) as answer:
        return json.load(answer)


def blobs(wanted: Registration) -> list[str]:
    return sorted(path.name for path in (wanted.models / "blobs").iterdir())


def test_ollama_lists_and_shows_it(wanted: Registration) -> None:
    assert not register.is_registered(wanted)
    assert register.register(wanted)
    both = [path.stat().st_size for path in (wanted.models / "blobs").iterdir()]
    count = sum(prod(tensor.shape) for tensor in TinyModel().tensors("F16"))
    with Server(Store(wanted.models)) as store:
        (listed,) = ask(store, "/api/tags")["models"]
        assert listed["name"] == "tiny:latest"
        assert listed["size"] == sum(both)
        shown = ask(store, "/api/show", model="tiny")
        assert shown["model_info"]["general.name"] == "tiny qwen2"
        assert shown["details"] == listed["details"]
        assert shown["details"] == {
            "format": "gguf",
            "family": "qwen2",
            "families": ["qwen2"],
            "parameter_size": f"{count / 1000:.0f}K",
            "quantization_level": "F16",
        }


def test_there_is_one_content_and_nothing_to_do_twice(wanted: Registration) -> None:
    register.register(wanted)
    file = wanted.directory / "tiny.gguf"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    blob = wanted.models / "blobs" / f"sha256-{digest}"
    assert blob.samefile(file) and blob.stat().st_mode & 0o777 == 0o644
    # What we know about the weights still holds, and nothing is written again.
    assert manifest.holds(wanted.directory, "tiny.gguf")
    before = {path: path.stat().st_ctime_ns for path in wanted.models.rglob("*")}
    assert not register.register(wanted)
    assert {path: path.stat().st_ctime_ns for path in wanted.models.rglob("*")} == before


def test_a_start_of_ollama_keeps_it(wanted: Registration) -> None:
    register.register(wanted)
    os.utime(wanted.directory / "tiny.gguf", (0, 0))  # as old as weights are
    store = Store(wanted.models)
    before = blobs(wanted)
    store.start()
    assert blobs(wanted) == before and len(before) == 2
    (store.models / "manifests/registry.ollama.ai/library/tiny/latest").unlink()
    store.start()
    assert len(blobs(wanted)) == 1  # the config blob is not an hour old
    assert (wanted.directory / "tiny.gguf").exists()


@pytest.mark.parametrize("lost", ["blob", "config", "manifest", "damaged"])
def test_what_is_lost_is_put_back(wanted: Registration, lost: str) -> None:
    register.register(wanted)
    config, model = sorted(
        (wanted.models / "blobs").iterdir(), key=lambda path: path.stat().st_size
    )
    path = ollama_store.manifest_path(wanted.models, "tiny")
    before = path.read_bytes()
    {"blob": model, "config": config, "manifest": path, "damaged": path}[lost].unlink()
    if lost == "damaged":
        path.write_text("{")
    assert not register.is_registered(wanted)
    if lost == "damaged":
        path.unlink()
    assert register.register(wanted) and path.read_bytes() == before
    assert model.samefile(wanted.directory / "tiny.gguf")
    with Server(Store(wanted.models)) as store:
        assert ask(store, "/api/tags")["models"]


def test_other_weights_under_the_same_name(tmp_path: Path, wanted: Registration) -> None:
    register.register(wanted)
    other = altered(wanted, directory=made(tmp_path, TinyModel(seed=2), "other"))
    assert not register.is_registered(other)
    assert register.register(other)
    digest = hashlib.sha256((other.directory / "other.gguf").read_bytes()).hexdigest()
    # The blob of the weights before is not kept for nobody.
    assert f"sha256-{digest}" in blobs(wanted) and len(blobs(wanted)) == 2
    assert (wanted.directory / "tiny.gguf").exists()


def test_unregister_takes_away_what_only_it_needed(wanted: Registration) -> None:
    second = altered(wanted, name="owner/tiny:f16")
    for each in (wanted, second):
        register.register(each)
    store = Store(wanted.models)
    assert sorted(each["name"] for each in store.tags()) == ["owner/tiny:f16", "tiny:latest"]
    assert register.unregister(wanted) and len(blobs(wanted)) == 2
    assert [each["name"] for each in store.tags()] == ["owner/tiny:f16"]
    assert register.unregister(second) and not blobs(wanted)
    assert not register.unregister(second)
    assert manifest.holds(wanted.directory, "tiny.gguf")


def test_a_model_of_the_operator_is_left_alone(wanted: Registration) -> None:
    path = ollama_store.manifest_path(wanted.models, "tiny")
    path.parent.mkdir(parents=True)
    path.write_text('{"schemaVersion": 2, "config": {}, "layers": []}')
    for act in (register.register, register.unregister):
        with pytest.raises(Failure, match="a model tiny that is not ours: ollama rm tiny"):
            act(wanted)
    assert path.exists()


def test_another_file_system(
    wanted: Registration, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = altered(wanted, models=elsewhere / "ollama")
    with pytest.raises(Failure, match=r"not on one file system: a second copy would take 227.4 kB"):
        register.register(wanted)
    assert not blobs(wanted)
    assert not list((wanted.models / "manifests").rglob("latest"))
    assert not register.is_registered(wanted)
    assert register.register(altered(wanted, allow_copy=True))
    assert "copied to" in capsys.readouterr().out
    assert register.is_registered(wanted) and not register.register(wanted)
    with Server(Store(wanted.models)) as store:
        assert ask(store, "/api/tags")["models"]


def test_a_copy_that_was_restored_is_read_before_it_is_believed(
    wanted: Registration, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = altered(wanted, models=elsewhere / "ollama", allow_copy=True)
    register.register(wanted)
    (blob,) = (each for each in (wanted.models / "blobs").iterdir() if each.stat().st_size > 2000)
    right = blob.read_bytes()
    for data, copied in ((right, False), (right[:-1] + b"x", True)):
        blob.unlink()
        blob.write_bytes(data)
        capsys.readouterr()
        assert not register.is_registered(wanted) and register.register(wanted)
        assert ("copied to" in capsys.readouterr().out) == copied
        assert blob.read_bytes() == right
        assert register.is_registered(wanted) and not register.register(wanted)


def test_a_blob_that_is_no_hard_link_any_more_becomes_one(wanted: Registration) -> None:
    """As rsync without -H leaves it: a second copy, of which nobody knows what it is."""
    register.register(wanted)
    file, _ = Store(wanted.models).model("tiny")
    blob = wanted.models / "blobs" / file.name
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[:-1] + b"x")
    assert not register.is_registered(wanted) and register.register(wanted)
    assert blob.samefile(wanted.directory / "tiny.gguf") and register.is_registered(wanted)


def test_a_copy_that_does_not_fit(wanted: Registration, elsewhere: Path) -> None:
    wanted = altered(wanted, models=elsewhere / "ollama", allow_copy=True)
    (elsewhere / "filler").write_bytes(bytes((8 << 20) - (64 << 10)))
    with pytest.raises(Failure, match=r"no space on .*elsewhere"):
        register.register(wanted)
    assert not blobs(wanted)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_it_belongs_to_the_account_that_ollama_runs_as(wanted: Registration) -> None:
    user = pwd.getpwnam("nobody")
    wanted = altered(wanted, owner="nobody")
    register.register(wanted)
    for path in wanted.models.rglob("*"):
        ours = path.is_file() and path.samefile(wanted.directory / "tiny.gguf")
        assert path.stat().st_uid == (0 if ours else user.pw_uid), path
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)
    register.unregister(wanted)
    (wanted.directory / "tiny.gguf").chmod(0o600)
    with pytest.raises(Failure, match=r"cannot read .*: chmod a.r"):
        register.register(wanted)


def test_what_a_modelfile_would_set_is_a_layer_of_its_own(wanted: Registration) -> None:
    register.register(wanted)
    longer = altered(wanted, parameters={"num_gpu": 7, "num_ctx": 512})
    assert not register.is_registered(longer)
    assert register.register(longer) and not register.register(longer)
    file, parameters = Store(wanted.models).model("tiny")
    assert file.samefile(wanted.directory / "tiny.gguf")
    assert parameters == {"num_ctx": 512, "num_gpu": 7}
    # Other settings leave no blob of the old ones behind.
    assert register.register(altered(wanted, parameters={"num_ctx": 1024}))
    assert len(blobs(wanted)) == 3


def test_only_one_proven_file_can_be_registered(tmp_path: Path, wanted: Registration) -> None:
    files = support.split([[("a", b"1")], [("b", b"2")]])
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    value = support.request(tmp_path, files)
    value["sources"] = [{"kind": "directory", "endpoint": str(tmp_path)}]
    fetch.fetch(spec.parse(value))
    with pytest.raises(Failure, match="has 2 GGUF files, Ollama opens one: merge the shards"):
        register.register(altered(wanted, directory=tmp_path))
    with pytest.raises(Failure, match=r"has no file other\.gguf: fetch the model again"):
        register.register(altered(wanted, file="other.gguf"))
    (wanted.directory / "tiny.gguf").touch()
    with pytest.raises(Failure, match="since it was proven: fetch the model again"):
        register.register(wanted)


def test_of_two_files_the_one_that_is_asked_for_and_never_a_projector(
    tmp_path: Path, wanted: Registration
) -> None:
    clip = support.pair("general.architecture", 8, support.text("clip"))
    (model,) = support.split([[("a", b"1")]]).values()
    files = {"mmproj.gguf": support.gguf([clip], [("v", b"2")]), "MODEL.GGUF": model}
    folder = tmp_path / "source"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    value = support.request(tmp_path / "two", files, opened="MODEL.GGUF")
    value["sources"] = [{"kind": "directory", "endpoint": str(folder)}]
    fetch.fetch(spec.parse(value))
    both = altered(wanted, directory=tmp_path / "two")
    assert register.register(altered(both, file="MODEL.GGUF"))
    assert Store(wanted.models).model("tiny")[0].samefile(tmp_path / "two" / "MODEL.GGUF")
    with pytest.raises(
        Failure, match=r"mmproj\.gguf is not a model but its part that sees pictures"
    ):
        register.register(altered(both, file="mmproj.gguf"))


def test_a_clone_is_tried_before_a_copy(
    wanted: Registration, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shares(target: int, source: int) -> bool:
        os.write(target, os.pread(source, 1 << 30, 0))
        return True

    monkeypatch.setattr(ollama_blob, "_shares", shares)
    assert register.register(altered(wanted, models=elsewhere / "ollama"))


def test_the_command(
    tmp_path: Path, wanted: Registration, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {**vars(wanted), "directory": str(wanted.directory), "models": str(wanted.models)}
    (tmp_path / "spec.json").write_text(json.dumps(value))
    for verb, said in (
        ("register", "registered"),
        ("register", "already registered"),
        ("unregister", "removed"),
        ("unregister", "not registered"),
    ):
        capsys.readouterr()
        assert main(["ollama", verb, str(tmp_path / "spec.json")]) == 0
        assert capsys.readouterr().out == f"tiny: {said}\n"
    assert main(["ollama", "register"]) == 1
    (tmp_path / "spec.json").write_text(json.dumps({"name": "x"}))
    assert main(["ollama", "register", str(tmp_path / "spec.json")]) == 1
    assert "lacks a field" in capsys.readouterr().err


def test_an_adapter_is_a_layer_from_another_folder(tmp_path: Path, wanted: Registration) -> None:
    folder = tmp_path / "models" / "adapter"
    content = TinyAdapter(TinyModel()).gguf(folder / "a.gguf").read_bytes()
    record = manifest.record(folder, "a.gguf", hashlib.sha256(content).hexdigest())
    found = manifest.Manifest("adapter", "", "", (record,), (), False)
    (folder / manifest.NAME).write_bytes(found.render())
    adapted = altered(wanted, adapter="a.gguf", adapter_directory=folder)
    assert register.register(wanted) and not register.is_registered(adapted)
    assert register.register(adapted) and register.is_registered(adapted)
    assert not register.is_registered(wanted)
    written = ollama_store.read_manifest(ollama_store.manifest_path(wanted.models, "tiny"))
    layers = ollama_store.blobs_of(written or {})[1:]
    assert [layer.kind for layer in layers] == [ollama_store.MODEL, ollama_store.ADAPTER]
    assert ollama_store.blob_path(wanted.models, layers[1].digest).samefile(folder / "a.gguf")
    # Without it the layer goes, and its blob, which nothing else needs.
    assert register.register(wanted)
    assert not ollama_store.blob_path(wanted.models, layers[1].digest).exists()
    with pytest.raises(Failure, match=r"has no file b.gguf: fetch the adapter again"):
        register.register(altered(adapted, adapter="b.gguf"))


def test_a_projector_is_a_layer_behind_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "eyes"
    folder.mkdir(parents=True)
    records = []
    for name in ("tiny.gguf", "mmproj.gguf"):
        content = TinyModel(seed=len(name)).write(folder / name).read_bytes()
        records.append(manifest.record(folder, name, hashlib.sha256(content).hexdigest()))
    found = manifest.Manifest("eyes", "", "", tuple(records), (), False)
    (folder / manifest.NAME).write_bytes(found.render())
    one = Registration("eyes", folder, tmp_path / "ollama", "0.33.1", file="tiny.gguf")
    both = altered(one, projector="mmproj.gguf")
    assert register.register(both)
    assert register.is_registered(both)
    assert not register.is_registered(one)
    written = ollama_store.read_manifest(ollama_store.manifest_path(both.models, "eyes"))
    layers = ollama_store.blobs_of(written or {})[1:]
    assert [layer.kind for layer in layers] == [ollama_store.MODEL, ollama_store.PROJECTOR]
    for layer, name in zip(layers, ("tiny.gguf", "mmproj.gguf"), strict=True):
        assert ollama_store.blob_path(both.models, layer.digest).samefile(folder / name)
    with pytest.raises(Failure, match=r"has no file other.gguf: fetch the model again"):
        register.register(altered(both, projector="other.gguf"))
    with pytest.raises(Failure, match="may keep projectors and adapters in another way"):
        register.register(altered(both, version="9.9.9", allow_copy=True))
