"""update-initramfs of a lab machine: packs /etc/modprobe.d into a real archive, as Debian's does.

    update-initramfs -u|-c [-k RELEASE|all]

Debian's own would take seconds and want a kernel's modules. Standard library only.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

FOLDERS = ("etc/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
FIELDS = 13


def main() -> int:
    words = sys.argv[1:]
    release = words[words.index("-k") + 1] if "-k" in words else os.uname().release
    installed = [path.name for path in Path("/lib/modules").glob("*")]
    for kernel in installed if release == "all" else [release]:
        image = Path(f"/boot/initrd.img-{kernel}")
        print(f"update-initramfs: Generating {image}")
        write(image)
    return 0


def write(image: Path) -> None:
    """Write the archive (cpio, "newc") beside its place, then rename."""
    content = b""
    for folder in FOLDERS[:2]:
        for path in sorted(Path("/", folder).glob("*.conf")):
            content += _member(f"{folder}/{path.name}", path.read_bytes())
    content += _member("TRAILER!!!", b"")
    temporary = image.with_suffix(".new")
    temporary.write_bytes(gzip.compress(content))
    temporary.rename(image)


def read(image: Path) -> dict[str, str]:
    """Names and contents of the archive; nothing when there is none."""
    if not image.exists():
        return {}
    content, at, files = gzip.decompress(image.read_bytes()), 0, {}
    while True:
        numbers = [int(content[at + 6 + 8 * field :][:8], 16) for field in range(FIELDS)]
        size, length = numbers[6], numbers[11]
        name = content[at + 110 : at + 110 + length - 1].decode()
        begin = _aligned(at + 110 + length)
        if name == "TRAILER!!!":
            return files
        files[name] = content[begin : begin + size].decode()
        at = _aligned(begin + size)


def _member(name: str, content: bytes) -> bytes:
    numbers = [0, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = "070701" + "".join(f"{number:08x}" for number in numbers) + name + "\0"
    return _padded(head.encode()) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(_aligned(len(data)) - len(data))


def _aligned(at: int) -> int:
    return (at + 3) & ~3


if __name__ == "__main__":
    raise SystemExit(main())
