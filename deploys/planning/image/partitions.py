"""The partitions of an image, as systemd-repart reads them, and their sizes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from deploys.planning.image.recipe import ImageRecipe

MIB = 1 << 20
ESP = 128 * MIB
# In ext4: an inode, and a block for what is smaller than one. Its journal and tables come on top.
_INODE, _BLOCK = 256, 4096
_SPARE = 160 * MIB
# Sizes are rounded up, so that a file more or less does not move every partition.
_STEP = 64 * MIB


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition: `source` is where its content lies in the folder that repart sees.

    + file: whether that is a file with the partition's bytes, not a folder
    + left_out: folders of the source whose content is not taken
    + named: folders of it that repart leaves out of a root, unless they are named
    """

    name: str
    type: str
    size: int
    source: str
    uuid: str
    file: bool = False
    left_out: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def file_system(self) -> UUID:
        """The UUID that repart gives the file system in it, which boot loaders look for.

        Source: systemd, src/partition/repart.c and src/libsystemd/sd-id128/id128-util.c.
        """
        of = UUID(self.uuid).bytes
        made = hmac.new(of, b"file-system-uuid", hashlib.sha256).digest()[:16]
        return UUID(bytes=made, version=4)

    def definition(self) -> str:
        """Return its definition, a file of repart.d."""
        lines = [
            "[Partition]",
            f"Type={self.type}",
            f"Label={self.name}",
            f"UUID={self.uuid}",
            f"SizeMinBytes={self.size}",
            f"SizeMaxBytes={self.size}",
        ]
        if self.file:
            lines.append(f"CopyBlocks={self.source}")
        else:
            lines += ["Format=ext4", f"CopyFiles={self.source}:/"]
            lines += [f"CopyFiles={self.source}{folder}:{folder}" for folder in self.named]
            # A folder that ends with a slash is there, and empty.
            lines += [f"ExcludeFiles={folder.rstrip('/')}/" for folder in self.left_out]
        return "\n".join(lines) + "\n"


def root_of(recipe: ImageRecipe, size: int, left_out: tuple[str, ...] = ()) -> Partition:
    """Return the partition that a unit runs from, and that grows to the end of its disk."""
    return Partition(
        name="root",
        type="root",
        size=size,
        source="/tree",
        left_out=left_out,
        # It takes that for where the partition of UEFI is mounted.
        named=("/boot",),
        uuid=str(recipe.identifier("root")),
    )


def needed(sizes: Iterable[int]) -> int:
    """Return the bytes that a file system needs for files of these sizes.

    What a disk says it uses differs between file systems; this does not.
    """
    content = sum(-(-size // _BLOCK) * _BLOCK + _INODE for size in sizes)
    # A twelfth for the tables and what root alone may fill.
    wanted = content + content // 12 + _SPARE
    return -(-wanted // _STEP) * _STEP


def of_image(recipe: ImageRecipe, root: int, weights: int | None, models: str) -> list[Partition]:
    """Return the partitions of the disk that a unit boots from; the root is last, and grows.

    + root: bytes of the root file system
    + weights: bytes of the weights' own; None where they are in the root, or on a disk of their own
    + models: folder of the tree with the weights
    """
    left_out = () if recipe.weights == "root" else (f"/tree{models}",)
    parts = [
        Partition(
            name="esp",
            type="esp",
            size=ESP,
            source="/made/esp.img",
            file=True,
            uuid=str(recipe.identifier("esp")),
        )
    ]
    if weights is not None:
        parts.append(of_weights(recipe, weights, models))
    parts.append(root_of(recipe, root, left_out))
    return parts


def of_weights(recipe: ImageRecipe, size: int, models: str) -> Partition:
    """Return the partition of the weights, wherever it lies."""
    return Partition(
        name="weights",
        type="linux-generic",
        size=size,
        source=f"/tree{models}",
        uuid=str(recipe.identifier("weights")),
    )


def disk_size(parts: Iterable[Partition]) -> int:
    """Return the bytes of a disk with these partitions, its tables included."""
    return sum(part.size for part in parts) + 4 * MIB
