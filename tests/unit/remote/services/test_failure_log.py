"""The end of a failed unit's journal is kept, beside a journalctl that prints what it is told."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import pytest

from deploys.planning import unit_names
from deploys.remote.services import failure_log
from tests.unit.planning.plan_examples import plan
from tests.unit.rendering.render_examples import TEMPLATES, files

UNIT = "llama-server@r1.service"


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('journal', *sys.argv[1:])\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_they_are_for_root_alone(tmp_path: Path) -> None:
    file = failure_log.keep(UNIT, tmp_path / "failures")
    assert file.read_text().endswith(f" --lines=400 --unit {UNIT}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_latest_of_each_unit_are_kept(tmp_path: Path) -> None:
    others = [
        "llama-server@r1.service.d-20200101T000000Z.log",
        "ollama.service-20200101T000000Z.log",
    ]
    old = [f"{UNIT}-2020010{day}T000000Z.log" for day in range(1, 8)]
    for name in [*others, *old]:
        (tmp_path / name).touch()
    latest = failure_log.keep(UNIT, tmp_path).name
    assert {each.name for each in tmp_path.glob("*.log")} == {*others, *old[-4:], latest}


def test_every_unit_of_an_engine_calls_for_it() -> None:
    folders = {path.parent.name for path in TEMPLATES.glob("*/*.service.j2")} - {
        "base",
        "peer",
        "image",
    }
    assert {"llama.cpp", "ollama"} <= folders
    for path in (path for folder in folders for path in TEMPLATES.glob(f"{folder}/*.service.j2")):
        text = path.read_text()
        while extended := re.match(r'{% extends "(.+)" %}', text):
            text = (TEMPLATES / extended[1]).read_text()
        assert f"OnFailure={unit_names.FAILED.replace('@', '@%n')}\n" in text, path
    assert unit_names.file(unit_names.FAILED) in files(plan())
