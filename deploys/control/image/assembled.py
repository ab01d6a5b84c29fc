"""A sealed tree as a disk: partitions by systemd-repart, the same bytes on every computer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploys.planning.image import partitions
from deploys.planning.image.partitions import Partition
from deploys.planning.image.recipe import ImageRecipe
from deploys.planning.inputs.refusal import Refusal

_APART = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
# The tools' tree sees what it is given, and what it makes, below two folders of its own.
_IN_TOOLS = """
set -eu
tools=$1 work=$2 tree=$3; shift 3
mkdir -p "$tools/made" "$tools/tree"
mount --bind "$work" "$tools/made"
mount --bind "$tree" "$tools/tree"
mount -t proc proc "$tools/proc"
mount --rbind /dev "$tools/dev"
mount -t tmpfs run "$tools/run"
exec chroot "$tools" env "$@"
"""
# Without what boot loaders of older systems cannot read.
_KNOWN_TO_GRUB = "^metadata_csum_seed,^orphan_file"
# What firmware starts, by where distributions keep it; the first that is there.
_LOADERS = {
    "EFI/BOOT/BOOTX64.EFI": ("shim/shimx64.efi.signed.latest", "shim/shimx64.efi.signed"),
    "EFI/BOOT/mmx64.efi": ("shim/mmx64.efi.signed", "shim/mmx64.efi"),
    "EFI/BOOT/grubx64.efi": (
        "grub/x86_64-efi-signed/grubx64.efi.signed.latest",
        "grub/x86_64-efi-signed/grubx64.efi.signed",
    ),
}


def kernels(tree: Path) -> list[str]:
    """Return the kernels of a tree, the newest first; raise Refusal if one of them cannot boot."""
    found = [path.name for path in (tree / "lib/modules").iterdir()] if tree.is_dir() else []
    for release in found:
        for name in (f"vmlinuz-{release}", f"initrd.img-{release}"):
            if not (tree / "boot" / name).is_file():
                raise Refusal(
                    f"Kernel {release} of the tree has no /boot/{name}",
                    "Look at what its package said while it was installed",
                )
    if not found:
        raise Refusal("There is no kernel in the tree", "Name its package with --kernel")
    return sorted(found, key=_in_order, reverse=True)


def assemble(
    recipe: ImageRecipe, tree: Path, tools: Path, work: Path, models: str, stub: str
) -> tuple[Path, list[Partition], Path | None]:
    """Make the disk, its partitions, and the second disk where the weights are on one.

    + tree: sealed; no file of it says that it is younger than the recipe's epoch
    + tools: tree with what assembles it
    + work: folder for what is made
    + models: folder of the tree with the weights, as seen there
    + stub: what the boot loader reads first
    """
    _efi(recipe, tree, tools, work, stub)
    folder = tree / models.lstrip("/")
    apart = recipe.weights != "root"
    of_weights = partitions.needed(_sizes(folder)) if apart else None
    parts = partitions.of_image(
        recipe,
        partitions.needed(_sizes(tree, folder if apart else None)),
        of_weights if recipe.weights == "partition" else None,
        models,
    )
    disk = work / "disk.raw"
    _repart(recipe, parts, tools, work, tree, disk.name, "disk")
    second = None
    if recipe.weights == "disk" and of_weights is not None:
        second = work / "weights.raw"
        only = [partitions.of_weights(recipe, of_weights, models)]
        _repart(recipe, only, tools, work, tree, second.name, "weights disk")
    return disk, parts, second


def compress(raw: Path, to: Path, tools: Path) -> None:
    """Compress a disk, and take the raw one away."""
    done = _in_tools(tools, raw.parent, raw.parent, "zstd", "-q", "-T0", "-f", f"/made/{raw.name}")
    if done.returncode:
        raise Refusal(f"{raw} cannot be compressed: {done.stderr.strip()}", "Run this again")
    shutil.move(raw.with_name(f"{raw.name}.zst"), to)
    raw.unlink()


def _efi(recipe: ImageRecipe, tree: Path, tools: Path, work: Path, stub: str) -> None:
    """Write the partition that firmware reads, file by file in one order."""
    with tempfile.TemporaryDirectory(dir=work, prefix="esp-") as made:
        folder = Path(made)
        for name, candidates in _LOADERS.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            there = [path for each in candidates if (path := tree / "usr/lib" / each).is_file()]
            if not there:
                raise Refusal(
                    f"The tree has no signed boot loader ({candidates[-1]})",
                    "Its packages are shim-signed and grub-efi-amd64-signed",
                )
            shutil.copyfile(there[0], folder / name)
        # Where the distribution's signed loader looks.
        settings = folder / "EFI" / recipe.distribution / "grub.cfg"
        settings.parent.mkdir()
        settings.write_text(stub)
        image = work / "esp.img"
        image.unlink(missing_ok=True)
        with image.open("wb") as empty:
            empty.truncate(partitions.ESP)
        number = recipe.identifier("esp").hex[:8]
        paths = sorted(path.relative_to(folder) for path in folder.rglob("*"))
        for path in (folder / each for each in paths):
            os.utime(path, (recipe.epoch, recipe.epoch))
        inside = f"/made/{folder.name}"
        steps = [
            ["mkfs.vfat", "--invariant", "-F", "32", "-n", "ESP", "-i", number, "/made/esp.img"],
            *(
                ["mmd", "-i", "/made/esp.img", f"::/{path}"]
                if (folder / path).is_dir()
                else ["mcopy", "-m", "-i", "/made/esp.img", f"{inside}/{path}", f"::/{path}"]
                for path in paths
            ),
        ]
        for step in steps:
            _must(_in_tools(tools, work, tree, f"SOURCE_DATE_EPOCH={recipe.epoch}", *step))


def _repart(
    recipe: ImageRecipe,
    parts: Sequence[Partition],
    tools: Path,
    work: Path,
    tree: Path,
    name: str,
    what: str,
) -> None:
    definitions = work / "repart.d"
    shutil.rmtree(definitions, ignore_errors=True)
    definitions.mkdir()
    for number, part in enumerate(parts):
        text = part.definition()
        (definitions / f"{number}0-{part.name}.conf").write_text(text)
    (work / name).unlink(missing_ok=True)
    seed = recipe.identifier(what)
    hashed = recipe.identifier(f"{what} hash")
    options = f"hash_seed={hashed},lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    environment = [
        f"SOURCE_DATE_EPOCH={recipe.epoch}",
        f"E2FSPROGS_FAKE_TIME={recipe.epoch}",
        f"SYSTEMD_REPART_MKFS_OPTIONS_EXT4=-m 1 -O {_KNOWN_TO_GRUB} -E {options}",
        "TZ=UTC",
        "TMPDIR=/made",
    ]
    command = [
        *("systemd-repart", "--empty=create", f"--size={partitions.disk_size(parts)}"),
        *("--offline=yes", f"--seed={seed}", "--definitions=/made/repart.d", "--dry-run=no"),
        *("--no-pager", f"/made/{name}"),
    ]
    _must(_in_tools(tools, work, tree, *environment, *command))


def _in_tools(
    tools: Path, work: Path, tree: Path, *command: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_APART, _IN_TOOLS, "sh", str(tools), str(work), str(tree), *command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Refusal(
            f"The image cannot be assembled: {' '.join(lines[-3:])}",
            "See that there is room where it is made, then run this again",
        )


def _sizes(folder: Path, without: Path | None = None) -> list[int]:
    """Return the bytes of everything in a folder, but for one folder in it."""
    found = []
    for root, folders, files in os.walk(folder):
        if Path(root) == without:
            folders.clear()
            continue
        found += [0] * len(folders) + [Path(root, name).lstat().st_size for name in files]
    return found


def _in_order(release: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (0, part) for part in re.split(r"[.+~-]", release)
    ]
