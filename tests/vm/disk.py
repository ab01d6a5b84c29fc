"""The disk that machines start from: a bare Debian server with a kernel and a boot loader.

A system partition for UEFI and one for everything else. It is made from a tree without mounting
anything, is cached by what decides over it, and nobody writes to it: a machine has an overlay.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import temporary
from tests.lab import surroundings, tree
from tests.lab.process import run
from tests.lab.tree import cached
from tests.vm import tools

# What a lab machine has, and what one needs that has no host's kernel below it. The agent is the
# way in as long as the machine has no address.
PACKAGES = (
    *tree.PACKAGES,
    "linux-image-amd64",
    "initramfs-tools",
    "udev",
    "kmod",
    "zstd",
    "grub-efi-amd64-signed",
    "shim-signed",
    "mokutil",
    "qemu-guest-agent",
)
WITHOUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
MIB = 1 << 20
# MiB: of the whole disk, most of which is a hole, and of the partition that UEFI reads.
SIZE, SYSTEM = 8192, 64
KERNEL_LINE = "root=/dev/vda2 rw console=ttyS0 quiet"
# Seconds of a processor, each of them, in a guest that is translated.
_MASKED = ("e2scrub_reap.service", "e2scrub_all.timer", "fstrim.timer", "apt-daily.timer")
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "ext4")
GRUB = """\
search --no-floppy --label root --set=root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
"""


@dataclass(frozen=True)
class Disk:
    """An image that nobody writes to, with the kernel that it is booted with."""

    image: Path
    kernel: Path
    initrd: Path

    @property
    def digest(self) -> str:
        """What else is made of it is cached by this."""
        return self.image.parent.name


def debian(suite: str = "bookworm", *, closed: bool = False) -> Disk:
    """The disk of a Debian suite; the cache has it, or it takes a minute of a processor.

    + closed: without the ways to the registries that this host has
    """

    def fill(root: Path) -> None:
        tree.make(suite, root, PACKAGES, WITHOUT, lists=True)
        prepare(root)

    return kept(suite, PACKAGES, fill, closed=closed)


def kept(
    suite: str, decides: Sequence[str], fill: Callable[[Path], None], *, closed: bool = False
) -> Disk:
    """The disk with the tree that this makes; the cache has it if nothing that decides differs.

    + decides: what the tree follows from
    + fill: makes and prepares it where there is none yet
    """
    with temporary.folder("modelrack-vm-") as beside:
        written = beside / "surroundings"
        (written / "etc").mkdir(parents=True)
        surroundings.copy_into(written, closed=closed)
        parts = [suite, *decides, *WITHOUT, Path(__file__).read_text()]
        parts += [f"{path.relative_to(written)}\n{path.read_text()}" for path in _files(written)]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        build = partial(_build, fill, written)
        made = cached("vm-disk", f"vm-{suite}-{digest}", build)
    return Disk(made / "disk.raw", made / "kernel", made / "initrd")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _build(fill: Callable[[Path], None], written: Path, beside: Path) -> Path:
    root, made = beside / "root", beside / "made"
    fill(root)
    shutil.copytree(written, root, dirs_exist_ok=True)
    made.mkdir()
    (initrd,) = root.glob("boot/initrd.img-*")
    release = initrd.name.removeprefix("initrd.img-")
    shutil.copy(initrd, made / "initrd")
    shutil.copy(root / f"boot/vmlinuz-{release}", made / "kernel")
    assemble(root, made / "disk.raw")
    return made


def prepare(root: Path) -> None:
    """Make of a tree what boots on a disk of its own."""
    (root / "etc/fstab").write_text("LABEL=root / ext4 errors=remount-ro 0 1\n")
    modules = root / "etc/initramfs-tools"
    (modules / "modules").write_text("".join(f"{name}\n" for name in _MODULES))
    (modules / "conf.d/modelrack-vm").write_text("MODULES=list\n")
    (root / "etc/default/grub.d").mkdir(exist_ok=True)
    (root / "etc/default/grub.d/vm.cfg").write_text(
        'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_DISABLE_OS_PROBER=true\n'
    )
    for unit in _MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    run(["chroot", str(root), "systemctl", "enable", "-q", "systemd-networkd"])
    run(["chroot", str(root), "update-initramfs", "-u", "-k", "all"])
    kernel = next(root.glob("boot/vmlinuz-*")).name.removeprefix("vmlinuz-")
    (root / "boot/grub").mkdir(exist_ok=True)
    # What update-grub writes when a kernel comes or goes, and cannot write without a disk.
    (root / "boot/grub/grub.cfg").write_text(
        f"linux /boot/vmlinuz-{kernel} {KERNEL_LINE}\ninitrd /boot/initrd.img-{kernel}\nboot\n"
    )


def assemble(root: Path, image: Path) -> None:
    """Write a tree as a disk with two partitions, the second of them with the tree."""
    with temporary.folder("modelrack-vm-") as beside:
        system, rest = beside / "system", image.with_suffix(".root")
        _system_partition(root, system, beside)
        with rest.open("wb") as file:
            file.truncate((SIZE - SYSTEM - 2) * MIB)
        make = [*tools.program("mke2fs"), "-q", "-t", "ext4", "-L", "root"]
        run([*make, "-E", "lazy_itable_init=1", "-d", str(root), str(rest)])
        with image.open("wb") as file:
            file.truncate(SIZE * MIB)
        table = f"label: gpt\nstart={MIB // 512}, size={SYSTEM}MiB, type=uefi\nsize=+, type=linux\n"
        run([*tools.program("sfdisk"), "-q", str(image)], stdin=table)
        for part, at in ((system, 1), (rest, 1 + SYSTEM)):
            copy = ["dd", f"if={part}", f"of={image}", "bs=1M", f"seek={at}", "status=none"]
            run([*copy, "conv=notrunc,sparse"])
        rest.unlink()


def _system_partition(root: Path, to: Path, beside: Path) -> None:
    with to.open("wb") as file:
        file.truncate(SYSTEM * MIB)
    run([*tools.program("mkfs.fat"), "-F", "32", "-n", "SYSTEM", str(to)])
    (beside / "grub.cfg").write_text(GRUB)
    at = ["-i", str(to)]
    run([*tools.program("mmd"), *at, "::EFI", "::EFI/BOOT", "::EFI/debian"])
    for source, target in (
        (root / "usr/lib/shim/shimx64.efi.signed", "BOOT/BOOTX64.EFI"),
        (root / "usr/lib/shim/mmx64.efi.signed", "BOOT/mmx64.efi"),
        (root / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "BOOT/grubx64.efi"),
        (beside / "grub.cfg", "debian/grub.cfg"),
    ):
        run([*tools.program("mcopy"), *at, str(source), f"::EFI/{target}"])
