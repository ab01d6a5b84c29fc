"""The programs of deploys/remote travel as one archive, or as the text of one command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.connection import programs
from deploys.facts import files, machine, packages, sysctl, users


def _shell(command: object) -> list[str]:
    raw = command if isinstance(command, str) else command.get_raw_value()  # type: ignore[attr-defined]
    run = subprocess.run(["sh", "-c", raw], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_archive_is_the_same_for_the_same_sources() -> None:
    first, path = programs.zipapp(), programs.path()
    programs.zipapp.cache_clear()
    assert programs.zipapp() == first
    assert programs.path() == path


def test_another_source_is_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = programs.path()
    (tmp_path / "put.py").write_text("other\n")
    monkeypatch.setattr(programs, "_SOURCE", tmp_path)
    programs.zipapp.cache_clear()
    try:
        assert programs.path() != path
    finally:
        programs.zipapp.cache_clear()


@pytest.mark.parametrize("words", [["--help"], ["weights", "--help"], ["job", "--help"]])
def test_the_archive_runs_without_us(words: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "modelrack.pyz"
    archive.write_bytes(programs.zipapp())
    run = subprocess.run(
        [sys.executable, "-I", str(archive), *words],
        **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 30},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("usage: modelrack.pyz")


@pytest.mark.parametrize(
    "words", [["weights", "proven"], ["venv", "spec.json"], ["build", "spec.json"]], ids=" ".join
)
def test_the_archive_knows_every_program_that_operations_call(
    words: list[str], tmp_path: Path
) -> None:
    archive = tmp_path / "modelrack.pyz"
    archive.write_bytes(programs.zipapp())
    run = subprocess.run(
        [sys.executable, "-I", str(archive), *words],
        **{"input": "[]", "capture_output": True, "text": True, "timeout": 30},
    )
    assert "invalid choice" not in run.stderr


def test_a_program_travels_with_what_it_imports_and_that_alone() -> None:
    assert programs._with_imports("lib.put") == ["lib.put"]
    names = programs._with_imports("facts.machine")
    of_facts = [name.partition(".")[2] for name in names if name.startswith("facts.")]
    assert of_facts[-1] == "machine" and {"driver", "nvidia", "pci"} < set(of_facts)
    others = {"lib.probe", "lib.processes", "unit.settings"}
    assert set(names) - {f"facts.{name}" for name in of_facts} == others
    # A module that imports others comes after them.
    assert names.index("lib.probe") < names.index("facts.pci")
    assert of_facts.index("pci") < of_facts.index("amd") < of_facts.index("driver")


@pytest.mark.parametrize(
    "program", ["facts.machine", "lib.put", "services.units", "lib.lock", "facts.apt_lock"]
)
def test_a_program_fits_into_a_command(program: str) -> None:
    # Linux takes 128 KiB a word, but what is sent to every host should be small.
    assert len(programs.inline(program).get_raw_value()) < 32 << 10


def test_a_value_is_one_word_whatever_is_in_it() -> None:
    assert (
        programs.command("job", "run", "/a b", "it's")
        .get_raw_value()
        .endswith(" job run '/a b' 'it'\"'\"'s'")
    )


# Cases in cases/facts/ say what a command prints; here the commands print it themselves.


def test_entries_are_found_on_this_machine(tmp_path: Path) -> None:
    there = tmp_path / "a b|c.conf"
    there.write_bytes(b"one\n")
    there.chmod(0o640)
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "not asked for").touch()
    paths = (str(tmp_path / "missing"), str(there), str(tmp_path / "link"), str(tmp_path))
    fact = files.Entries()
    found = fact.process(_shell(fact.command(paths, hashed=True)))
    assert set(found) == set(paths[1:])
    entry = found[str(there)]
    assert (entry.kind, entry.mode, entry.size) == ("file", "640", 4)
    assert entry.sha256 == "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
    assert (found[paths[2]].kind, found[paths[2]].target) == ("link", "elsewhere")
    assert found[str(tmp_path)].kind == "directory"


def test_the_machine_describes_itself() -> None:
    fact = machine.Hardware()
    found = fact.process(_shell(fact.command(data_root="/nowhere")))
    assert found.cores >= 1 and found.memory > 1 << 28 and found.disk_of("/") is not None


def test_accounts_are_found_on_this_machine() -> None:
    fact = users.Accounts()
    found = fact.process(_shell(fact.command(("nobody-of-this-name", "root", "daemon"))))
    assert set(found) == {"root", "daemon"}
    assert found["root"].home == "/root" and "root" in found["root"].groups


def test_kernel_settings_are_found_on_this_machine() -> None:
    fact = sysctl.Settings()
    found = fact.process(_shell(fact.command(("vm.swappiness", "no.such.setting"))))
    assert set(found) == {"vm.swappiness"}
    assert found["vm.swappiness"] is None or found["vm.swappiness"].isdigit()


def test_packages_are_asked_without_failing_for_an_unknown_one() -> None:
    fact = packages.Installed()
    assert "no-such-package" not in fact.process(_shell(fact.command(("no-such-package", "dpkg"))))


def test_put_writes_what_an_operation_describes(tmp_path: Path) -> None:
    import grp
    import os
    import pwd

    from deploys.operations.files import Directory, File, Link, write

    mine = {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
    }
    folder, conf, link = tmp_path / "x", tmp_path / "x" / "a.conf", tmp_path / "current"
    entries = [
        Directory(path=str(folder), mode="750", **mine),
        File(path=str(conf), content="größer\n", mode="640", **mine),
        Link(path=str(link), target="x"),
    ]
    command = write(entries)
    assert "gr" not in command.get_raw_value().split("b64decode")[0]
    for _ in range(2):  # The second time over what is there.
        subprocess.run(
            ["sh", "-c", command.get_raw_value()],
            **{"input": command.connector_arguments["_stdin"], "text": True, "check": True},
        )
    fact = files.Entries()
    paths = tuple(entry.path for entry in entries)
    found = fact.process(_shell(fact.command(paths, hashed=True)))
    assert not any(entry.differs(found[entry.path]) for entry in entries)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.conf", "current", "x"]
    assert json.loads(str(command.connector_arguments["_stdin"]))["units"] == []
