"""States of machines that others go on from: a disk, and the memory that belongs to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.lab.process import LabError
from tests.lab.tree import cached
from tests.temporary import DIES_WITH_US
from tests.vm.disk import Disk
from tests.vm.qemu import Qemu, accelerator


@dataclass(frozen=True)
class Saved:
    """A machine at one moment, which ran. Nobody writes to its files."""

    disk: Path
    memory: Path


def keep(qemu: Qemu, place: Path) -> Saved:
    """Switch a running machine off as it is now, and keep that."""
    qemu.save(place / "memory")
    qemu.disk.rename(place / "disk.qcow2")
    return Saved(place / "disk.qcow2", place / "memory")


def booted(like: Qemu, disk: Disk) -> Saved:
    """A machine that has booted from this disk; the cache has it, or it boots one for that."""
    bare = replace(
        like,
        # Plugged into nothing; a network of QEMU's own would be part of the state.
        network="hubport,hubid=0",
        mac="52:54:00:00:00:00",
        prefix=DIES_WITH_US,
    )
    # The kept disk is laid over this one, which has to be where it was.
    parts = [str(disk.image), disk.digest, *replace(bare, directory=Path("/")).command()]
    if accelerator() == "kvm":
        # A state goes on where it was saved, and on no other kind of processor.
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        parts += sorted({line for line in lines if line.startswith(("model name", "flags"))})
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    made = cached("vm-booted", f"vm-booted-{digest}", partial(_boot, bare, disk))
    return Saved(made / "disk.qcow2", made / "memory")


def _boot(bare: Qemu, disk: Disk, beside: Path) -> Path:
    (beside / "made").mkdir()
    qemu = replace(bare, directory=beside)
    qemu.lay_over(disk.image)
    qemu.start()
    try:
        qemu.wait_agent()
        qemu.agent.run("systemctl is-system-running --wait || true; sync", timeout=600)
        keep(qemu, beside / "made")
    except (LabError, OSError) as error:
        raise LabError(f"{error}\n{qemu.said()}") from error
    finally:
        qemu.kill()
    return beside / "made"
