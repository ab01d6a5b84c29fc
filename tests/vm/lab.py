"""``with VmLab(machines=1) as lab`` is a lab whose machines have kernels of their own.

They start from a disk, or go on from a saved state of one, which takes seconds. On the lab's
network they see its stand-ins, and whoever else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.lab import Lab, network
from tests.lab.machine import Machine
from tests.lab.process import LabError
from tests.lab.tree import Layer
from tests.vm import disk as disks
from tests.vm import saved
from tests.vm.disk import KERNEL_LINE, Disk
from tests.vm.machine import VirtualMachine
from tests.vm.qemu import Firmware, Qemu
from tests.vm.saved import Saved


class VmLab(Lab):
    """Machines on a network of their own, each of them a QEMU process.

    + suite: what they run, bare; their disk and the state after a boot are cached
    + disk: another disk
    + firmware: `kernel` boots that of the disk at once; with the others, a boot loader chooses
    + memory: MiB
    """

    def __init__(
        self,
        machines: int | Sequence[str] = 1,
        *,
        disk: Disk | None = None,
        firmware: Firmware = "kernel",
        memory: int = 1024,
        **options: Any,
    ) -> None:
        # What a tree is to the others, a disk is to these.
        super().__init__(machines, layer=Layer(()), **options)
        self._disk = disk
        self._firmware: Firmware = firmware
        self._memory = memory
        self._starts: dict[str, Saved] = {}

    def __enter__(self) -> VmLab:
        self.up()
        return self

    @property
    def vms(self) -> list[VirtualMachine]:
        return [machine for machine in self.machines if isinstance(machine, VirtualMachine)]

    def add_from(self, state: Saved, name: str) -> VirtualMachine:
        """A further machine, which goes on from there under a name and an address of its own."""
        self._starts[name] = state
        (machine,) = self.add(name)
        assert isinstance(machine, VirtualMachine)
        return machine

    def save(self, machine: VirtualMachine) -> Saved:
        """Keep a running machine as it is now, for others to go on from; it is off then."""
        place = self.directory / "saved" / machine.name
        place.mkdir(parents=True)
        return saved.keep(machine.qemu, place)

    def _boot(self, machine: Machine, prepare: Callable[[Machine], None]) -> None:
        if not isinstance(machine, VirtualMachine):
            raise LabError(f"{machine.name} has no disk")
        machine.directory.mkdir(parents=True)
        network.attach_tap(machine.network, machine.index)
        start = self._starts.get(machine.name)
        if start is None and self._firmware == "kernel":
            start = saved.booted(machine.qemu, self._bare())
        if start:
            machine.qemu.lay_over(start.disk, "qcow2")
        else:
            machine.qemu.lay_over(self._bare().image)
        prepare(machine)
        machine.first_start(start.memory if start else None)

    def _bare(self) -> Disk:
        self._disk = self._disk or disks.debian(self.suite, closed=self.air_gapped)
        return self._disk

    def _describe(self, name: str, index: int) -> VirtualMachine:
        plain, disk = super()._describe(name, index), self._bare()
        group = plain.cgroup / "cgroup.procs"
        machine = VirtualMachine(
            **{key: value for key, value in vars(plain).items() if not key.startswith("_")},
            qemu=Qemu(
                plain.directory,
                network=f"tap,ifname={plain.network.link(index)},script=no,downscript=no",
                firmware=self._firmware,
                kernel=disk.kernel,
                initrd=disk.initrd,
                append=KERNEL_LINE,
                memory=self._memory,
                prefix=("/bin/sh", "-c", 'echo 0 > "$0" && exec "$@"', str(group)),
            ),
        )
        machine.qemu.mac = machine.mac
        machine.connect_seconds = 60
        return machine
