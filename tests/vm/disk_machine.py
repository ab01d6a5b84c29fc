"""Machines of the lab on disks of their own: this host's kernel, and power cuts that are true.

Between a file system and the file of its disk is a program. Whoever pulls the plug kills it, and
the file stays as it is at that moment: what the kernel still had to write never gets there.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab import Lab, network, tree
from tests.lab.machine import Machine
from tests.lab.process import LabError, run
from tests.lab.tree import Layer
from tests.vm import tools

# Bytes, most of them a hole.
SIZE = 4 << 30


@dataclass
class Disk:
    """A disk and where it is mounted.

    + image: its file, with a file system
    + group: control group of its program, which ends with the lab
    """

    image: Path
    at: Path
    group: Path
    _program: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def _served(self) -> Path:
        return self.image.with_suffix(".served")

    def plug_in(self) -> None:
        """Mount it, which makes up for what was half written."""
        self._served.touch()
        self.at.mkdir(exist_ok=True)
        self.group.mkdir(parents=True, exist_ok=True)
        node = f"driver=raw,node-name=disk,file.driver=file,file.filename={self.image}"
        export = f"type=fuse,id=disk,node-name=disk,mountpoint={self._served},writable=on"
        serve = [*tools.program("qemu-storage-daemon"), "--blockdev", node, "--export", export]
        enter = ["/bin/sh", "-c", f'echo 0 > "{self.group}/cgroup.procs" && exec "$@"', "disk"]
        self._program = subprocess.Popen([*enter, *serve], start_new_session=True)
        deadline = time.monotonic() + 60
        while self._served.stat().st_size != self.image.stat().st_size:
            if self._program.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{self.image} is not served")
            time.sleep(0.02)
        run(["mount", "-o", "loop", str(self._served), str(self.at)])

    def pull(self) -> None:
        """From now on nothing is written to it, and nothing read."""
        if self._program is not None:
            self._program.kill()
            self._program.wait()

    def unmount(self) -> None:
        """Forget it; what was not written is lost."""
        if self._program is not None:
            for place in (self.at, self._served):
                run(["umount", "--lazy", str(place)], check=False)
        self._program = None


@dataclass
class DiskMachine(Machine):
    """``kill`` pulls the plug of machine and disks, ``start`` mounts them and boots."""

    disks: list[Disk] = field(default_factory=list)

    def start(self, *, wait: bool = True) -> None:
        self.plug_in()
        super().start(wait=wait)

    def plug_in(self) -> None:
        """Mount the disks, if they are not."""
        for disk in self.disks:
            if disk._program is None:
                disk.plug_in()

    def add_disk(self, place: str, size: int) -> Disk:
        """A further disk, which is mounted there from the next start on."""
        image = self.directory / f"disk{len(self.disks)}.raw"
        with image.open("wb") as file:
            file.truncate(size)
        run([*tools.program("mke2fs"), "-q", "-t", "ext4", str(image)])
        group = self.cgroup.with_name(f"{image.stem}-{self.name}")
        self.disks.append(Disk(image, self.directory / "root" / place.lstrip("/"), group))
        return self.disks[-1]

    def kill(self) -> None:
        """Pull the plug: what was not written to the disks is lost."""
        for disk in self.disks:
            disk.pull()
        super().kill()
        self.hang_up()
        for disk in reversed(self.disks):
            disk.unmount()


class DiskLab(Lab):
    """``with DiskLab(1) as lab`` as ``Lab`` is used.

    + more: packages that the machines have beside those of every server
    """

    def __init__(
        self, machines: int | Sequence[str] = 1, *, more: Sequence[str] = (), **options: Any
    ) -> None:
        # What a tree is to the others, a disk is to these.
        super().__init__(machines, layer=Layer(()), **options)
        self._more = more

    def __enter__(self) -> DiskLab:
        self.up()
        return self

    @property
    def with_disks(self) -> list[DiskMachine]:
        return [machine for machine in self.machines if isinstance(machine, DiskMachine)]

    def down(self) -> None:
        for machine in self.machines:
            machine.kill()
        super().down()

    def _boot(self, machine: Machine, prepare: Callable[[Machine], None]) -> None:
        assert isinstance(machine, DiskMachine)
        machine.directory.mkdir(parents=True)
        (disk,) = machine.disks
        run(["cp", "--sparse=always", str(_bare(self.suite, self._more)), str(disk.image)])
        network.attach(machine.network, machine.index)
        machine.plug_in()
        machine.personalise()
        prepare(machine)
        run(["sync", "--file-system", str(disk.at)])
        machine.start()

    def _describe(self, name: str, index: int) -> Machine:
        plain = super()._describe(name, index)
        place = plain.directory
        disk = Disk(place / "disk.raw", place / "root", plain.cgroup.with_name(f"disk-{name}"))
        told = {key: value for key, value in vars(plain).items() if key[0] != "_"}
        return DiskMachine(**told, disks=[disk])


def _bare(suite: str, more: Sequence[str]) -> Path:
    """A disk with the tree that machines of the lab have."""
    (bare,) = tree.base(suite, more=more).trees
    digest = hashlib.sha256(f"{bare}\n{SIZE}".encode()).hexdigest()[:12]
    return tree.cached("disk", f"disk-{suite}-{digest}", partial(_make, bare)) / "disk.raw"


def _make(bare: Path, beside: Path) -> Path:
    made = beside / "made"
    made.mkdir()
    with (made / "disk.raw").open("wb") as file:
        file.truncate(SIZE)
    how = ["-q", "-t", "ext4", "-E", "lazy_itable_init=1", "-d", str(bare)]
    run([*tools.program("mke2fs"), *how, str(made / "disk.raw")])
    return made
