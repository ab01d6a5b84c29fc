"""What firmware and kernel do with the hardware of a lab machine: at boot, and when modules load.

    power_on.py boot       show the hardware of /lab/hardware/machine.json, then load its driver
    power_on.py refresh    the hardware changed while the machine runs: what is loaded stays loaded
    modprobe NAME, modprobe -r NAME, rmmod NAME, lsmod     (by the name it is called with)

Everything is shown under the standard paths, by mounts over them. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, "/lab/hardware")
import initramfs

HOME = Path("/lab/hardware")
# Gone after a reboot, as everything that is loaded is.
RUN = Path("/run/lab-hardware")
DEVICES = RUN / "devices"
DRIVER = RUN / "driver"
MODULES = RUN / "modules"
SYS = Path("/sys")
KERNEL_LOG = Path("/dev/kmsg")
SECURE_BOOT = "efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Whose cards a module takes.
_VENDORS = {"nvidia": "10de", "nouveau": "10de", "amdgpu": "1002"}
SIGNATURE = b"~Module signature appended~\n"
# Before Turing there is no GSP, which the open modules need; from Blackwell on they are required.
OPEN_SINCE, OPEN_ONLY_SINCE = 7.5, 10.0


def main() -> int:
    called = Path(sys.argv[0]).name
    words = sys.argv[1:]
    if called == "lsmod":
        print("Module                  Size  Used by")
        print("".join(f"{name:22} 1048576  0\n" for name in _loaded()), end="")
        return 0
    if called == "rmmod" or (called == "modprobe" and words[:1] == ["-r"]):
        return unload(words[-1])
    if called == "modprobe":
        names = [word for word in words if not word.startswith("-")]
        return load(names[0]) if names else 0
    if words == ["refresh"]:
        _show_devices()
        return 0
    boot()
    return 0


def boot() -> None:
    """Show the bus and the firmware, then load what the kernel would load by itself."""
    shutil.rmtree(RUN, ignore_errors=True)
    for folder in (DEVICES, DRIVER, RUN / "drivers"):
        folder.mkdir(parents=True)
    MODULES.touch()
    _mount(DEVICES, SYS / "bus/pci/devices")
    _mount(RUN / "drivers", SYS / "bus/pci/drivers")
    _mount(DRIVER, Path("/proc/driver"))
    if Path("/proc/modules").exists():
        _mount(MODULES, Path("/proc/modules"))
    hardware = describe()
    _run("mount", "-o", "remount,rw", "/sys")
    (SYS / "module").mkdir(exist_ok=True)
    if hardware["secure_boot"] is not None:
        variable = SYS / "firmware" / SECURE_BOOT
        variable.parent.mkdir(parents=True, exist_ok=True)
        # Four bytes of attributes, then the value.
        variable.write_bytes(bytes([6, 0, 0, 0, int(hardware["secure_boot"])]))
    _show_devices()
    for kernel in Path("/lib/modules").glob("*"):
        image = Path(f"/boot/initrd.img-{kernel.name}")
        if not image.exists():
            initramfs.write(image)
    vendors = {board["pci_id"][:4] for board in hardware["boards"]}
    if "1002" in vendors:
        if hardware["amdgpu"] and _module(os.uname().release, "amdgpu") is None:
            _bind_driver("amdgpu")
        else:
            load("amdgpu")
    if "10de" not in vendors:
        return
    if hardware["nouveau"] and not _nouveau_is_off():
        _bind_driver("nouveau")
        log("nouveau 0000:00:00.0: NVIDIA device claimed")
    load("nvidia")


def describe() -> dict[str, Any]:
    hardware: dict[str, Any] = json.loads((HOME / "machine.json").read_text())
    return hardware


def load(name: str) -> int:
    """Load a module as insmod would; says what the kernel log says when it does not work."""
    name = name.partition("_")[0].partition("-")[0]
    if name not in ("nvidia", "amdgpu") or name in _loaded():
        return 0
    release = os.uname().release
    module = _module(release, name)
    if module is None:
        return _refuse(f"Module {name} not found in directory /lib/modules/{release}", said=False)
    hardware = describe()
    content = module.read_bytes()
    if name == "amdgpu":
        _bind_driver("amdgpu")
        (SYS / "module/amdgpu/version").write_text(f"{_modinfo(content, 'version')}\n")
        os.mknod("/dev/kfd", 0o20660, os.makedev(1, 3))
        return 0
    if hardware["secure_boot"] and not content.endswith(SIGNATURE):
        log("Loading of unsigned module is rejected")
        return _refuse("could not insert 'nvidia': Key was rejected by service")
    if "nouveau" in _loaded():
        count = len(hardware["boards"])
        log(f"NVRM: The NVIDIA probe routine was not called for {count} device(s).")
        log("NVRM: This can occur when another driver such as nouveau")
        log("NVRM: obtained ownership of the NVIDIA device(s).")
        return _refuse("could not insert 'nvidia': No such device")
    version, is_open = _modinfo(content, "version"), _modinfo(content, "license") != "NVIDIA"
    oldest = min(float(board["compute"] or 0) for board in hardware["boards"])
    newest = max(float(board["compute"] or 0) for board in hardware["boards"])
    if (is_open and oldest < OPEN_SINCE) or (not is_open and newest >= OPEN_ONLY_SINCE):
        kind = "open" if is_open else "proprietary"
        log(f"NVRM: installed in this system is not supported by {kind} nvidia.ko")
        log("NVRM: None of the NVIDIA devices were initialized.")
        return _refuse("could not insert 'nvidia': No such device")
    kind = (
        f"NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (root@lab)"
        if is_open
        else f"NVIDIA UNIX x86_64 Kernel Module  {version}  Release Build  (root@lab)"
    )
    (DRIVER / "nvidia").mkdir()
    (DRIVER / "nvidia/version").write_text(f"NVRM version: {kind}\nGCC version:  gcc (lab)\n")
    _bind_driver("nvidia")
    (SYS / "module/nvidia/version").write_text(f"{version}\n")
    for node in _nodes(len(hardware["boards"])):
        # Nothing of ours can be behind the real number 195: null opens, and is seen to be open.
        os.mknod(node, 0o20666, os.makedev(1, 3))
        node.chmod(0o666)
    log(f"NVRM: loading {kind}")
    return 0


def unload(name: str) -> int:
    if name not in _loaded():
        return _refuse(f"Module {name} is not currently loaded", said=False)
    nodes = {str(node) for node in Path("/dev").glob("nvidia*")}
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        if name == "nvidia" and handle.is_symlink() and str(handle.readlink()) in nodes:
            return _refuse("Module nvidia is in use", said=False)
    shutil.rmtree(DRIVER / name, ignore_errors=True)
    shutil.rmtree(SYS / "module" / name, ignore_errors=True)
    for path in (*DEVICES.glob("*/driver"), *(Path(node) for node in nodes)):
        path.unlink()
    _list_modules()
    return 0


def log(message: str) -> None:
    """One record of the kernel log, in the form that /dev/kmsg has."""
    with KERNEL_LOG.open("a") as records:
        number = records.tell()
        since_boot = int(time.monotonic() * 1e6)
        records.write(f"4,{number},{since_boot},-;{message}\n")


def _show_devices() -> None:
    hardware = describe()
    loaded = _loaded()
    for board in (*hardware["boards"], *hardware["nvswitches"]):
        device = DEVICES / board["address"]
        device.mkdir(exist_ok=True)
        vendor, _, model = board["pci_id"].partition(":")
        for name, value in {
            "vendor": f"0x{vendor}",
            "device": f"0x{model}",
            "class": board["pci_class"],
            "numa_node": board["numa"],
            "current_link_width": board["lanes"],
            "max_link_width": board["lanes_max"],
        }.items():
            (device / name).write_text(f"{value}\n")
    kept = {board["address"] for board in (*hardware["boards"], *hardware["nvswitches"])}
    for device in DEVICES.glob("*"):
        if device.name not in kept:
            shutil.rmtree(device)
    said = KERNEL_LOG.read_text() if KERNEL_LOG.exists() else ""
    for line in (f"Linux version {os.uname().release}", *hardware["kernel_log"]):
        if line not in said:
            log(line)
    if loaded:
        _bind_driver(loaded[0])


def _bind_driver(name: str) -> None:
    (RUN / "drivers" / name).mkdir(exist_ok=True)
    (SYS / "module" / name).mkdir(exist_ok=True)
    for board in describe()["boards"]:
        link = DEVICES / board["address"] / "driver"
        if board["pci_id"].startswith(_VENDORS[name]) and not link.is_symlink():
            link.symlink_to(f"../../drivers/{name}")
    _list_modules()


def _list_modules() -> None:
    MODULES.write_text("".join(f"{name} 1048576 0 - Live 0x0\n" for name in _loaded()))


def _loaded() -> list[str]:
    return [name for name in _VENDORS if (SYS / "module" / name).is_dir()]


def _nouveau_is_off() -> bool:
    """Whether neither the initramfs nor the root file system would load it."""
    early = initramfs.read(Path(f"/boot/initrd.img-{os.uname().release}"))
    folders = ("etc/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
    late = {
        str(path): path.read_text() for folder in folders for path in Path("/", folder).glob("*")
    }
    return all(
        re.search(r"^\s*blacklist\s+nouveau\b", "\n".join(files.values()), re.MULTILINE)
        for files in (early, late)
    )


def _module(release: str, name: str) -> Path | None:
    """depmod's order: updates win over what came with the kernel."""
    root = Path("/lib/modules", release)
    found = [*root.glob(f"updates/**/{name}.ko"), *root.glob(f"kernel/**/{name}.ko")]
    return found[0] if found else None


def _modinfo(content: bytes, key: str) -> str:
    return content.partition(b"\0" + key.encode() + b"=")[2].partition(b"\0")[0].decode()


def _nodes(count: int) -> list[Path]:
    names = [*(f"nvidia{number}" for number in range(count)), "nvidiactl", "nvidia-uvm"]
    return [Path("/dev", name) for name in names]


def _refuse(why: str, *, said: bool = True) -> int:
    print(f"modprobe: {'ERROR' if said else 'FATAL'}: {why}", file=sys.stderr)
    return 1


def _mount(what: Path, over: Path) -> None:
    _run("mount", "--bind", str(what), str(over))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
