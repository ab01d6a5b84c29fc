"""A bare Debian 13 without python3, and a user with sudo: the tests are one story."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.e2e import terminal
from tests.e2e.rack import Rack, run
from tests.lab.tiny_model import ANSWER

PASSWORD = "correct horse"
AS_USER = ("--ssh-user", "operator1", "--sudo")
USER = f"""\
set -eu
useradd --create-home --shell /bin/bash operator1
echo 'operator1:{PASSWORD}' | chpasswd
echo 'operator1 ALL=(ALL:ALL) ALL' > /etc/sudoers.d/operator1
install -d -m 700 -o operator1 /home/operator1/.ssh
install -m 600 -o operator1 /root/.ssh/authorized_keys /home/operator1/.ssh/authorized_keys
echo 'umask 077' >> /home/operator1/.bashrc
apt-get -qy purge 'python3*' 'libpython3*'
"""


@pytest.fixture(scope="module")
def rack(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Rack]:
    lab = lab_factory(1, name="access", suite="trixie")
    lab.machines[0].ssh(USER)
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    yield Rack(lab, hub, github, tmp_path_factory.mktemp("access"))


def untouched(rack: Rack) -> bool:
    found = "command -v python3; ls -d /etc/modelrack /opt/modelrack /data /run/modelrack"
    return rack.machines[0].ssh(found, check=False).stdout == ""


@pytest.mark.parametrize(
    ("deploy", "options"), [("deploys/plan.py", ()), ("deploys/full.py", ("--dry",))]
)
def test_without_python_looking_says_what_would_come_first(
    rack: Rack, deploy: str, options: tuple[str, ...]
) -> None:
    looked = rack.deploy(*options, deploy=deploy)
    assert looked.code == 0, looked.output
    assert "apt-get install python3" in looked.output
    assert untouched(rack)


@pytest.mark.parametrize("deploy", ["deploys/lock.py", "deploys/rollback.py"])
def test_what_needs_python_says_which_run_installs_it(rack: Rack, deploy: str) -> None:
    refused = rack.deploy(deploy=deploy)
    assert refused.code == 1
    assert "refused: There is no python3 on this machine" in refused.output
    assert "deploys/full.py" in refused.output
    assert untouched(rack)


def test_a_user_without_sudo_is_told_to_add_it(rack: Rack) -> None:
    refused = rack.deploy("--ssh-user", "operator1")
    assert refused.code == 1
    assert "refused: This run is user operator1 on the machine" in refused.output
    assert "Add --sudo" in refused.output
    assert untouched(rack)


def test_without_a_terminal_nobody_is_asked_for_a_password(rack: Rack) -> None:
    for options in ((), ("--use-sudo-password",)):
        refused = rack.deploy(*AS_USER, *options)
        assert refused.code == 1
        assert "refused: sudo on this machine wants a password" in refused.output
        assert "--same-sudo-password" in refused.output
        assert "connection was lost" not in refused.output
    assert untouched(rack)


def test_at_a_terminal_sudo_asks_and_enter_installs_python_alone(rack: Rack) -> None:
    command = [word for word in rack.command(*AS_USER) if word != "-y"]
    answers = {"sudo password: ": PASSWORD, "Press enter to execute": ""}
    done = terminal.run(command, answers)
    assert done.code == 1, done.output
    assert done.output.count("sudo password: ") == 1
    assert "python3 is installed. Run the same command again" in done.output
    machine = rack.machines[0]
    assert machine.ssh("ls -d /etc/modelrack", check=False).stdout == ""
    machine.ssh("python3 -c 'import json' && apt-get -qy purge 'python3*' 'libpython3*'")


def test_one_run_installs_python_and_all_that_follows(rack: Rack) -> None:
    done = terminal.run(
        rack.command(*AS_USER, "--same-sudo-password"), {"sudo password: ": PASSWORD}
    )
    assert done.code == 0, done.output
    assert done.output.count("sudo password: ") == 1
    assert PASSWORD not in done.output
    operations = re.findall(r"Starting operation: (.*?)\s*$", done.output, re.MULTILINE)
    assert "Install Python" in operations[0]
    assert "answers as tiny on http://127.0.0.1:8080" in done.output
    assert ANSWER in rack.ask()


def test_the_machine_proves_it(rack: Rack) -> None:
    rack.machines[0].ssh("sed -i 's/) ALL$/) NOPASSWD: ALL/' /etc/sudoers.d/operator1")
    command = [sys.executable, "-m", "pytest", "-q", "tests/machine", "--inventory", rack.inventory]
    proof = run([*command, "--ssh-user", "operator1", "--sudo"])
    assert proof.code == 0, proof.output
    assert " passed" in proof.stdout


def test_a_second_run_changes_nothing(rack: Rack) -> None:
    # As an inventory says it for good.
    rack.add("ssh_user = 'operator1'\n_sudo = True")
    second = rack.deploy("--json")
    assert second.code == 0, second.output
    assert second.changed == []
