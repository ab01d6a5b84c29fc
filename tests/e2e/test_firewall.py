"""What other machines reach of one with a gateway, and that nobody is locked out: one story."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.open_ports import open_ports
from tests.e2e.rack import Rack
from tests.lab import Lab, Machine

DEPLOY, ON_TRIAL = "tests/e2e/deploys/firewall.py", "tests/e2e/deploys/firewall_on_trial.py"
LOAD = "Firewall | Load the firewall's rules, and prove that SSH comes through"
GATEWAY, OTHERS = {80, 443}, {3000, 8000, 8080, 9100, 11434}
# Listens on both families, on everything that a machine with models may have open.
LISTEN = """
import select, socket, sys
held = [socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        for port in sys.argv[1:]]
while True:
    for ready in select.select(held, [], [])[0]:
        ready.accept()[0].close()
"""
# Sends something now and then to all who come, and reads nothing; the other one only reads. What it
# has not acknowledged yet when the rules come may save a connection, but never all of them.
SEND = """
import socket, time
server = socket.create_server(("0.0.0.0", 7000))
connections = [server.accept()[0] for _ in range(10)]
while True:
    for connection in connections:
        connection.sendall(b".")
        time.sleep(0.03)
"""
READ = """
import pathlib, select, socket, sys
counts = {socket.create_connection((sys.argv[1], 7000)): 0 for _ in range(10)}
while True:
    for ready in select.select(list(counts), [], [])[0]:
        counts[ready] += len(ready.recv(4096))
    pathlib.Path("/run/reads").write_text(str(min(counts.values())))
