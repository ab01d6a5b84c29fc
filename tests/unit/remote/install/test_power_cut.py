"""What a build or an environment had half done when the power failed is not used any more."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.install import build, venv
from deploys.remote.lib import put, unproven


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``boot("first")``: the machine runs since a boot of that name."""
    monkeypatch.setattr(unproven, "_BOOT", tmp_path / "boot_id")

    def begin(name: str) -> None:
        (tmp_path / "boot_id").write_text(f"{name}\n")

    begin("first")
    return begin


def _program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder / name


@pytest.fixture
def compile_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Run a build whose compiler keeps an object file, and trusts one that is there."""
    work, programs = tmp_path / "work", tmp_path / "programs"
    spec: dict[str, Any] = {
        "source": str(tmp_path),
        "work": str(work),
        "directory": str(tmp_path / "stub-1"),
        "options": [],
        "targets": ["stub"],
        "stamp": {},
        "pack": str(tmp_path / "stub.tar.gz"),
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    compiler = f"""
    [ "$1" = --build ] || exit 0
    mkdir -p {work}/bin && cd {work}
    [ -e main.o ] || echo compiled > main.o
    [ -e {tmp_path}/killed ] && exit 1
    [ -s main.o ] && cp main.o bin/stub
    """
    _program(programs, "cmake", compiler)
    _program(programs, "strip", "")
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return lambda: build.main([str(tmp_path / "spec.json")])


def test_objects_of_before_a_power_cut_are_compiled_again(
    compile_it: Callable[[], int], boot: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "killed").touch()
    assert compile_it() == 1
    (tmp_path / "killed").unlink()
    # The name was on the disk, and what is in it was not.
    (tmp_path / "work/main.o").write_text("")
    boot("second")
    assert compile_it() == 0
    assert (tmp_path / "stub-1/bin/stub").read_text() == "compiled\n"
    assert [path.name for path in tmp_path.glob("work*")] == []


def test_a_build_that_was_killed_goes_on_where_it_was(
    compile_it: Callable[[], int], boot: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "killed").touch()
    assert compile_it() == 1
    (tmp_path / "killed").unlink()
    (tmp_path / "work/main.o").write_text("of the first run\n")
    assert compile_it() == 0
    assert (tmp_path / "stub-1/bin/stub").read_text() == "of the first run\n"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Make an environment by a uv that keeps a wheel and a Python, and trusts both."""
    cache, pythons = tmp_path / "cache/uv", tmp_path / "pythons"
    (pythons / "3.11").mkdir(parents=True)
    monkeypatch.setattr(
        venv,
        "_SETTINGS",
        {"UV_CACHE_DIR": str(cache), "UV_PYTHON_INSTALL_DIR": str(pythons)},
    )
    monkeypatch.setattr(venv, "_NOTE", tmp_path / "cache/uv.unproven")
    home = tmp_path / "python-1"
    uv = f"""
    mkdir -p {cache} {pythons}/3.12 {home}/bin
    [ -e {pythons}/3.12/python ] || echo '#!/bin/sh' > {pythons}/3.12/python
    [ -e {cache}/wheel ] || echo whole > {cache}/wheel
    [ -e {tmp_path}/killed ] && exit 1
    cp {pythons}/3.12/python {home}/bin/python; chmod +x {home}/bin/python
    ln -sfn 3.12 {pythons}/latest
    cp {cache}/wheel {home}/module
    [ -s {home}/bin/python ]
    """
    spec = {
        "uv": str(_program(tmp_path / "programs", "uv", uv)),
        "directory": str(home),
        **{name: "" for name in ("index", "wheels", "python_builds", "cuda", "lock")},
        "python": "3.12",
        "imports": [],
        "stamp": {},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    return lambda: venv.main([str(tmp_path / "spec.json")])


def test_what_uv_kept_before_a_power_cut_is_fetched_again(
    make: Callable[[], int], boot: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "killed").touch()
    assert make() == 1
    # It ends for another reason first, and nothing that came by then is proven either.
    assert make() == 1
    (tmp_path / "killed").unlink()
    for path in (tmp_path / "cache/uv/wheel", tmp_path / "pythons/3.12/python"):
        path.write_text("")
    (tmp_path / "pythons/latest").symlink_to("3.12")
    boot("second")
    assert make() == 0
    assert (tmp_path / "python-1/module").read_text() == "whole\n"
    assert sorted(path.name for path in (tmp_path / "pythons").iterdir()) == [
        *("3.11", "3.12", "latest")
    ]
    assert not (tmp_path / "cache/uv.unproven").exists()


def test_what_uv_kept_before_a_boot_in_order_stays(
    make: Callable[[], int], boot: Callable[[str], None], tmp_path: Path
) -> None:
    assert make() == 0
    (tmp_path / "cache/uv/wheel").write_text("kept\n")
    boot("second")
    assert make() == 0
    assert (tmp_path / "python-1/module").read_text() == "kept\n"


def test_what_a_power_cut_left_beside_a_file_does_not_stay(tmp_path: Path) -> None:
    me = {"user": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
    file = {"kind": "file", "path": str(tmp_path / "file"), "mode": "644", "content": "YQ==", **me}
    link = {"kind": "link", "path": str(tmp_path / "link"), "target": "file"}
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(put.os, "rename", _fail)
        cut.setattr(put.os, "unlink", lambda path: None)
        for entry in (file, link):
            assert not put.write([entry])
    assert len([*tmp_path.iterdir()]) == 2
    assert put.write([file, link])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def _fail(*paths: str) -> None:
    raise OSError
