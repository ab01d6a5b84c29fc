"""Where sshd is found to answer, and where a run is found to come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.facts import ssh

SOCKET = "   0: 00000000:{:04X} 00000000:0000 0A 0:0 00:0 0     0        0 {} 1 0 100 0 0 10 0"
SERVICE = "/system.slice/ssh.service"


class Running:
    """A machine's /proc and /etc/ssh."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.etc, self.booted = folder / "proc", folder / "etc", folder / "booted"
        for path in (self.proc / "net", self.etc / "sshd_config.d", self.booted):
            path.mkdir(parents=True)
        self._sockets = ["  sl  local_address ..."]

    def process(
        self,
        pid: int,
        name: str,
        parent: int,
        unit: str = SERVICE,
        ports: dict[int, int] | None = None,
    ) -> Path:
        """One process; ports by the inode of the socket that it has open."""
        folder = self.proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "stat").write_text(f"{pid} (a) name) S {parent} {pid} {pid} 0")
        (folder / "cgroup").write_text(f"0::{unit}\n")
        (folder / "environ").write_text("HOME=/\0")
        for inode, port in (ports or {}).items():
            (folder / "fd" / str(inode)).symlink_to(f"socket:[{inode}]")
            self._sockets.append(SOCKET.format(port, inode))
        (self.proc / "net/tcp").write_text("\n".join(self._sockets) + "\n")
        return folder

    def report(self) -> dict[str, Any]:
        return ssh.report(self.proc, self.etc, self.booted)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_the_ports_are_those_that_sshd_listens_on(running: Running) -> None:
    (running.etc / "sshd_config").write_text("Port 22\n")
    running.process(700, "sshd", 1, ports={501: 2222, 502: 2022})
    running.process(800, "nginx", 1, "/system.slice/nginx.service", {503: 443})
    assert running.report()["ssh_ports"] == [2022, 2222]


def test_what_a_session_forwards_is_no_port_of_sshd(running: Running) -> None:
    """`ssh -R 9000:…` is listened to by a process that is called sshd, too."""
    running.process(700, "sshd", 1, ports={501: 22})
    running.process(701, "sshd", 700, ports={502: 9000})
    running.process(702, "sshd", 701, ports={503: 9001})
    # Started by a socket, one for each connection.
    running.process(900, "sshd", 1, "/system.slice/ssh@3-10.0.0.1:22.service", {504: 9002})
    assert running.report()["ssh_ports"] == [22]


def test_systemd_may_listen_in_its_place(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "Listen=0.0.0.0:2222 (Stream)\nListen=[::]:2222 (Stream)\n\nListen=[::]:22 (Stream)\n"
    monkeypatch.setattr(ssh, "run", lambda *command: (shown, ""))
    # The units say more than what is listened on: 22 is of one that is off.
    running.process(1, "systemd", 0, "/init.scope", {501: 2222, 502: 631})
    assert running.report()["ssh_ports"] == [2222]


def test_a_port_that_we_came_by_is_one(running: Running) -> None:
    me = running.process(os.getpid(), "python3", 40)
    (running.process(40, "sudo", 30) / "environ").write_text("SUDO_USER=li\0")
    shell = running.process(30, "bash", 20)
    (shell / "environ").write_text("A=1\0SSH_CONNECTION=10.1.2.3 50000 10.8.0.5 2200\0")
    assert running.report() == {"ssh_ports": [2200], "operator": "10.1.2.3"}
    # Of the processes above, the nearest one counts.
    (me / "environ").write_text("SSH_CONNECTION=fd00::7 50000 fd00::1 22\0")
    assert running.report() == {"ssh_ports": [22], "operator": "fd00::7"}


def test_a_run_on_the_machine_itself_comes_from_nowhere(running: Running) -> None:
    running.process(os.getpid(), "python3", 1)
    assert running.report()["operator"] is None


@pytest.mark.parametrize(
    ("files", "ports"),
    [
        ({}, []),
        ({"sshd_config": "# Port 22\nPermitRootLogin no\n"}, [22]),
        ({"sshd_config": "Port 22\nport=2222\n"}, [22, 2222]),
        ({"sshd_config": "Include x\n", "sshd_config.d/a.conf": " Port 2022\n"}, [2022]),
        ({"sshd_config": "ListenAddress 0.0.0.0:2200\nListenAddress [::]:2201\n"}, [2200, 2201]),
        ({"sshd_config": "ListenAddress 0.0.0.0\nListenAddress ::\n"}, [22]),
    ],
)
def test_where_no_sshd_runs_its_configuration_says_it(
    files: dict[str, str], ports: list[int], running: Running
) -> None:
    for name, text in files.items():
        (running.etc / name).write_text(text)
    assert running.report() == {"ssh_ports": ports, "operator": None}


def test_while_an_image_is_built_all_processes_are_of_another_computer(running: Running) -> None:
    running.booted.rmdir()
    (running.etc / "sshd_config").write_text("Port 2222\n")
    running.process(700, "sshd", 1, ports={501: 22})
    me = running.process(os.getpid(), "python3", 1)
    (me / "environ").write_text("SSH_CONNECTION=10.1.2.3 50000 10.8.0.5 22\0")
    assert running.report() == {"ssh_ports": [2222], "operator": None}
