"""What every machine has, whatever it serves."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/modelrack", 0o755),
        ("/etc/modelrack/secrets", 0o700),
        ("/opt/modelrack/bin", 0o755),
        ("/var/lib/modelrack/jobs", 0o755),
        ("/var/lib/modelrack/services", 0o755),
        ("/var/lib/modelrack/failures", 0o700),
    ],
)
def test_our_folders_belong_to_root(machine: Host, path: str, mode: int) -> None:
    folder = machine.file(path)
    assert folder.is_directory
    assert (folder.user, folder.group, folder.mode) == ("root", "root", mode)


def test_the_service_user_cannot_log_in(machine: Host) -> None:
    user = machine.user("modelrack")
    assert user.exists
    assert user.shell.endswith("nologin")


def test_uv_runs(machine: Host) -> None:
    assert machine.check_output("/opt/modelrack/bin/uv --version").startswith("uv ")


def test_nothing_of_ours_is_writable_by_others(machine: Host) -> None:
    found = machine.check_output(
        "find /etc/modelrack /opt/modelrack /var/lib/modelrack -perm -o+w -not -type l"
    )
    assert found == ""


def test_no_unit_failed(machine: Host) -> None:
    assert machine.check_output("systemctl --failed --plain --no-legend") == ""


def test_nothing_is_half_written(machine: Host) -> None:
    assert machine.check_output("find /opt/modelrack /etc/modelrack -name '*.arriving*'") == ""
