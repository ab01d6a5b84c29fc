"""Scripted hardware: `fit(machine, HARDWARE["h800"])` makes a lab machine one of that class.

It is shown under the standard paths: the PCI bus in /sys, /proc/driver, device nodes, the kernel
log, Secure Boot's variable, /lib/modules. Programs in /lab/hardware on the machine do that at every
boot and then load the driver that is installed, or do not, for the reasons that a kernel has.
What a machine shows beyond that (nvidia-smi, libraries, services) comes with packages:
tests/lab/nvidia_repository.py.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tests.lab.machine import Machine
from tests.lab.process import LabError, run

Headers = Literal["present", "missing", "broken"]

PROGRAMS = Path(__file__).parent / "scripted"
UNIT = """\
[Unit]
Description=Scripted hardware
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /lab/hardware/power_on.py boot
"""
# Packages that bring these programs put them aside, and ours stay.
DIVERTED = ("sbin/modprobe", "sbin/rmmod", "sbin/lsmod", "sbin/update-initramfs")


@dataclass(frozen=True, kw_only=True)
class Board:
    """One PCI device, and what the driver's tools say of it.

    + memory, used: MiB, as nvidia-smi prints them
    + compute: compute capability; "" where there is none
    + ecc: None where the board has none
    + clock: of its multiprocessors now, MHz; throttled: why it is slowed down, as nvidia-smi's
      clocks_event_reasons say it: hw_thermal_slowdown
    """

    address: str
    pci_id: str
    pci_class: str = "0x030200"
    numa: int = 0
    lanes: int = 16
    lanes_max: int = 16
    name: str = ""
    memory: int = 0
    used: int = 0
    compute: str = ""
    ecc: bool | None = None
    uncorrected: int = 0
    remap_pending: bool = False
    clock: int = 1410
    temperature: int = 38
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What is built into a machine, and what is wrong with it.

    + system: ID and VERSION_ID of /etc/os-release; None leaves Debian's own
    + release: what `uname -r` says; "" leaves the host's. Another one needs a C compiler here
    + link: what `nvidia-smi topo -m` shows between two GPUs; "" for PCIe, by NUMA node
    + fallen: addresses that the driver has lost, though the bus still shows them
    + nouveau: the kernel has it, and it takes the GPUs unless it is blacklisted everywhere
    + amdgpu: the kernel has it, and it takes AMD's cards where no other module of it is installed
    + secure_boot: None for a machine without UEFI
    + headers: of the running kernel; "broken" ones let a module build fail
    + kernels: further installed kernels, with their headers
    + kernel_log: lines since boot
    + smi_seconds: how long nvidia-smi takes; 3600 hangs
    + dkms_seconds: how long a module build takes
    """

    boards: tuple[Board, ...] = ()
    nvswitches: tuple[Board, ...] = ()
    system: tuple[str, str] | None = None
    release: str = ""
    link: str = ""
    fallen: tuple[str, ...] = ()
    nouveau: bool = False
    amdgpu: bool = False
    secure_boot: bool | None = None
    headers: Headers = "present"
    kernels: Mapping[str, Headers] = field(default_factory=dict)
    kernel_log: tuple[str, ...] = ()
    smi_seconds: float = 0
    dkms_seconds: float = 0

    def fall_off(self, address: str) -> Hardware:
        """The same with a GPU that fell off the bus, as the kernel log then says."""
        line = xid(address, 79, "GPU has fallen off the bus.")
        log = (*self.kernel_log, line)
        return replace(self, fallen=(*self.fallen, address), kernel_log=log)

    def with_board(self, address: str, **changes: Any) -> Hardware:
        """The same with one board in another state."""
        return replace(
            self,
            boards=tuple(
                replace(board, **changes) if board.address == address else board
                for board in self.boards
            ),
        )


def xid(address: str, number: int, text: str) -> str:
    """A GPU error as the kernel log has it."""
    return f"NVRM: Xid (PCI:{address[:-2]}): {number}, pid='<unknown>', name=<unknown>, {text}"


def fit(machine: Machine, hardware: Hardware) -> None:
    """Build the hardware in; a running machine is rebooted for it. What is installed stays."""
    tree = machine.directory / "root"
    _install_programs(tree)
    _name_system(tree, hardware)
    _install_kernels(tree, hardware)
    _describe(tree, hardware)
    if machine.is_running():
        machine.reboot()