"""
OTHER = (
    "add table inet other; add chain inet other c { type filter hook input priority 0; };"
    " add rule inet other c tcp dport 12345 drop"
)
INSTALL = "apt-get -q update && apt-get -qy install --no-install-recommends"
# Of the machine and of the one that asks, beside those that the lab has given them.
SIX, SIX_ASKING = "fd77::1", "fd77::2"


@dataclass(frozen=True)
class Place:
    """A machine with a firewall, and one that tries to reach it."""

    rack: Rack
    machine: Machine
    asking: Machine

    @property
    def rules(self) -> str:
        """Our table as the kernel has it, seen from outside: SSH may be shut."""
        namespace = self.machine.network.namespace(self.machine.index)
        # By its own nft, which another version may not understand.
        tree = ["chroot", str(self.machine.directory / "root")]
        listing = ["nft", "-s", "list", "table", "inet", "modelrack"]
        command = ["ip", "netns", "exec", namespace, *tree, *listing]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "No such file" in done.stderr, done.stderr
        return done.stdout

    def comes_up(self) -> None:
        """After a start: have it an address of the other family, and listen."""
        self.machine.ssh(f"ip -6 addr replace {SIX}/64 dev host0 nodad")
        for unit, ports in {"modelrack-gateway": GATEWAY, "others": OTHERS}.items():
            words = ["python3", "-c", LISTEN, *map(str, ports)]
            self.machine.ssh(["systemd-run", "--quiet", f"--unit={unit}", *words])
        _until(
            lambda: (
                open_ports(self.machine, "127.0.0.1", {*GATEWAY, *OTHERS}) == {*GATEWAY, *OTHERS}
            ),
            "it listens",
        )

    def changes(self, *options: str) -> list[str]:
        done = self.rack.deploy("--json", *options, deploy=DEPLOY)
        assert done.code == 0, done.output
        return done.changed

    def tries(self, opened: int, patience: int, *, killed: bool = False) -> tuple[int, str]:
        """Load rules that let this port in alone."""
        data = {"opened": opened, "patience": patience, "killed": str(killed).lower()}
        options = [word for key, value in data.items() for word in ("--data", f"{key}={value}")]
        done = self.rack.deploy(*options, deploy=ON_TRIAL)
        return done.code, done.output


# On the newer system sshd has another port than usual.
BOOKWORM, TRIXIE = (
    pytest.param(("bookworm", 22), id="bookworm"),
    pytest.param(("trixie", 2222), id="trixie"),
)
# What does not depend on the system.
ONCE = pytest.mark.parametrize("place", [BOOKWORM], indirect=True)


@pytest.fixture(scope="module", params=[BOOKWORM, TRIXIE])
def place(
    request: pytest.FixtureRequest,
    lab_factory: Callable[..., Lab],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    suite, port = request.param
    lab = lab_factory(2, name=f"wall-{suite}", suite=suite)
    machine, asking = lab.machines
    folder = tmp_path_factory.mktemp("firewall")
    keys = folder / "keys.toml"
    keys.write_text(f'[[key]]\nuser = "alice"\nteam = "research"\nsha256 = "{"0" * 64}"\n')
    rack = Rack(lab, "http://127.0.0.1:9", "http://127.0.0.1:9", folder)
    rack.point_to([machine], rack.told["hub"], rack.told["github"])
    rack.add(
        "from deploys.planning.inputs.gateway import Gateway\n"
        f"gateway = Gateway(host='ai.lab', keys=Path({str(keys)!r}))\n"
        "profile = replace(profile, services=(), gateway=gateway)\n"
        f"ssh_port = {port}"
    )
    if port != machine.port:
        machine.move_ssh(port)
    place = Place(rack, machine, asking)
    place.comes_up()
    asking.ssh(f"ip -6 addr replace {SIX_ASKING}/64 dev host0 nodad")
    asking.ssh(["systemd-run", "--quiet", "--unit=sends", "python3", "-c", SEND])
    asking.ssh(f"{INSTALL} iputils-ping")
    # What another program closes stays closed, and its own table as it is.
    machine.ssh(f"{INSTALL} nftables")
    machine.ssh(["nft", OTHER])
    yield place


def test_before_it_everything_answers(place: Place) -> None:
    assert open_ports(place.asking, place.machine.address) == {
        place.machine.port,
        *GATEWAY,
        *OTHERS,
    }
    assert open_ports(place.asking, SIX, OTHERS) == OTHERS


def test_after_it_ssh_and_the_gateway_answer_and_nothing_else(place: Place) -> None:
    address = place.machine.address
    # Connections on which the machine only listens, made while nobody followed connections.
    place.machine.ssh(
        ["systemd-run", "--quiet", "--unit=reads", "python3", "-c", READ, place.asking.address]
    )
    assert place.changes()[-1] == LOAD
    assert open_ports(place.asking, address) == {place.machine.port, *GATEWAY}
    assert open_ports(place.asking, SIX, {*GATEWAY, *OTHERS}) == GATEWAY
    for each in (address, SIX):
        place.asking.ssh(f"ping -c 1 -W 5 {each}")
    # It reaches itself, and others.
    assert (
        open_ports(place.machine, address, OTHERS)
        == open_ports(place.machine, "127.0.0.1", OTHERS)
        == OTHERS
    )
    assert open_ports(place.machine, place.asking.address, {22}) == {22}
    assert place.machine.ssh("nft -s list table inet other").stdout.count("dport 12345 drop") == 1
    before = _read(place)
    _until(lambda: _read(place) > before, "all old connections go on")


def test_a_second_run_changes_nothing(place: Place) -> None:
    assert place.changes() == []


def test_rules_that_were_changed_by_hand_are_put_right(place: Place) -> None:
    rules = place.rules
    for by_hand in (
        "insert rule inet modelrack input tcp dport 8000 accept",
        "delete table inet modelrack",
    ):
        place.machine.ssh(["nft", by_hand])
        assert open_ports(place.asking, place.machine.address, {8000}) == {8000}
        assert place.changes() == [LOAD]
        assert place.rules == rules
    assert open_ports(place.asking, place.machine.address, {8000}) == set()


@ONCE
def test_what_flushes_everything_brings_it_back(place: Place) -> None:
    """Debian's own rules begin with `flush ruleset`."""
    rules = place.rules
    for verb in ("start", "reload", "restart", "stop"):
        place.machine.ssh(f"systemctl {verb} nftables")
        assert place.rules == rules
    place.machine.ssh(["nft", OTHER])
    assert place.changes() == []


