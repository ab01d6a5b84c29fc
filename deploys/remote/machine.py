"""Print what this machine is, as one JSON object.

    python3 machine.py modelrack-facts-machine DATA_ROOT

The first argument only marks the command, so that a scripted host can answer it. Needs no driver,
no root and no package: everything is read from /proc, /sys and /etc.
Standard library only, and no import of ours: it runs as the text of `python3 -c`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import sys
from pathlib import Path
from typing import Any

# psABI levels: https://gitlab.com/x86-psABIs/x86-64-ABI. lahf_lm and abm are the kernel's names for
# LAHF-SAHF and LZCNT.
_LEVELS = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
# PCI classes of accelerators: VGA, 3D and processing accelerator.
_GPU_CLASSES = ("0x0300", "0x0302", "0x1200")
_GPU_VENDORS = ("10de", "1002", "19e5", "1d94")
_REAL_FILE_SYSTEMS = {
    "ext4",
    "ext3",
    "xfs",
    "btrfs",
    "zfs",
    "tmpfs",
    "overlay",
    "nfs",
    "nfs4",
    "f2fs",
}
_UNIT = re.compile(r"[^/]+\.(?:service|scope)")


def main() -> int:
    data_root = sys.argv[2]
    release = _os_release()
    flags, model = _cpu()
    print(
        json.dumps(
            {
                "hostname": socket.gethostname(),
                "os": release.get("ID", "unknown"),
                "os_version": release.get("VERSION_ID", ""),
                "architecture": platform.machine(),
                "kernel": platform.release(),
                "cpu": model,
                "isa": _isa(flags),
                "cores": _cores(),
                "numa_nodes": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1,
                "memory": _memory(),
                "disks": _disks(),
                "gpus": _gpus(),
                "ports": _ports(),
                "systemd": Path("/run/systemd/system").is_dir(),
                "python": platform.python_version(),
                "stored": _stored(Path(data_root, "models")),
            }
        )
    )
    return 0


def _os_release() -> dict[str, str]:
    lines = _read("/etc/os-release").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def _cpu() -> tuple[set[str], str]:
    values = {}
    for line in _read("/proc/cpuinfo").split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        values[key.strip()] = value.strip()
    return set(values.get("flags", "").split()), values.get("model name", platform.machine())


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


def _cores() -> int:
    """Physical cores among those this process may run on."""
    usable = os.sched_getaffinity(0)
    siblings = {
        _read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu)
        for cpu in usable
    }
    return len(siblings)


def _memory() -> int:
    match = re.search(r"MemTotal:\s+(\d+) kB", _read("/proc/meminfo"))
    return int(match[1]) * 1024 if match else 0


def _disks() -> list[dict[str, Any]]:
    disks = {}
    for line in _read("/proc/self/mounts").splitlines():
        _, mount, kind, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if kind not in _REAL_FILE_SYSTEMS or mount.startswith(("/dev", "/run", "/proc", "/sys")):
            continue
        try:
            status = os.statvfs(mount)
        except OSError:
            continue  # A dead network mount is no place for anything.
        disks[mount] = {
            "mount": mount,
            "kind": kind,
            "total": status.f_blocks * status.f_frsize,
            "free": status.f_bavail * status.f_frsize,
        }
    return list(disks.values())


def _gpus() -> list[dict[str, str]]:
    gpus = []
    for device in sorted(Path("/sys/bus/pci/devices").glob("*")):
        vendor = _read(device / "vendor").strip().removeprefix("0x")
        if vendor in _GPU_VENDORS and _read(device / "class").startswith(_GPU_CLASSES):
            model = _read(device / "device").strip().removeprefix("0x")
            gpus.append({"address": device.name, "pci_id": f"{vendor}:{model}"})
    return gpus


def _ports() -> dict[int, str]:
    """Listening TCP ports and the unit or process that holds each; "" where that is hidden."""
    inodes = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = int(fields[1].rsplit(":", 1)[1], 16)
    owners = dict.fromkeys(inodes.values(), "")
    for process in Path("/proc").glob("[0-9]*"):
        if not inodes:
            break
        try:
            for handle in (process / "fd").iterdir():
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(handle))
                if match and match[1] in inodes:
                    owners[inodes.pop(match[1])] = _owner(process)
        except OSError:
            continue  # The process ended, or is not ours to look into.
    return owners


def _owner(process: Path) -> str:
    units = _UNIT.findall(_read(process / "cgroup"))
    # Inside a container the cgroup path begins outside of it: the innermost unit is the owner.
    return units[-1] if units else _read(process / "comm").strip()


def _stored(models: Path) -> dict[str, int]:
    stored = {}
    for model in models.glob("*"):
        blocks = (path.lstat().st_blocks for path in model.rglob("*") if path.is_file())
        stored[model.name] = sum(blocks) * 512
    return stored


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    raise SystemExit(main())
