"""Where SSH gets into this machine, and where the run that asks comes from, from /proc and /etc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..lib.probe import read, run
from ..lib.processes import PROCESSES, listening_sockets, open_files, unit_of

ETC = Path("/etc/ssh")
_BOOTED = Path("/run/systemd/system")
# Units that listen in sshd's place and start it when somebody comes.
_SOCKETS = ("ssh.socket", "sshd.socket")


def report(
    processes: Path = PROCESSES, etc: Path = ETC, booted: Path = _BOOTED
) -> dict[str, object]:
    """Return the TCP ports that sshd answers on, and the address that this run comes from.

    Where no sshd runs, the ports are those that it is told to answer on. While an image is built,
    all processes are those of the computer that builds it.
    """
    running = booted.is_dir()
    connection = _connection(processes) if running else ()
    found = {*_of_sshd(processes), *map(int, connection[3:])} if running else set()
    return {
        "ssh_ports": sorted(found or set(_configured(etc))),
        "operator": connection[0] if connection else None,
    }


def _connection(processes: Path) -> tuple[str, ...]:
    """Return address and port of the operator, then of this machine; () for no SSH connection.

    sudo takes SSH_CONNECTION out of the environment, so that of the processes above is read.
    """
    process = os.getpid()
    while process > 1:
        for line in read(processes / str(process) / "environ").split("\0"):
            name, _, value = line.partition("=")
            if name == "SSH_CONNECTION" and len(value.split()) == 4:
                return tuple(value.split())
        process = _parent(processes / str(process))
    return ()


def _of_sshd(processes: Path) -> Iterator[int]:
    sockets = listening_sockets(processes)
    for process in processes.glob("[0-9]*") if sockets else ():
        if process.name == "1":
            held = {sockets[each] for each in _sockets(process) if each in sockets}
            yield from held & set(_of_socket_units()) if held else ()
        elif _is_sshd(process) and not _is_of_a_session(process):
            yield from (sockets[each] for each in _sockets(process) if each in sockets)


def _is_of_a_session(process: Path) -> bool:
    """Return whether this sshd serves one operator, and listens to what he forwards at most."""
    above = process.with_name(str(_parent(process)))
    return _is_sshd(above) or "@" in unit_of(process)


def _sockets(process: Path) -> Iterator[str]:
    for file in open_files(process):
        if file.startswith("socket:["):
            yield file[8:-1]


def _is_sshd(process: Path) -> bool:
    return read(process / "comm").strip() == "sshd"


def _parent(process: Path) -> int:
    # Behind the name, which may hold anything.
    fields = read(process / "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _of_socket_units() -> Iterator[int]:
    shown, _ = run("systemctl", "show", "--property=Listen", *_SOCKETS)
    yield from (int(port) for port in re.findall(r":(\d+) \(Stream\)", shown))


def _configured(etc: Path) -> Iterator[int]:
    """Yield the ports of sshd's configuration: 22 where it names none."""
    files = [*sorted(etc.glob("sshd_config.d/*.conf")), etc / "sshd_config"]
    texts = [read(file) for file in files]
    named = [int(port) for text in texts for port in re.findall(_PORT, text, re.I | re.M)]
    if any(texts):
        yield from named or (22,)


_PORT = r"^[ \t]*(?:Port[ \t=]+|ListenAddress[ \t=]+\S*[\]\d]:)\"?(\d+)"
