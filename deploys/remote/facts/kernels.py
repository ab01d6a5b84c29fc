"""The installed kernels and what a driver's module depends on: headers, signature, nouveau."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any

from ..lib.probe import read, run

MODULES = Path("/lib/modules")
LOADED = Path("/sys/module")
BOOT = Path("/boot")
EFI = Path("/sys/firmware/efi")
MODPROBE = tuple(
    Path(folder, "modprobe.d") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)

# By the beginning of their names. nvidia.ko by DKMS, by a distribution's prebuilt package, and by
# Debian under names of its own; not nvidia-drm, nvidia-uvm and the like, nor what the kernel itself
# calls nvidia-something.
_MODULES = {
    "nvidia": re.compile(
        r"nvidia(?:-current|-tesla(?:-\d+)?|-legacy-\d+xx)?(?:-open)?\.ko(?:\.xz|\.zst|\.gz)?"
    ),
    "amdgpu": re.compile(r"amdgpu\.ko(?:\.xz|\.zst|\.gz)?"),
}
_MODULE_VERSION = re.compile(rb"\0version=(\d[\w.]*)\0")
_SIGNATURE = b"~Module signature appended~\n"
# Where modprobe looks first, as depmod.d(5) has it by default.
_FIRST = ("updates", "extra", "weak-updates", "kernel")
_NO_NOUVEAU = re.compile(
    r"^\s*(?:blacklist\s+nouveau|install\s+nouveau\s+\S*/(?:true|false)|alias\s+nouveau\s+off)\s*$",
    re.MULTILINE,
)
_NO_NOUVEAU_AT_BOOT = re.compile(
    r"(?:modprobe\.blacklist|module_blacklist|rd\.driver\.blacklist)=\S*\bnouveau\b"
)


def installed(running: str, driver: str, modules: Path = MODULES) -> list[dict[str, Any]]:
    """Return the installed kernels and the running one, which may be gone from the disk.

    + running: its release, "" where what runs is another machine's
    + driver: module to look for in each, nvidia or amdgpu, which takes a walk through all modules;
      "" for none
    """
    folders = {
        folder.name: folder
        for folder in modules.glob("*")
        # A removed kernel leaves its folder behind when DKMS has put something there.
        if (folder / "modules.builtin").exists() or (folder / "kernel").is_dir()
    }
    if running:
        folders.setdefault(running, modules / running)
    kernels = []
    for release, folder in sorted(folders.items()):
        version, signed = _module(folder, driver) if driver else (None, None)
        headers = (folder / "build").is_dir()
        kernels.append(
            {"release": release, "headers": headers, "module": version, "signed": signed}
        )
    return kernels


def is_loaded(module: str, loaded: Path = LOADED) -> bool:
    """Return whether the running kernel has the module, loaded or built in.

    /proc/modules does not show built-in ones.
    """
    return (loaded / module).is_dir()


def secure_boot(efi: Path = EFI) -> bool | None:
    """Return whether the kernel was told to refuse unsigned modules; None without UEFI.

    Two variables decide, as in the kernel's efi/libstub/secureboot.c: the firmware's, and the one
    by which shim says that the machine's owner has disabled validation. Each has four bytes of
    attributes and one of value.
    """
    if not efi.is_dir():
        return None
    firmware = _variable(efi, "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    off = _variable(efi, "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23")
    return firmware and not off


def nouveau_at_boot(
    running: str,
    loaded: bool,
    command_line: str,
    modules: Path = MODULES,
    boot: Path = BOOT,
    modprobe: tuple[Path, ...] = MODPROBE,
) -> bool:
    """Return whether some installed kernel would load nouveau at boot.

    A kernel would if it has the module and nothing forbids loading it, or if its initramfs is older
    than the file that forbids it and so was built without that file. Unpacking the initramfs would
    take seconds.

    + loaded: whether the running kernel has nouveau loaded
    """
    if _NO_NOUVEAU_AT_BOOT.search(command_line):
        return False
    with_nouveau = {
        folder.name
        for folder in modules.glob("*")
        if any((folder / "kernel/drivers/gpu/drm/nouveau").glob("nouveau.ko*"))
    } | ({running} if loaded else set())
    forbidding = [
        path
        for folder in modprobe
        for path in folder.glob("*.conf")
        if _NO_NOUVEAU.search(read(path))
    ]
    if not with_nouveau or not forbidding:
        return bool(with_nouveau)
    since = min(map(_changed, forbidding))
    images = (
        boot / form.format(release)
        for release in with_nouveau
        for form in ("initrd.img-{}", "initramfs-{}.img", "initrd-{}")
    )
    return any(image.exists() and _changed(image) < since for image in images)


def _module(folder: Path, driver: str) -> tuple[str | None, bool | None]:
    """Return the version of the module that modprobe would load, and whether it is signed."""
    found = [
        path for path in folder.rglob(f"{driver}*.ko*") if _MODULES[driver].fullmatch(path.name)
    ]
    if not found:
        return None, None
    place = {name: rank for rank, name in enumerate(_FIRST)}
    path = min(found, key=lambda path: place.get(path.relative_to(folder).parts[0], len(place)))
    return plain_module(path) if path.suffix == ".ko" else module_info(run("modinfo", str(path))[0])


def plain_module(path: Path) -> tuple[str | None, bool | None]:
    """Return the version of an uncompressed module, and whether it is signed."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
            version = _MODULE_VERSION.search(content)
            signed = content[-len(_SIGNATURE) :] == _SIGNATURE
            return (version[1].decode() if version else None), signed
    except (OSError, ValueError):
        return None, None


def module_info(text: str) -> tuple[str | None, bool | None]:
    """Return the version of a module, and whether it is signed, from the output of modinfo.

    modinfo can decompress the modules of this kernel.
    """
    version = re.search(r"^version:\s*(\S+)", text, re.MULTILINE)
    if version is None:
        return None, None
    return version[1], re.search(r"^sig_id:\s*\S", text, re.MULTILINE) is not None


def _variable(efi: Path, name: str) -> bool:
    try:
        return (efi / "efivars" / name).read_bytes()[4:5] == b"\x01"
    except OSError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
