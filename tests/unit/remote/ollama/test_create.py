"""`ollama create` by a server of its own, run for real with a stand-in for Ollama."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace as altered
from pathlib import Path

import pytest

from deploys.remote.lib.failure import Failure
from deploys.remote.merge.merge import join
from deploys.remote.ollama import create, register
from deploys.remote.ollama.register import Registration
from tests.lab.ollama import release
from tests.lab.ollama.store import Store
from tests.lab.tiny_model import TinyModel


@pytest.fixture
def wanted(tmp_path: Path) -> Registration:
    """A model for a version whose folder nobody here knows."""
    shards = TinyModel().write_split(tmp_path / "shards", "tiny-qwen2-F16", "F16", 3)
    directory = tmp_path / "models/tiny"
    join(shards[0], directory / "tiny.gguf")
    program = tmp_path / "engine/bin/ollama"
    program.parent.mkdir(parents=True)
    program.write_bytes(release.program("0.40.0"))
    program.chmod(0o755)
    return Registration(
        *("tiny", directory, tmp_path / "ollama", "0.40.0", str(program)),
        parameters={"num_ctx": 512},
        allow_copy=True,
    )


def test_it_takes_a_word(wanted: Registration) -> None:
    with pytest.raises(
        Failure, match=r"0.40.0 may keep its models .* by allow_copy=True of the service"
    ):
        register.register(altered(wanted, allow_copy=False))
    assert not wanted.models.exists()


def test_the_model_is_made_once(
    wanted: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    assert register.register(wanted)
    store = Store(wanted.models)
    assert [each["name"] for each in store.tags()] == ["tiny:latest"]
    file, parameters = store.model("tiny")
    assert parameters == {"num_ctx": 512}
    assert file.read_bytes() == (wanted.directory / "tiny.gguf").read_bytes()
    assert not register.register(wanted)
    # Nothing of it is left: neither the server nor what it was told.
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("change", ["weights", "parameters", "file"])
def test_it_is_made_again_when_it_must(wanted: Registration, change: str, tmp_path: Path) -> None:
    register.register(wanted)
    other = wanted
    if change == "weights":
        shards = TinyModel(seed=2).write_split(tmp_path / "2", "tiny-qwen2-F16", "F16", 3)
        join(shards[0], tmp_path / "models/other/other.gguf")
        other = altered(wanted, directory=tmp_path / "models/other")
    elif change == "parameters":
        other = altered(wanted, parameters={"num_ctx": 1024})
    else:
        max((wanted.models / "blobs").iterdir(), key=lambda path: path.stat().st_size).unlink()
    assert not register.is_registered(other)
    assert register.register(other) and register.is_registered(other)


def test_it_goes_and_comes_back_by_hard_link(wanted: Registration) -> None:
    register.register(wanted)
    assert register.unregister(wanted) and not register.unregister(wanted)
    assert Store(wanted.models).tags() == []
    register.register(wanted)
    known = altered(wanted, version="0.35.0", allow_copy=False)
    assert register.register(known) and register.is_registered(known)
    assert not create.exists(wanted.models, "tiny")
    assert Store(wanted.models).model("tiny")[0].samefile(wanted.directory / "tiny.gguf")


def test_a_model_of_the_operator_is_left_alone(wanted: Registration) -> None:
    store = Store(wanted.models)
    store.start()
    store.create("tiny", store.add(b"theirs"), {})
    with pytest.raises(Failure, match="a model tiny that is not ours"):
        register.register(wanted)


def test_what_ollama_says_no_to(wanted: Registration) -> None:
    with pytest.raises(Failure, match=r"nowhere/ollama is not there: install Ollama"):
        register.register(altered(wanted, program="/nowhere/ollama"))
    broken = Path(wanted.program).with_name("broken")
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(Failure, match="ollama serve does not answer"):
        register.register(altered(wanted, program=str(broken)))
    Path(wanted.program).rename(broken)
    Path(wanted.program).write_text(
        f'#!/bin/sh\ntest "$1" = create && exit 3\nexec {broken} "$@"\n'
    )
    Path(wanted.program).chmod(0o755)
    with pytest.raises(Failure, match=r"ollama create tiny .* ended with code 3"):
        register.register(wanted)
    assert not create.exists(wanted.models, "tiny")


def test_room_is_asked_for_three_copies(
    wanted: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(create.space, "require", lambda *given: asked.append(given))
    register.register(wanted)
    size = (wanted.directory / "tiny.gguf").stat().st_size
    assert asked == [(wanted.models, 3 * size, 16)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_it_is_made_by_the_account_that_ollama_runs_as(wanted: Registration) -> None:
    # What pytest makes is for its own user alone.
    for folder in wanted.models.parents:
        if folder.stat().st_mode & 0o7777 == 0o700:
            folder.chmod(0o755)
    register.register(altered(wanted, owner="nobody"))
    owners = {path.owner() for path in (wanted.models / "blobs").iterdir()}
    assert owners == {"nobody"}
