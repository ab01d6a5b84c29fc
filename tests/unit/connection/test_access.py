"""Whom a run may be, what it asks where nobody answers, and a machine that cannot be looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plans.simulated import MACHINES
from tests.unit import ROOT

BARE = {"modelrack-facts-machine": "", "os-release": "debian|13|root| apt-get|"}
WELL = {"modelrack-facts-machine": json.dumps(MACHINES["cpu"])}
LOCKED_OUT = {
    **BARE,
    "modelrack-facts-machine": {"success": False, "stderr": "sudo: 3 incorrect password attempts"},
}


@pytest.fixture
def pyinfra(tmp_path: Path) -> Any:
    """Run it on machines that answer so; without a terminal, and with this to read."""

    def run(*words: str, stdin: str = "", **answers: Any) -> subprocess.CompletedProcess[str]:
        hosts = [
            (f"@fake/{name}", {"fake_responses": said, "fake_delay": 0, "fake_delay_jitter": 0})
            for name, said in answers.items()
        ]
        inventory = tmp_path / "cpu.py"
        inventory.write_text(f"cpu = {hosts!r}\n")
        options = ("--group-data", "inventories/group_data")
        return subprocess.run(
            [sys.executable, "-m", "pyinfra", str(inventory), *words, *options],
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            start_new_session=True,
            check=False,
        )

    return run


def test_a_plan_says_what_a_bare_machine_gets_first_and_goes_on_with_the_others(
    pyinfra: Any,
) -> None:
    done = pyinfra("deploys/plan.py", "-y", bare=BARE, well=WELL)
    assert done.returncode == 0, done.stderr
    assert "@fake/bare: no python3\n\n  first     apt-get install python3," in done.stdout
    assert "@fake/well: debian 12" in done.stdout


def test_a_plan_as_json_says_it_too(pyinfra: Any) -> None:
    done = pyinfra("deploys/plan.py", "-y", "--data", "format=json", bare=BARE)
    assert json.loads(done.stdout) == {"host": "@fake/bare", "first": "apt-get install python3"}


@pytest.mark.parametrize("options", [("--dry",), ("--dry", "-y"), ("-y", "--debug-operations")])
@pytest.mark.parametrize("deploy", ["deploys/full.py", "deploys.stages.base.install"])
def test_who_only_looks_installs_nothing(
    pyinfra: Any, deploy: str, options: tuple[str, ...]
) -> None:
    done = pyinfra(deploy, *options, "--debug", bare=BARE)
    assert done.returncode == 0, done.stderr
    assert "apt-get install python3 comes first" in done.stderr
    assert "apt-get -y" not in done.stderr


def test_a_machine_without_any_way_to_python_is_refused(pyinfra: Any) -> None:
    done = pyinfra("deploys/plan.py", "-y", bare={**BARE, "os-release": "debian|13|root||"})
    assert done.returncode == 1
    assert "refused: There is neither python3 nor apt-get on this machine." in done.stderr


def test_a_machine_that_lets_nobody_look_is_not_taken_for_one_without_python(pyinfra: Any) -> None:
    done = pyinfra("deploys/plan.py", "-y", locked=LOCKED_OUT, well=WELL)
    assert done.returncode == 1
    assert "3 incorrect password attempts" in done.stderr
    assert "python3" not in done.stdout + done.stderr
    assert "@fake/well: debian 12" in done.stdout


@pytest.mark.parametrize("deploy", ["deploys/full.py", "deploys.stages.base.install"])
def test_who_is_not_root_may_look_and_not_change(pyinfra: Any, deploy: str) -> None:
    as_user = {"modelrack-facts-machine": json.dumps({**MACHINES["cpu"], "user": "li"})}
    without = {**BARE, "os-release": "debian|13|li| apt-get|"}
    assert pyinfra("deploys/plan.py", "-y", one=as_user, two=without).returncode == 0
    done = pyinfra(deploy, "-y", one=as_user, two=without)
    assert done.returncode == 1
    assert done.stderr.count("refused: This run is user li on the machine") == 2
    assert "Add --sudo" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploys/full.py",), "Add -y to go on without, or --dry"),
        (("deploys.stages.base.install",), "Add -y to go on without, or --dry"),
        (("deploys/plan.py", "-y", "--same-sudo-password"), "--same-sudo-password asks for"),
        (("deploys/plan.py", "-y", "--ssh-password-prompt"), "--ssh-password-prompt asks for"),
    ],
)
def test_a_question_that_nobody_can_answer_is_not_asked(
    pyinfra: Any, words: tuple[str, ...], said: str
) -> None:
    done = pyinfra(*words, one=WELL)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_taken_from_standard_input(pyinfra: Any) -> None:
    done = pyinfra("deploys/plan.py", "-y", "--same-sudo-password", stdin="secret\n", one=WELL)
    assert done.returncode == 0, done.stderr
