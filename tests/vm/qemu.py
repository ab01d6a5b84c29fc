"""One QEMU process: its command line, its disk that a power cut is true to, and its sockets.

Between QEMU and the file of its disk is a server that keeps back what the guest did not flush, as
the cache of a disk does: whoever pulls the plug kills both, and that is gone.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from tests.lab.process import LabError, run
from tests.temporary import DIES_WITH_US
from tests.vm import tools
from tests.vm.qmp import Agent, Line

Firmware = Literal["kernel", "uefi", "secure boot"]
# Seconds until a machine that is translated has booted, on a computer that does other things too.
PATIENCE = 900
_KVM_CREATE_VM = 0xAE01
_NBDKIT = "usr/lib/x86_64-linux-gnu/nbdkit"
# The second of them has Microsoft's keys, which sign the shim of every distribution.
_OVMF = {
    "uefi": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "secure boot": ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
}
# Bytes a file may have that is served to QEMU; most of it is a hole.
_ROOM = 32 << 30


def accelerator() -> str:
    """`kvm` where it runs kernels as they are, else `tcg`."""
    # A host that is a guest itself may have the device without what a processor needs for it.
    if not {"svm", "vmx"} & {*Path("/proc/cpuinfo").read_text().split()}:
        return "tcg"
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return "tcg"
    try:
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    except OSError:
        return "tcg"
    finally:
        os.close(device)
    return "kvm"


@dataclass
class Qemu:
    """A machine that QEMU is, or was, or will be.

    + directory: what it writes: its disk, its console, its firmware's variables
    + network: what its card is plugged into, as -netdev has it, without an id
    + kernel, initrd, append: booted without firmware, where that is `kernel`
    + memory: MiB
    + credentials: what systemd inside reads of the firmware, by name
    + prefix: goes before its commands, such as what puts them into a control group
    """

    directory: Path
    network: str = "user"
    mac: str = "52:54:00:12:34:56"
    firmware: Firmware = "kernel"
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    memory: int = 1024
    credentials: Mapping[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    prefix: tuple[str, ...] = DIES_WITH_US
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    # -- disk ---------------------------------------------------------------------------------

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def variables(self) -> Path:
        """What UEFI keeps: its boot order, its keys."""
        return self.directory / "variables.fd"

    def lay_over(self, image: Path, kind: str = "raw") -> None:
        """Give it a disk that begins as this image, which stays as it is."""
        how = ["-q", "-f", "qcow2", "-b", str(image), "-F", kind, str(self.disk)]
        run([*tools.program("qemu-img"), "create", *how])

    # -- power --------------------------------------------------------------------------------

    def start(self, resume: Path | None = None) -> None:
        """Switch it on, or have it go on from a state of its memory that was saved."""
        for name in ("served", "qmp", "agent"):
            (self.directory / name).unlink(missing_ok=True)
        os.truncate(self.disk, _ROOM)
        if self.firmware != "kernel" and not self.variables.exists():
            _, fresh = _OVMF[self.firmware]
            shutil.copy(tools.file(f"usr/share/OVMF/{fresh}"), self.variables)
        self._processes = []
        with (self.directory / "qemu.log").open("ab") as log:
            self._run(self._server(), log)
            self._until(self.directory / "served")
            self._run(self.command(resume), log)
            self._until(self.directory / "qmp")

    def _run(self, command: list[str], log: IO[bytes]) -> None:
        process = subprocess.Popen(
            [*self.prefix, *command],
            cwd="/",
            env={**os.environ, "TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._processes.append(process)

    def _until(self, socket: Path) -> None:
        deadline = time.monotonic() + 60
        while not socket.exists():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{socket} does not come:\n{self.said()}")
            time.sleep(0.05)

    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def kill(self) -> None:
        """Pull the plug: what was not flushed is lost."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def wait(self, timeout: float) -> bool:
        """Wait until it has switched itself off, and what it wrote is on its disk; whether so."""
        if not self._processes:
            return True
        try:
            self._processes[-1].wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for process in self._processes:
            process.terminate()
            process.wait()
        return True

    # -- sockets ------------------------------------------------------------------------------

    def monitor(self, command: str, timeout: float = 60, **arguments: Any) -> Any:
        """A command of QEMU's own, by QMP."""
        return Line(self.directory / "qmp", greets=True).call(command, timeout, **arguments)

    @property
    def agent(self) -> Agent:
        """The way in that needs no network."""
        return Agent(self.directory / "agent")

    def wait_agent(self, timeout: float = PATIENCE) -> None:
        """Return when commands can be run inside without a network."""
        deadline = time.monotonic() + timeout
        while not self.agent.answers():
            if not self.is_running() or time.monotonic() > deadline:
                raise LabError(f"it does not boot:\n{self.said()}")
            time.sleep(0.2)

    def console(self) -> str:
        """What the machine printed on its serial console, since it was made."""
        path = self.directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def said(self) -> str:
        """What the machine and QEMU printed last, for whoever asks why."""
        qemu = (self.directory / "qemu.log").read_text(errors="replace")
        return f"{self.console()[-3000:]}\n{qemu[-3000:]}"

    def save(self, to: Path) -> None:
        """Write its memory to a file and switch it off; `start` goes on from there."""
        self.monitor("migrate", uri=f"file:{to}")
        while (state := self.monitor("query-migrate"))["status"] != "completed":
            if state["status"] == "failed":
                raise LabError(f"the state was not saved: {state}")
            time.sleep(0.1)
        self.monitor("quit")
        self.wait(60)

    # -- command lines ------------------------------------------------------------------------

    def _server(self) -> list[str]:
        plugins = tools.file(_NBDKIT)
        return [
            *tools.program("nbdkit"),
            "--foreground",
            f"--unix={self.directory}/served",
            f"--filter={plugins}/filters/nbdkit-cache-filter.so",
            f"{plugins}/plugins/nbdkit-file-plugin.so",
            f"file={self.disk}",
            "cache=writeback",
            "cache-min-block-size=4K",
        ]

    def command(self, resume: Path | None = None) -> list[str]:
        """Its command line."""
        kvm = accelerator() == "kvm"
        here = self.directory
        served = f"driver=nbd,node-name=served,server.type=unix,server.path={here}/served"
        return [
            *tools.program("qemu-system-x86_64"),
            *("-L", tools.file("usr/share/qemu"), "-L", tools.file("usr/share/seabios")),
            *("-machine", "q35,smm=on", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-accel", "kvm" if kvm else "tcg,thread=multi,tb-size=256"),
            *("-cpu", "host" if kvm else "max"),
            *("-smp", "1", "-m", str(self.memory)),
            *("-device", "virtio-rng-pci"),
            *("-blockdev", served, "-blockdev", "driver=qcow2,node-name=disk,file=served"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
            *("-netdev", f"{self.network},id=net"),
            *("-device", f"virtio-net-pci,netdev=net,mac={self.mac},romfile="),
            *("-chardev", f"file,id=console,append=on,path={here}/console.log"),
            *("-serial", "chardev:console"),
            *("-chardev", f"socket,id=agent,server=on,wait=off,path={here}/agent"),
            *("-device", "virtio-serial-pci"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-qmp", f"unix:{here}/qmp,server=on,wait=off"),
            *self._smbios(),
            *self._boot(),
            *self.more,
            *(("-incoming", f"file:{resume}") if resume else ()),
        ]

    def _boot(self) -> Sequence[str]:
        if self.firmware == "kernel":
            how = ("-kernel", str(self.kernel), "-initrd", str(self.initrd))
            return (*how, "-append", self.append)
        code, _ = _OVMF[self.firmware]
        code = tools.file(f"usr/share/OVMF/{code}")
        return (
            *("-global", "driver=cfi.pflash01,property=secure,value=on"),
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"),
        )

    def _smbios(self) -> list[str]:
        words = []
        for name, text in self.credentials.items():
            value = base64.b64encode(text.encode()).decode()
            words += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}"]
        return words
