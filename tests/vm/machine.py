"""A machine of a lab that has a kernel of its own, and is otherwise used as the others are."""

from __future__ import annotations

import io
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests import temporary
from tests.lab import identity, network
from tests.lab.machine import Machine
from tests.lab.process import LabError
from tests.vm.qemu import PATIENCE, Qemu

# It has no address yet, and a clock that stood still since it was saved.
PERSONALISE = """\
set -eu
date -s @{now} >/dev/null
tar -x -C /
hostname {name}
networkctl reload
networkctl reconfigure $(ls /sys/class/net | grep -v lo)
systemctl reset-failed ssh.service
systemctl restart ssh.service
sync
"""
NETWORK = """\
[Match]
Driver=virtio_net

[Link]
MACAddress={mac}
MTUBytes={mtu}

[Network]
Address={address}/24
Gateway={gateway}
LinkLocalAddressing=no
"""


@dataclass
class VirtualMachine(Machine):
    """``address`` answers SSH as every machine's does; its disk and its console are QEMU's."""

    qemu: Qemu = field(kw_only=True)

    @property
    def mac(self) -> str:
        return f"52:54:00:00:00:{self.index:02x}"

    # -- power --------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Switch the machine on; with ``wait``, return when it answers SSH."""
        self._switch_on()
        if wait:
            self.wait_ssh()

    def first_start(self, resume: Path | None) -> None:
        """Switch it on, or have it go on from a saved state, and make it this lab's machine."""
        self._switch_on(resume)
        self.qemu.wait_agent()
        self.personalise()
        self.wait_ssh()

    def _switch_on(self, resume: Path | None = None) -> None:
        if self.is_running():
            raise LabError(f"{self.name} runs already")
        self.hang_up()
        self.cgroup.mkdir(parents=True, exist_ok=True)
        self.qemu.start(resume)

    def stop(self, timeout: float = PATIENCE) -> None:
        """Shut the machine down in order; ``start`` boots it again."""
        if self.is_running():
            self.ssh("systemctl poweroff", check=False)
            self.hang_up()
            if not self.qemu.wait(timeout):
                self.kill()

    def kill(self) -> None:
        """Pull the plug: what was not flushed to the disk is lost."""
        self.qemu.kill()
        self.hang_up()

    def reboot(self, *, hard: bool = False) -> None:
        """Restart the machine, in order or (``hard``) as after a power cut, and wait for SSH."""
        if hard:
            self.kill()
            self.start()
            return
        before, deadline = self.boot_id(), time.monotonic() + PATIENCE
        self.ssh("systemctl reboot", check=False)
        while True:
            self.hang_up()
            time.sleep(1)
            if self.ssh("true", check=False).returncode == 0 and self.boot_id() != before:
                return
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not reboot:\n{self.console()[-3000:]}")

    def stay_off(self, really: bool = True) -> None:
        """From now on (or not any more) a reboot ends as a power-off: it never comes back."""
        self.qemu.monitor("set-action", reboot="shutdown" if really else "reset")

    def reap(self) -> None:
        """Take note that its processes are gone, so that they do not stay as zombies."""
        self.qemu.kill()

    def is_running(self) -> bool:
        return self.qemu.is_running()

    def boot_id(self) -> str:
        """The kernel's own word for this boot."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def console(self) -> str:
        """What the machine printed on its serial console."""
        return self.qemu.console()

    # -- waiting ------------------------------------------------------------------------------

    def wait_ssh(self, timeout: float = PATIENCE) -> None:
        super().wait_ssh(timeout)

    # -- link ---------------------------------------------------------------------------------

    def slow_link(self, rate: str) -> None:
        """Limit the rate at which it is sent to, as tc writes it: ``8mbit``."""
        network.slow_down(self.network, self.index, rate)

    # -- made once it runs --------------------------------------------------------------------

    def personalise(self) -> None:
        """Give it its name, address, SSH keys and time."""
        with temporary.folder("modelrack-vm-") as tree:
            for folder in ("etc/ssh", "etc/systemd/network", "root/.ssh"):
                (tree / folder).mkdir(parents=True)
            identity.write(tree, self.name, self.address, self.key, self.known_hosts)
            (tree / "etc/systemd/network/10-lab.network").write_text(
                NETWORK.format(
                    mac=self.mac,
                    mtu=self.network.mtu,
                    address=self.address,
                    gateway=self.network.host,
                )
            )
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for path in sorted(tree.rglob("*")):
                    if path.is_file():
                        entry = archive.gettarinfo(path, str(path.relative_to(tree)))
                        entry.uid = entry.gid = 0
                        with path.open("rb") as content:
                            archive.addfile(entry, content)
        script = PERSONALISE.format(name=self.name, now=int(time.time()))
        self.qemu.agent.run(script, packed.getvalue())
