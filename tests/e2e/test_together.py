"""Machines that serve together or not at all, under systemd, with an engine that costs nothing.

tests/group has the same with vLLM, which takes minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.e2e.group_machines import SECRET, UNIT, GroupMachines, put, put_program, set_up, wait
from tests.lab import Lab, Machine

# The head answers; what it needs the others for is not tried here.
ENGINES = ("/usr/bin/python3 -m http.server --bind 127.0.0.1 8000", "/bin/sleep 1000000")


@dataclass(frozen=True)
class Site:
    """Two machines of a group, one that was not asked, and what they know."""

    group: GroupMachines
    stranger: Machine
    secret: str

    def set_up(self, machine: Machine, rank: int, nodes: list[str], secret: str) -> None:
        set_up(machine, rank, nodes, engine=ENGINES[rank], secret=secret)

    def start(self, machine: Machine) -> None:
        machine.ssh(f"systemctl restart {self.group.unit}")


@pytest.fixture(scope="module")
def site(lab_factory) -> Iterator[Site]:
    lab: Lab = lab_factory(3, name="together")
    first, second, third = lab.machines

    def answers() -> bool:
        if not first.is_running():
            return False
        asked = first.ssh("curl -sf -m 5 -o /dev/null http://127.0.0.1:8000/", check=False)
        return asked.returncode == 0

    group = GroupMachines([first, second], UNIT, answers)
    made = Site(group, third, secrets.token_hex(32))
    nodes = [first.address, second.address]
    for machine in lab.machines:
        put_program(machine)
    for rank, machine in enumerate(group.machines):
        made.set_up(machine, rank, nodes, made.secret)
    # As if it were the second one, with all that this has.
    made.set_up(third, 1, [first.address, third.address], made.secret)
    yield made


def test_it_starts_when_all_are_there(site: Site) -> None:
    group, (first, second) = site.group, site.group.machines
    site.start(first)
    shown = f"systemctl show --value --property=StatusText {group.unit}"
    waits = f"Waiting for rank 1 ({second.address})"
    wait(lambda: first.ssh(shown).stdout.strip() == waits, "systemd is not told who is missing")
    assert not group.answers()
    site.start(second)
    wait(group.answers, "it does not start")
    assert "engine runs" in first.ssh(shown).stdout


def test_its_secret_is_root_s_and_nowhere_else(site: Site) -> None:
    for machine in site.group.machines:
        told = machine.ssh(
            f"systemctl show {site.group.unit}; journalctl --no-pager -o cat;"
            " cat /proc/[0-9]*/cmdline | tr '\\0' ' '; cat /proc/[0-9]*/environ | tr '\\0' ' '",
            check=False,
        ).stdout
        assert site.group.unit in told
        assert site.secret not in told
        assert machine.ssh(f"setpriv --reuid=nobody cat {SECRET}", check=False).returncode


@pytest.mark.parametrize("what", ["machine", "machine without the secret", "node"])
def test_a_third_machine_cannot_join(site: Site, what: str) -> None:
    group, third = site.group, site.stranger
    before = [group.main(machine) for machine in group.machines]
    secret = "0" * 64 if "without" in what else site.secret
    nodes = [group.head.address, third.address]
    # As the node that it is not it cannot even speak: that address is another machine's.
    nodes = [*(each.address for each in group.machines)] if what == "node" else nodes
    site.set_up(third, 1, nodes, secret)
    seen = replace(group, machines=[third])
    told = len(seen.said(third))
    site.start(third)
    wait(lambda: "is not there" in seen.said(third)[told:], "it does not even try")
    assert "starting the engine" not in seen.said(third)
    third.ssh(f"systemctl stop {group.unit}")
    assert [group.main(machine) for machine in group.machines] == before
    assert group.answers()


def test_a_machine_that_was_not_asked_is_named_where_it_can_knock(site: Site) -> None:
    group, third = site.group, site.stranger
    # systemd drops what it sends where it can; then nobody hears it.
    knock = f"timeout 5 bash -c 'read -r said < /dev/tcp/{group.head.address}/8001; echo $said'"
    assert "nonce" not in third.ssh(knock, check=False).stdout
    for machine in group.machines:
        drop_in = f"/etc/systemd/system/{group.unit}.d/open.conf"
        put(machine, drop_in, "[Service]\nIPAddressDeny=\n")
        machine.ssh(f"systemctl daemon-reload && systemctl restart --no-block {group.unit}")
    wait(group.answers, "it does not start again")
    assert "nonce" not in third.ssh(knock, check=False).stdout
    assert f"refused {third.address}: it is no node of this group" in group.said(group.head)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("pattern", [" together ", "engine"])
def test_whatever_is_killed_it_answers_again(site: Site, rank: int, pattern: str) -> None:
    group, machine = site.group, site.group.machines[rank]
    pattern = ENGINES[rank] if pattern == "engine" else pattern
    group.survives(f"{pattern} of rank {rank}", lambda: group.kill(machine, pattern))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_program_that_hangs_is_ended_by_systemd_and_missed_by_the_others(
    site: Site, rank: int
) -> None:
    group, machine = site.group, site.group.machines[rank]
    hung, other = group.main(machine), group.machines[1 - rank]
    group.survives(f"rank {rank} hangs", lambda: machine.ssh(f"kill -STOP {hung}"))
    gone = f"rank {rank} ({machine.address}) is gone: "
    assert gone in group.said(other)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_cut_cable_ends_it_on_both_sides(site: Site, rank: int) -> None:
    group, machine = site.group, site.group.machines[rank]
    other = group.machines[1 - rank]
    gone = f"rank {rank} ({machine.address}) is gone: nothing was heard of it"
    noticed = group.said(other).count(gone)

    def mend() -> None:
        wait(lambda: group.said(other).count(gone) > noticed, "the other one does not notice")
        machine.restore_link()

    group.survives(f"cable of rank {rank}", machine.cut_link, mend)
    assert "is gone: nothing was heard of it" in group.said(machine)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_machine_that_is_off_and_on_comes_back(site: Site, rank: int) -> None:
    group, machine = site.group, site.group.machines[rank]
    group.survives(f"machine {rank} off", machine.kill, machine.start)
    group.survives(f"machine {rank} boots", machine.reboot)