def change(machine: Machine, hardware: Hardware) -> None:
    """Let the hardware of a running machine change: what is loaded stays loaded."""
    _describe(machine.directory / "root", hardware)
    machine.ssh("python3 /lab/hardware/power_on.py refresh")


def occupy(machine: Machine, unit: str = "training") -> None:
    """Let a service that is none of ours hold the first GPU open, until it is stopped."""
    hold = "import time; device = open('/dev/nvidia0'); time.sleep(86400)"
    machine.ssh(["systemd-run", "--quiet", f"--unit={unit}", "python3", "-c", hold])
    machine.ssh("until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q /dev/nvidia0; do :; done")


def _describe(tree: Path, hardware: Hardware) -> None:
    place = tree / "lab/hardware/machine.json"
    temporary = place.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(hardware), indent=2) + "\n")
    temporary.rename(place)


def _install_programs(tree: Path) -> None:
    home = tree / "lab/hardware"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("power_on.py", "initramfs.py"):
        shutil.copy(PROGRAMS / name, home / name)
    # Where kmod is installed, these are there.
    for name in ("modprobe.d", "modules-load.d"):
        (tree / "etc" / name).mkdir(exist_ok=True)
    units = tree / "etc/systemd/system"
    (units / "sysinit.target.wants").mkdir(parents=True, exist_ok=True)
    (units / "lab-hardware.service").write_text(UNIT)
    wanted = units / "sysinit.target.wants/lab-hardware.service"
    wanted.unlink(missing_ok=True)
    wanted.symlink_to("../lab-hardware.service")
    diversions = tree / "var/lib/dpkg/diversions"
    lines = diversions.read_text() if diversions.exists() else ""
    for name in DIVERTED:
        program = "initramfs" if name.endswith("initramfs") else "power_on"
        # The name it is called by says what to do, and Python is told of it by argv[0].
        path = tree / "usr" / name
        text = "#!/usr/bin/python3\nimport sys\nsys.path.insert(0, '/lab/hardware')\n"
        path.write_text(f"{text}import {program}\n\nraise SystemExit({program}.main())\n")
        path.chmod(0o755)
        for packaged in (f"/{name}", f"/usr/{name}"):
            if f"{packaged}\n" not in lines:
                lines += f"{packaged}\n{packaged}.distrib\n:\n"
    diversions.write_text(lines)


def _name_system(tree: Path, hardware: Hardware) -> None:
    """Write /etc/os-release, and let the kernel call itself something else if wanted."""
    about = tree / "etc/os-release"
    about.unlink(missing_ok=True)
    if hardware.system is None:
        about.symlink_to("../usr/lib/os-release")
    else:
        os_id, version = hardware.system
        about.write_text(
            f'NAME="{os_id.title()}"\nPRETTY_NAME="{os_id.title()} {version} (lab)"\n'
            f'ID={os_id}\nID_LIKE=debian\nVERSION_ID="{version}"\n'
        )
    preload, library = tree / "etc/ld.so.preload", tree / "lab/hardware/uname.so"
    preload.unlink(missing_ok=True)
    if hardware.release:
        compiler = shutil.which("cc")
        if compiler is None:
            raise LabError("another kernel release needs a C compiler: apt-get install gcc")
        source = str(PROGRAMS / "uname.c")
        run([compiler, "-shared", "-fPIC", "-O1", "-o", f"{library}.new", source])
        Path(f"{library}.new").rename(library)
        (tree / "lab/hardware/release").write_text(hardware.release)
        preload.write_text("/lab/hardware/uname.so\n")


def _install_kernels(tree: Path, hardware: Hardware) -> None:
    kernels = {hardware.release or os.uname().release: hardware.headers, **hardware.kernels}
    for release, headers in kernels.items():
        modules = tree / "usr/lib/modules" / release
        modules.mkdir(parents=True, exist_ok=True)
        (modules / "modules.builtin").touch()
        (tree / "boot").mkdir(exist_ok=True)
        (tree / f"boot/vmlinuz-{release}").touch()
        link, source = modules / "build", tree / f"usr/src/linux-headers-{release}"
        if headers == "missing":
            link.unlink(missing_ok=True)
            shutil.rmtree(source, ignore_errors=True)
            continue
        source.mkdir(parents=True, exist_ok=True)
        text = "$(error these headers are broken)\n" if headers == "broken" else "all:\n"
        (source / "Makefile").write_text(text)
        if not link.is_symlink():
            link.symlink_to(f"/usr/src/linux-headers-{release}")
