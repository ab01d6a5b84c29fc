"""What a machine notes of versions, what it puts back, and what it removes."""

from __future__ import annotations

import base64
import getpass
import grp
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploys.connection import programs
from deploys.rendering import render
from tests.unit.planning.plan_examples import plan

ONE, TWO, THREE = "1.0-111111111111", "2.0-222222222222", "3.0-333333333333"


@dataclass
class Engine:
    """One engine of a machine below a folder of the test."""

    root: Path

    @property
    def notes(self) -> Path:
        return self.root / "notes" / "llama.cpp"

    @property
    def current(self) -> Path:
        return self.root / "engines" / "current"

    @property
    def settings(self) -> Path:
        return self.root / "settings"

    def folder(self, version: str) -> Path:
        return self.root / "engines" / version

    def install(self, version: str) -> None:
        """As install() leaves it: the folder, and the lock and record that lie beside some."""
        self.folder(version).mkdir(parents=True)
        (self.folder(version) / "build.json").touch()
        for name in (f"{version}.txt", f".{version}.json"):
            (self.folder(version).parent / name).touch()

    def text(self, version: str, settings: str = "", services: tuple[str, ...] = ("one",)) -> str:
        """The note of a version whose settings are its name and `settings`."""
        owner = {"user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
        content = base64.b64encode(f"{version}{settings}".encode()).decode()
        return json.dumps(
            {
                "engine": "llama.cpp",
                "directory": str(self.folder(version)),
                "entries": [
                    {
                        **{"kind": "file", "path": str(self.settings), "content": content},
                        **{"mode": "640", **owner},
                    },
                    {
                        **{"kind": "link", "path": str(self.current)},
                        **{"target": str(self.folder(version))},
                    },
                ],
                "services": [{"name": name, "url": "http://127.0.0.1:1"} for name in services],
                "deployed": {
                    "software": [{"name": "llama.cpp", "version": version}],
                    "services": [{"engine": "llama.cpp", "name": name} for name in services],
                },
            }
        )

    def ask(self, verb: str, **request: str) -> subprocess.CompletedProcess[str]:
        state = str(self.root / "state.json")
        return subprocess.run(
            ["sh", "-c", programs.inline("services.versions", verb).get_raw_value()],
            input=json.dumps({"folder": str(self.notes), "state": state, **request}),
            **{"capture_output": True, "text": True, "timeout": 60},
        )

    def prove(self, version: str, **options: Any) -> None:
        """It is installed, if it is not yet, and has answered."""
        if not self.folder(version).exists():
            self.install(version)
        done = self.ask("prove", text=self.text(version, **options))
        assert done.returncode == 0, done.stderr

    def noted(self) -> dict[str, str]:
        command = programs.inline(
            "services.versions", "noted", str(self.notes.parent)
        ).get_raw_value()
        printed = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
        found: dict[str, str] = json.loads(printed)["llama.cpp"]
        return found

    def there(self) -> set[str]:
        """All that lies where the versions do."""
        return {path.name for path in self.current.parent.iterdir()}


def files_of(*versions: str) -> set[str]:
    return {name for each in versions for name in (each, f"{each}.txt", f".{each}.json")}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(tmp_path)
    engine.install(ONE)
    return engine


@pytest.fixture
def process_of_one(engine: Engine) -> Iterator[None]:
    program = engine.folder(ONE) / "sleep"
    shutil.copy(shutil.which("sleep") or "", program)
    process = subprocess.Popen([program, "60"])
    yield
    process.kill()
    process.wait()


def test_what_answers_is_noted_for_root_alone(engine: Engine) -> None:
    engine.prove(ONE)
    assert engine.noted() == {"serving": ONE}
    assert (engine.notes / "serving.json").read_text() == engine.text(ONE)
    assert (engine.notes / "serving.json").stat().st_mode & 0o777 == 0o600


def test_the_last_two_versions_are_kept(engine: Engine) -> None:
    engine.current.symlink_to(engine.folder(ONE))
    engine.prove(ONE)
    engine.prove(TWO)
    assert engine.noted() == {"serving": TWO, "previous": ONE}
    assert engine.there() == {"current"} | files_of(ONE, TWO)
    engine.prove(THREE)
    assert engine.noted() == {"serving": THREE, "previous": TWO}
    assert engine.there() == {"current"} | files_of(TWO, THREE)


def test_other_settings_are_no_other_version(engine: Engine) -> None:
    engine.prove(ONE)
    engine.prove(TWO)
    engine.prove(TWO, settings="port")
    assert engine.noted() == {"serving": TWO, "previous": ONE}
    assert (engine.notes / "serving.json").read_text() == engine.text(TWO, "port")


def test_what_a_process_uses_is_kept_until_it_ends(engine: Engine, process_of_one: None) -> None:
    engine.prove(TWO)
    assert engine.there() == files_of(ONE, TWO)
    engine.prove(THREE)
    assert engine.there() == files_of(ONE, TWO, THREE)


def test_what_is_no_version_is_kept(engine: Engine) -> None:
    (engine.current.parent / "cache").mkdir()
    engine.prove(ONE)
    assert engine.there() == {"cache"} | files_of(ONE)


def test_a_removal_that_was_killed_is_finished_by_the_next(engine: Engine) -> None:
    (engine.current.parent / f".{THREE}.removed").mkdir()
    engine.prove(ONE)
    assert engine.there() == files_of(ONE)


def test_a_note_of_a_run_that_was_killed_is_written_again(engine: Engine) -> None:
    engine.prove(ONE)
    shutil.copy(engine.notes / "serving.json", engine.notes / "previous.json")
    engine.prove(TWO)
    assert engine.noted() == {"serving": TWO, "previous": ONE}


def test_what_served_before_is_put_back(engine: Engine) -> None:
    engine.prove(ONE)
    engine.settings.write_text(TWO)
    engine.current.symlink_to(engine.folder(TWO))
    back = engine.ask("restore", note="serving", text=engine.text(TWO, services=("one", "two")))
    assert json.loads(back.stdout) == {
        "version": ONE,
        "services": [{"name": "one", "url": "http://127.0.0.1:1"}],
        "stop": ["two"],
    }
    assert engine.settings.read_text() == ONE
    assert engine.settings.stat().st_mode & 0o777 == 0o640
    assert engine.current.resolve() == engine.folder(ONE)


def test_what_is_as_it_was_is_not_written_again(engine: Engine) -> None:
    engine.prove(ONE)
    engine.settings.write_text(ONE)
    before = engine.settings.stat()
    engine.current.symlink_to(engine.folder(TWO))
    engine.ask("restore", note="serving", text=engine.text(TWO))
    assert engine.current.resolve() == engine.folder(ONE)
    assert engine.settings.stat().st_ino == before.st_ino


@pytest.mark.parametrize("note", ["serving", "previous"])
def test_there_is_nothing_to_go_back_to(engine: Engine, note: str) -> None:
    assert engine.ask("restore", note=note, text=engine.text(ONE)).stdout == "null\n"
    engine.prove(ONE)
    assert engine.ask("restore", note=note, text=engine.text(ONE)).stdout == "null\n"
    assert not engine.current.exists()


def test_a_version_whose_folder_is_gone_is_not_put_back(engine: Engine) -> None:
    engine.prove(ONE)
    engine.settings.write_text(TWO)
    shutil.rmtree(engine.folder(ONE))
    back = engine.ask("restore", note="serving", text=engine.text(TWO))
    assert back.returncode == 1
    assert f"{engine.folder(ONE)} is gone" in back.stderr
    assert engine.settings.read_text() == TWO


def test_the_previous_version_serves_again_and_the_other_stays_on_the_disk(engine: Engine) -> None:
    engine.prove(ONE)
    engine.prove(TWO)
    engine.current.symlink_to(engine.folder(TWO))
    back = engine.ask("restore", note="previous", failed="serving")
    assert json.loads(back.stdout)["version"] == ONE
    assert engine.ask("withdraw").returncode == 0
    assert engine.noted() == {"serving": ONE, "withdrawn": TWO}
    assert engine.there() == {"current"} | files_of(ONE, TWO)
    engine.prove(ONE, settings="port")
    assert engine.noted() == {"serving": ONE, "withdrawn": TWO}
    assert engine.there() == {"current"} | files_of(ONE, TWO)
    engine.prove(TWO)
    assert engine.noted() == {"serving": TWO, "previous": ONE}


def test_state_json_says_what_serves(engine: Engine) -> None:
    state = engine.root / "state.json"
    engine.prove(ONE)
    assert not state.exists()
    planned = render.state(plan()).content
    state.write_text(planned)
    engine.prove(TWO)
    found = json.loads(state.read_text())
    assert found["plan"]["software"] == [{"name": "llama.cpp", "version": TWO}]
    assert [each["name"] for each in found["plan"]["services"]] == ["one"]
    assert engine.ask("withdraw").returncode == 0
    again = json.loads(state.read_text())
    assert again["plan"]["software"] == [{"name": "llama.cpp", "version": ONE}]
    assert again["digest"] != found["digest"]


def test_state_json_stays_as_it_is_once_that_is_deployed(engine: Engine) -> None:
    made = plan()
    state = engine.root / "state.json"
    state.write_text(render.state(made).content)
    note = json.loads(engine.text(ONE)) | {"deployed": made.deployed_of("llama.cpp")}
    assert engine.ask("prove", text=json.dumps(note)).returncode == 0
    assert state.read_text() == render.state(made).content


def test_state_json_keeps_what_it_says_of_other_engines(engine: Engine) -> None:
    others = {"software": [{"name": "vllm"}], "services": [{"engine": "vllm", "name": "big"}]}
    state = engine.root / "state.json"
    state.write_text(json.dumps({"schema": 1, "digest": "", "plan": others}))
    engine.prove(ONE)
    found = json.loads(state.read_text())["plan"]
    assert found["software"] == [{"name": "vllm"}, {"name": "llama.cpp", "version": ONE}]
    assert [each["name"] for each in found["services"]] == ["big", "one"]
