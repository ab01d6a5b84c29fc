"""Every engine's unit, as it is rendered, started without systemd; and what stops it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.planning.plan import HostPlan
from deploys.remote.lib.failure import Failure
from deploys.remote.services import foreground
from deploys.rendering import render
from tests import temporary
from tests.unit import ROOT
from tests.unit.planning.hardware.test_cards import MODELS, eight, planned

# Says how it was called and with what, to whoever looks into its folder.
PROGRAM = '#!/bin/sh\necho "$0 $*" >> {folder}/calls\nenv > {folder}/env\nid -un >> {folder}/who\n'
ARCHIVE = """\
import subprocess, sys

with open("{folder}/calls", "a") as calls:
    print(*sys.argv, file=calls)
if sys.argv[1] == "guard":
    sys.exit(subprocess.call(sys.argv[4:]))
"""
START = """\
import sys
from pathlib import Path
from deploys.remote.lib.failure import exit_code
from deploys.remote.services.foreground import run

unit, folder, root = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "root"
folders = {"CacheDirectory": folder / "cache", "StateDirectory": folder / "lib"}
sys.exit(exit_code(lambda: run(unit, folder / "units", folders, root=root)))
"""


def started(unit: str, folder: Path, root: bool = False) -> subprocess.CompletedProcess[str]:
    """What came of it, when the unit's program has ended."""
    words = [sys.executable, "-c", START, unit, str(folder), "root" if root else "user"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def installed(folder: Path, plan: HostPlan) -> str:
    """Write what the plan renders for its service below `folder`; return its unit."""
    rendered, _ = render.service(plan, plan.services[0])
    for file in rendered:
        text = file.content.replace("/etc/modelrack", f"{folder}/etc")
        text = text.replace("/opt/modelrack", f"{folder}/opt")
        unit = file.path.startswith("/etc/systemd/system/")
        place = file.path.replace("/etc/modelrack", "etc")
        write(
            folder / (place.replace("/etc/systemd/system", "units") if unit else place).lstrip("/"),
            text,
        )
        for word in text.split() if unit else ():
            program = word.removeprefix("ExecStart=")
            if program.startswith(f"{folder}/opt") and not program.endswith(".pyz"):
                write(Path(program), PROGRAM.format(folder=folder))
    # It is asked to prove the weights, to guard a server, and to have Ollama load its models.
    write(folder / "opt/bin/modelrack.pyz", ARCHIVE.format(folder=folder))
    return plan.services[0].unit


@pytest.mark.parametrize("engine", MODELS)
def test_every_engines_unit_runs_without_systemd(engine: str, tmp_path: Path) -> None:
    unit = installed(tmp_path, planned(eight(), engine))
    done = started(unit, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    weights = planned(eight(), engine).services[0].weights.directory
    # What proves the weights comes first, and no specifier or variable is left.
    assert calls[0].endswith(f"weights prove {weights}")
    assert any("opt/engines/" in call.partition(" ")[0] for call in calls)
    assert not any(mark in call for call in calls for mark in ("%", "$"))
    has = dict(
        line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line
    )
    assert has["MODELRACK_DIGEST"] and has["CUDA_VISIBLE_DEVICES"]
    if engine not in ("llama.cpp", "ollama"):
        assert has["HOME"].startswith(str(tmp_path / "cache"))
    # Nothing of whoever started it.
    assert "VIRTUAL_ENV" not in has and "PYTEST_CURRENT_TEST" not in has


SETTINGS = """\
# FIRST=no
FIRST=file
MANY=a 'b'
QUOTED="c d"
JSON={"a": 1}
"""
UNIT = """\
[Unit]
ExecStart=/bin/false
[Service]
User={user}
CacheDirectory=modelrack/services/%i
EnvironmentFile={folder}/%i.env
Environment=FIRST=unit HOME=%C/of/%i "SAID=two words"
# ExecStart=/bin/false
ExecStartPre=+/bin/sh -c 'exit {code}'
ExecStart={folder}/program --config %i.yaml ${{FIRST}}x $MANY \\
  100%%
"""


def unit_of(folder: Path, user: str = "nobody", code: int = 0) -> str:
    """A unit that shows what it was started with."""
    write(folder / "units/x@.service", UNIT.format(folder=folder, user=user, code=code))
    (folder / "r1.env").write_text(SETTINGS)
    write(folder / "program", PROGRAM.format(folder=folder))
    return "x@r1.service"


def test_settings_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    done = started(unit_of(tmp_path), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call == f"{tmp_path}/program --config r1.yaml filex a b 100%"
    env = (tmp_path / "env").read_text().splitlines()
    expected = [f"HOME={tmp_path}/cache/of/r1", "SAID=two words", "QUOTED=c d", 'JSON={"a": 1}']
    assert {*expected, "FIRST=file"} <= {*env}
    assert (tmp_path / "cache/modelrack/services/r1").is_dir()


def test_what_is_added_to_one_instance_comes_after_its_unit(tmp_path: Path) -> None:
    unit = unit_of(tmp_path)
    write(tmp_path / "units/x@r2.service.d/a.conf", "[Service]\nExecStartPre=/bin/false\n")
    assert started(unit, tmp_path).returncode == 0
    addition = f"[Service]\nExecStartPre=/bin/sh -c 'echo %i > {tmp_path}/added'\n"
    write(tmp_path / "units/x@r1.service.d/a.conf", addition)
    assert started(unit, tmp_path).returncode == 0
    assert (tmp_path / "added").read_text() == "r1\n"


def test_root_becomes_the_units_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can")
    # Where that user may look, too.
    with temporary.folder("modelrack-foreground-", Path("/tmp")) as folder:
        folder.chmod(0o777)
        done = started(unit_of(folder), folder, root=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert (folder / "who").read_text() == "nobody\n"
        owner = (folder / "cache/modelrack/services/r1").stat().st_uid
        assert owner == pwd.getpwnam("nobody").pw_uid


def test_weights_that_are_not_proven_are_not_served(tmp_path: Path) -> None:
    done = started(unit_of(tmp_path, code=3), tmp_path)
    assert done.returncode == 1
    assert done.stderr == "/bin/sh -c 'exit 3' ended with code 3: nothing was started\n"
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("unit", ["y@r1.service", "x.service", "x@.service", ""])
def test_a_unit_that_is_not_there_is_said(unit: str, tmp_path: Path) -> None:
    unit_of(tmp_path)
    with pytest.raises(Failure, match=r"which has x@\.service: name one as the plan does"):
        foreground.run(unit, tmp_path / "units")