@ONCE
def test_who_deploys_is_not_shut_out_by_ssh_from(place: Place) -> None:
    rules = place.rules
    shut = f"{place.asking.address}/32"
    place.rack.add(f"site = replace(site, ssh_from=({shut!r},))")
    refused = place.rack.deploy(deploy=DEPLOY)
    assert refused.code == 1, refused.output
    host = place.machine.network.host
    assert (
        f"refused: This run comes from {host}, and ssh_from of the site ({shut})" in refused.output
    )
    assert place.rules == rules
    place.rack.add(f"site = replace(site, ssh_from=('{host}/32', 'fd00::/8'))")
    assert place.changes() == [LOAD]
    assert open_ports(place.asking, place.machine.address, {place.machine.port, 443}) == {443}
    # Its second address is in one of these networks.
    assert open_ports(place.asking, SIX, {place.machine.port}) == {place.machine.port}


@ONCE
def test_rules_that_let_no_new_connection_in_are_taken_back(place: Place) -> None:
    rules = place.rules
    code, output = place.tries(7, patience=600)
    assert code == 1, output
    assert "no new SSH connection comes through the firewall's new rules" in output
    assert "The rules from before are back. Look at ssh_from" in output
    assert place.rules == rules
    assert place.changes() == []


def test_a_run_that_is_killed_on_trial_locks_nobody_out(place: Place) -> None:
    rules = place.rules
    code, output = place.tries(7, patience=15, killed=True)
    assert code == -signal.SIGKILL, output
    assert place.rules not in ("", rules)
    # Nothing but the machine itself opens it again.
    _until(lambda: place.rules == rules, "the rules from before are back")
    place.machine.hang_up()
    place.machine.ssh("true")
    assert place.changes() == []


@ONCE
def test_a_trial_that_was_left_is_ended_by_the_next_run(place: Place) -> None:
    rules = place.rules
    code, output = place.tries(place.machine.port, patience=600, killed=True)
    assert code == -signal.SIGKILL, output
    assert place.rules != rules
    assert place.changes() == [LOAD]
    assert place.rules == rules
    left = "systemctl list-units --all --no-legend 'modelrack-firewall-undo*'; ls /run/modelrack"
    assert "firewall" not in place.machine.ssh(left).stdout
    assert place.changes() == []


def test_it_is_there_after_a_reboot(place: Place) -> None:
    rules = place.rules
    place.machine.reboot()
    place.comes_up()
    assert place.rules == rules
    assert open_ports(place.asking, place.machine.address, {*GATEWAY, *OTHERS}) == GATEWAY
    assert place.machine.ssh("systemctl --failed --no-legend").stdout == ""
    assert place.changes() == []


@ONCE
def test_rules_on_trial_do_not_outlive_a_power_cut(place: Place) -> None:
    rules = place.rules
    assert place.tries(7, patience=600, killed=True)[0] == -signal.SIGKILL
    place.machine.reboot(hard=True)
    place.comes_up()
    assert place.rules == rules
    assert place.changes() == []


def test_without_a_gateway_it_is_gone(place: Place) -> None:
    place.machine.ssh(["nft", OTHER])
    place.rack.add("profile = replace(profile, gateway=None)")
    assert place.changes() == ["Firewall | Remove the firewall"]
    assert place.rules == ""
    assert open_ports(place.asking, place.machine.address, OTHERS) == OTHERS
    assert place.machine.ssh("nft list tables").stdout == "table inet other\n"
    left = "ls -d /etc/modelrack/firewall* /etc/systemd/system/*/modelrack-firewall* 2>/dev/null"
    assert place.machine.ssh(left, check=False).stdout == ""
    assert place.changes() == []


def _read(place: Place) -> int:
    """Bytes that have come over each of the connections from before."""
    return int(place.machine.ssh("cat /run/reads 2>/dev/null || echo 0").stdout or 0)


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within two minutes"
        time.sleep(0.2)
