"""One disposable machine: systemd as PID 1, reached over SSH, with real power switches."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import identity, network, surroundings
from tests.lab.network import Network
from tests.lab.process import LabError, run

# Seconds that a connection stays open for the next command, as most of what a command costs is to
# open one; and characters that a socket's path may have, without those that ssh adds for a moment.
_KEPT_OPEN, _LONGEST_PATH = 60, 80

# nspawn ends with 133 when the machine asked for a reboot; any other end is a power-off.
# The network namespace outlives it, but rules of a kernel do not.
# Its cgroup is the machine's own: two machines in one would share /payload and kill each other.
SUPERVISE = """
echo 0 > "$CGROUP/loop/cgroup.procs" || exit
while :; do
    find "$CGROUP/boot" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
    ip netns exec "$NAMESPACE" nft flush ruleset
    echo boot >> "$MACHINE/boots"
    (echo 0 > "$CGROUP/boot/cgroup.procs" && exec "$@")
    [ $? -eq 133 ] && [ ! -e "$MACHINE/stays-off" ] || exit 0
done
"""


@dataclass
class Machine:
    """A machine of a lab. ``address`` answers SSH on ``port``, as root with ``key``.

    ``connect_seconds`` is how long it may take to say that it is there.
    """

    name: str
    address: str
    key: Path
    known_hosts: Path
    directory: Path
    cgroup: Path
    network: Network = field(repr=False)
    index: int
    binds: tuple[str, ...] = ()
    port: int = 22
    connect_seconds: int = 5
    _supervisor: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    # -- SSH --------------------------------------------------------------------------------

    def ssh_command(self, *options: str) -> list[str]:
        """The ``ssh`` command line that reaches this machine, whatever the user's ssh_config."""
        settings = {
            "UserKnownHostsFile": str(self.known_hosts),
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": str(self.connect_seconds),
            "LogLevel": "ERROR",
        }
        pairs = [f"-o{name}={value}" for name, value in settings.items()]
        how = ["-F", "none", "-i", str(self.key), "-p", str(self.port), *pairs]
        return ["ssh", *how, *options, f"root@{self.address}"]

    def ssh(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` (a shell line, or words to be quoted) as root on the machine.

        A connection that is open is used again, but after ``hang_up``, a start and a cut link.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        done = subprocess.run(
            [*self.ssh_command("-o", "BatchMode=yes", *self._shared()), line],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise LabError(f"{self.name}: {line!r} ended with {done.returncode}:\n{said}")
        return done

    def hang_up(self) -> None:
        """Close the connection that is open, so that the next command needs a new one."""
        if self._socket.exists():
            run(self.ssh_command(*self._shared(), "-O", "exit"), check=False)
            self._socket.unlink(missing_ok=True)

    @property
    def _socket(self) -> Path:
        return self.key.parent / f"ssh-{self.name}-{self.port}"

    def _shared(self) -> list[str]:
        path = str(self._socket)
        how = ["-oControlMaster=auto", f"-oControlPersist={_KEPT_OPEN}", f"-oControlPath={path}"]
        return how if len(path) <= _LONGEST_PATH else []

    def wait_ssh(self, timeout: float = 60) -> None:
        """Return when the machine lets root in."""
        deadline = time.monotonic() + timeout
        while True:
            done = self.ssh("true", check=False)
            if done.returncode == 0:
                return
            if not self.is_running():
                raise LabError(f"{self.name} does not run:\n{self.console()[-2000:]}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} does not answer SSH: {done.stderr.strip()}")
            time.sleep(0.05)

    def move_ssh(self, port: int) -> None:
        """Have sshd answer on another port, and on no other."""
        self.ssh(f"echo Port {port} > /etc/ssh/sshd_config.d/port.conf")
        known = [line.split(" ", 1) for line in self.known_hosts.read_text().splitlines()]
        with self.known_hosts.open("a") as hosts:
            hosts.writelines(
                f"[{self.address}]:{port} {key}\n" for name, key in known if name == self.address
            )
        self.ssh("systemctl restart ssh")
        self.hang_up()
        self.port = port

    # -- power ------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Switch the machine on; with ``wait``, return when it answers SSH."""
        if self.is_running():
            raise LabError(f"{self.name} runs already")
        self.hang_up()
        (self.cgroup / "loop").mkdir(parents=True, exist_ok=True)
        (self.cgroup / "boot").mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "CGROUP": str(self.cgroup),
            "MACHINE": str(self.directory),
            "NAMESPACE": self.network.namespace(self.index),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
        }
        with (self.directory / "console.log").open("ab") as console:
            self._supervisor = subprocess.Popen(
                ["/bin/sh", "-c", SUPERVISE, f"lab-{self.name}", *self._nspawn()],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        if wait:
            self.wait_ssh()

    def stop(self, timeout: float = 30) -> None:
        """Shut the machine down in order; its tree stays and ``start`` boots it again."""
        for pid in _pids(self.cgroup / "boot" / "supervisor"):
            os.kill(pid, signal.SIGTERM)
        if not self._gone(timeout):
            self.kill()

    def kill(self) -> None:
        """Pull the plug: every process of the machine dies at once, nothing is shut down."""
        if self._supervisor is not None:
            self._supervisor.kill()
        if self.is_running():
            (self.cgroup / "cgroup.kill").write_text("1")
        if not self._gone(10):
            raise LabError(f"{self.name} has processes that do not die: {_pids(self.cgroup)}")

    def reboot(self, *, hard: bool = False) -> None:
        """Restart the machine, in order or (``hard``) as after a power cut, and wait for SSH."""
        if hard:
            self.kill()
            self.start()
            return
        before, deadline = self.boots(), time.monotonic() + 60
        self.ssh("systemctl reboot", check=False)
        while self.boots() == before:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not reboot within a minute")
            time.sleep(0.05)
        self.hang_up()
        self.wait_ssh()

    def stay_off(self, really: bool = True) -> None:
        """From now on (or not any more) a reboot ends as a power-off: it never comes back."""
        mark = self.directory / "stays-off"
        mark.touch() if really else mark.unlink(missing_ok=True)

    def reap(self) -> None:
        """Take note that the supervisor is gone, so that it does not stay as a zombie."""
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None

    def is_running(self) -> bool:
        """Whether any process of the machine is there."""
        # The supervisor's first step is to enter its cgroup; until then only it knows.
        if self._supervisor is not None and self._supervisor.poll() is None:
            return True
        events = self.cgroup / "cgroup.events"
        return events.exists() and "populated 1" in events.read_text()

    def boots(self) -> int:
        """How often the machine has been booted: the way to see a reboot from outside."""
        path = self.directory / "boots"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def console(self) -> str:
        """What the machine printed on its console."""
        path = self.directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- link -------------------------------------------------------------------------------

    def cut_link(self) -> None:
        """Black hole: packets vanish both ways. ``restore_link`` ends it."""
        self.hang_up()
        network.cut(self.network, self.index)

    def reject_link(self) -> None:
        """Connections are refused at once instead of hanging."""
        self.hang_up()
        network.reject(self.network, self.index)

    def lossy_link(self, percent: int) -> None:
        """Lose this share of the packets."""
        network.lose(self.network, self.index, percent)

    def slow_link(self, rate: str) -> None:
        """Limit the rate each way, as tc writes it: ``8mbit``."""
        network.slow(self.network, self.index, rate)

    def restore_link(self) -> None:
        """Take all link faults away."""
        self.hang_up()
        network.restore(self.network, self.index)

    # -- made before the first boot ----------------------------------------------------------

    def personalise(self) -> None:
        """Give the mounted tree its name, id, SSH keys and ways to the registries."""
        tree = self.directory / "root"
        (tree / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
        surroundings.copy_into(tree, closed=self.network.air_gapped)
        identity.write(tree, self.name, self.address, self.key, self.known_hosts)

    def _nspawn(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--capability=CAP_NET_ADMIN",
            f"--directory={self.directory / 'root'}",
            f"--machine={self.name}",
            f"--network-namespace-path=/run/netns/{self.network.namespace(self.index)}",
            *(f"--bind-ro={folder}" for folder in surroundings.folders_to_bind()),
            *(f"--bind={bind}" for bind in self.binds),
        ]

    def _gone(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _pids(cgroup: Path) -> list[int]:
    return [int(pid) for procs in cgroup.rglob("cgroup.procs") for pid in procs.read_text().split()]
