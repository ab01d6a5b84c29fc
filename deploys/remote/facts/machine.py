"""Print the facts about this machine as one JSON object.

    python3 machine.py modelrack-facts-machine DATA_ROOT

The first argument only marks the command, so that a scripted host can answer it. Needs no driver,
root or package: whatever is absent or not readable stays empty. A machine without a GPU is
described from /proc, /sys, /etc and dpkg's list alone, without starting any other program. It also
runs as the text of `python3 -c`, together with the modules that it imports.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import pwd
import re
import socket
import sys
from pathlib import Path
from typing import Any

from ..lib.probe import number, read
from ..lib.processes import ports_and_holders
from ..unit import settings
from . import container, driver, managed_units, network, pci, ssh

# psABI levels: https://gitlab.com/x86-psABIs/x86-64-ABI. lahf_lm and abm are the kernel's names for
# LAHF-SAHF and LZCNT.
_LEVELS = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
# What engines have faster kernels for, beyond the level; the kernel's names in /proc/cpuinfo.
_FEATURES = (
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
# Of the fastest core's speed: what is slower is of another kind.
_FAST = 0.8
# What the kernel and its services mount for themselves, but for a desktop's disks in /run/media.
_NOT_OURS = ("/dev", "/proc", "/run", "/sys")
_DESKTOP = "/run/media"
# How /proc/mounts writes a space, a tab, a line's end and its own backslash.
_ESCAPE = re.compile(r"\\([0-7]{3})")


def main() -> int:
    data_root = sys.argv[2]
    release = _os_release()
    flags, model = _cpu()
    memory = read("/proc/meminfo")
    booted = container.is_booted()
    gpus = pci.gpus() if booted else []
    usable, quota = os.sched_getaffinity(0), container.limits()
    memory_nodes = nodes(usable, read("/proc/self/status"))
    ports, holders = ports_and_holders(with_gpus=bool(gpus))
    units = managed_units.units()
    machine = {
        "hostname": socket.gethostname(),
        "os": release.get("ID", "unknown"),
        "os_version": release.get("VERSION_ID", ""),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "cpu": model,
        "isa": _isa(flags),
        "features": [feature for feature in _FEATURES if feature in flags],
        "cores": min(cores(usable), quota["cores"] or len(usable)),
        "numa_nodes": len(memory_nodes) or 1,
        "nodes": memory_nodes,
        "memory": _least(_bytes("MemTotal", memory), quota["memory"]) or 0,
        "memory_available": _least(_bytes("MemAvailable", memory), quota["memory"]),
        "disks": _disks(),
        "addresses": network.own(),
        "fabric": network.report(),
        "ports": ports,
        "holders": holders,
        "served": units,
        "given": managed_units.cards(units) if gpus else [],
        "nvswitches": pci.nvswitches(),
        "systemd": Path("/run/systemd/system").is_dir(),
        "booted": booted,
        "container": container.kind(),
        "python": platform.python_version(),
        "stored": _stored(Path(data_root, "models")),
        "own_key": _own_key(),
        "user": "root" if os.geteuid() == 0 else _name(os.geteuid()),
    }
    of_driver = driver.report(gpus) if booted else driver.of_tree()
    print(json.dumps({**machine, **ssh.report(), **of_driver}))
    return 0


def _own_key() -> str | None:
    key = settings.text_of(settings.KEY)
    return hashlib.sha256(key.encode()).hexdigest() if key else None


def _os_release() -> dict[str, str]:
    lines = read("/etc/os-release").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def _cpu() -> tuple[set[str], str]:
    values = {}
    for line in read("/proc/cpuinfo").split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        values[key.strip()] = value.strip()
    # ARM says "Features", and says no name.
    flags = values.get("flags", values.get("Features", ""))
    return set(flags.split()), values.get("model name", platform.machine())


def _isa(flags: set[str]) -> str:
    if platform.machine() == "aarch64":
        return "aarch64"
    if platform.machine() != "x86_64":
        return "unknown"
    level = "x86-64-v1"
    for name, needed in _LEVELS.items():
        if not needed <= flags:
            break
        level = name
    return level


def cores(usable: set[int], devices: Path = Path("/sys/devices")) -> int:
    """Return how many physical cores there are among CPUs; of two kinds, the fast ones alone.

    Threads that compute a layer together wait for the slowest of them.
    """
    # Intel's hybrid processors have it. Source: Linux, perf-intel-hybrid.
    usable = usable & _numbers(read(devices / "cpu_core" / "cpus")) or usable
    cpus = devices / "system/cpu"
    # Arm's have this, of 1024. Source: Linux, ABI/testing/sysfs-devices-system-cpu.
    able = {cpu: number(read(cpus / f"cpu{cpu}/cpu_capacity")) or 0 for cpu in usable}
    usable = {cpu for cpu in usable if able[cpu] >= _FAST * max(able.values())}
    siblings = {
        read(cpus / f"cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu) for cpu in usable
    }
    return len(siblings)


def nodes(
    usable: set[int], status: str, devices: Path = Path("/sys/devices")
) -> list[dict[str, int]]:
    """Return the NUMA nodes whose processors and memory are ours; memory of cards alone is none.

    + status: what /proc has about a process of ours
    """
    allowed = re.search(r"^Mems_allowed_list:\s*(\S+)", status, re.MULTILINE)
    found = []
    for folder in (devices / "system/node").glob("node[0-9]*"):
        index, cpus = int(folder.name[4:]), usable & _numbers(read(folder / "cpulist"))
        memory = re.search(r"MemTotal:\s+(\d+) kB", read(folder / "meminfo"))
        if cpus and memory and (not allowed or index in _numbers(allowed[1])):
            size = int(memory[1]) * 1024
            found.append({"index": index, "cores": cores(cpus, devices), "memory": size})
    return sorted(found, key=lambda node: node["index"])


def _numbers(ranges: str) -> set[int]:
    """Return the numbers of a list such as `0-3,8`."""
    found: set[int] = set()
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _bytes(name: str, memory: str) -> int | None:
    match = re.search(rf"^{name}:\s+(\d+) kB", memory, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _least(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _disks() -> list[dict[str, Any]]:
    """Return the file systems that can hold files, of whatever kind: those that have blocks."""
    disks = {}
    for line in read("/proc/self/mounts").splitlines():
        _, mount, kind, *_ = [*line.split(" "), "", "", ""]
        mount = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), mount)
        hidden = any(_lies_in(mount, folder) for folder in _NOT_OURS)
        # To look at an automounter would mount what it waits for.
        if kind in ("", "autofs") or (hidden and not _lies_in(mount, _DESKTOP)):
            continue
        try:
            status = os.statvfs(mount)
        except OSError:
            continue  # A dead network mount is no place for anything.
        if not status.f_blocks:
            continue
        disks[mount] = {
            "mount": mount,
            "kind": kind,
            "total": status.f_blocks * status.f_frsize,
            "free": status.f_bavail * status.f_frsize,
            # btrfs and some network file systems count no files.
            "inodes": status.f_favail if status.f_files else None,
        }
    return list(disks.values())


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _stored(models: Path) -> dict[str, int]:
    stored = {}
    for model in models.glob("*"):
        blocks = (path.lstat().st_blocks for path in model.rglob("*") if path.is_file())
        stored[model.name] = sum(blocks) * 512
    return stored


if __name__ == "__main__":
    raise SystemExit(main())
