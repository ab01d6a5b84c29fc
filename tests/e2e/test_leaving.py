"""A service that is planned no more makes room for what is; the tests are one story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.rack import Rack, Run
from tests.e2e.versions import DOES_NOT_RUN, first_of
from tests.lab.tiny_model import ANSWER

STOP = "Services | Stop retired services"
START = "llama.cpp | Configure and start llama.cpp, and wait until it answers"
NOTE = "State | Record the deployed state"


@pytest.fixture(scope="module")
def rack(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Rack]:
    lab = lab_factory(1, name="leaving")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("leaving"))
    first = rack.deploy()
    assert first.code == 0, first.output
    yield rack


def renamed(rack: Rack, name: str) -> None:
    """Plan the same service under another name, on the same port."""
    rack.add(f"profile = replace(profile, services=(replace(profile.services[0], name={name!r}),))")


def changes(done: Run) -> list[str]:
    assert done.code == 0, done.output
    return done.changed


def servers(rack: Rack) -> list[str]:
    """Units that run, or would after a reboot."""
    machine = rack.machines[0]
    running = machine.ssh(
        "systemctl list-units --all --plain --no-legend 'llama-server@*' | cut -d ' ' -f 1"
    ).stdout.split()
    at_boot = machine.ssh(
        "cd /etc/systemd/system/multi-user.target.wants && ls | grep llama-server", check=False
    ).stdout.split()
    return sorted({*running, *at_boot})


def test_it_is_stopped_and_leaves_its_port(rack: Rack) -> None:
    machine = rack.machines[0]
    renamed(rack, "other")
    assert changes(rack.deploy("--json")) == [STOP, START, NOTE]
    assert servers(rack) == ["llama-server@other.service"]
    assert ANSWER in rack.ask()
    assert machine.ssh("ls /etc/modelrack/services /var/lib/modelrack/services").stdout.split() == [
        "/etc/modelrack/services:",
        "other.env",
        "/var/lib/modelrack/services:",
        "other.json",
    ]
    assert machine.ssh("systemctl --failed --no-legend").stdout == ""
    assert changes(rack.deploy("--json")) == []


def test_it_serves_again_where_the_new_version_does_not_run(rack: Rack) -> None:
    versions = first_of(rack)
    versions.pin("unrunnable", DOES_NOT_RUN)
    renamed(rack, "tiny")
    failed = rack.deploy()
    assert failed.code == 1, failed.output
    assert "does not run on this machine" in failed.output
    assert "serves again, with the settings that it had" in failed.output
    assert servers(rack) == ["llama-server@other.service"]
    assert ANSWER in rack.ask()


def test_without_any_service_nothing_serves(rack: Rack) -> None:
    rack.add("profile = replace(profile, services=())")
    assert STOP in changes(rack.deploy("--json"))
    assert servers(rack) == []
    assert rack.ask() == ""
    assert rack.machines[0].ssh("ls /data/models").stdout == "tiny-qwen2\n"
    assert changes(rack.deploy("--json")) == []
