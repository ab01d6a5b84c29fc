"""GGUF files of any shape out of random bytes, as fast as they can be written.

One block of random bytes is made per type and repeated, so the files say nothing and compress
well, but have every tensor of the real model in its real type and size. Bits that decide how large
a number is are set, or a few layers of random exponents would end in infinities.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

from tests.gpu.shapes import TYPES, Shape
from tests.lab import gguf_file

BLOCK = 4 << 20
# Per type: of which bytes of a block which bits are kept random, and which are set. These are the
# high bytes of numbers of type F32 and F16, among them the scales of the quantized types.
_SANE = {
    "F32": {3: (0x80, 0x3C)},
    "F16": {1: (0x9F, 0x00)},
    "Q8_0": {1: (0x03, 0x08)},
    "Q4_K": {1: (0x03, 0x08), 3: (0x03, 0x08)},
    "Q6_K": {209: (0x03, 0x04)},
}


def file(shape: Shape, folder: Path) -> Path:
    """The model's file, written unless it is there."""
    path = folder / f"{shape.name}.gguf"
    if not path.is_file():
        begun, partial = time.monotonic(), path.with_suffix(".partial")
        size = write(shape, partial)
        partial.rename(path)
        seconds = time.monotonic() - begun
        print(f"{path.name}: {size / 1e9:.1f} GB in {seconds:.1f} s", flush=True)
    return path


def write(shape: Shape, path: Path) -> int:
    """Write the whole model; returns its bytes. The same shape gives the same file."""
    weights = shape.weights()
    sizes = [(each.name, each.shape, TYPES[each.type][0], each.size) for each in weights]
    blocks = {name: memoryview(_block(name)) for name in {each.type for each in weights}}
    head = gguf_file.head(shape.keys(), sizes)
    ends = list(accumulate((_padded(each.size) for each in weights), initial=len(head)))
    with path.open("wb", buffering=0) as file:
        file.truncate(ends[-1])
        repeat(file.fileno(), memoryview(head), 0, len(head))
        # Writing leaves the interpreter's lock to others, and one core does not keep up with RAM.
        with ThreadPoolExecutor() as pool:
            tasks = [
                pool.submit(repeat, file.fileno(), blocks[each.type], offset, each.size)
                for each, offset in zip(weights, ends[:-1], strict=True)
            ]
        for task in tasks:
            task.result()
    return ends[-1]


def repeat(file: int, block: memoryview, offset: int, size: int) -> None:
    """The block again and again, until `size` bytes are written."""
    done = 0
    while done < size:
        start = done % len(block)
        done += os.pwrite(file, block[start : start + size - done], offset + done)


def _padded(size: int) -> int:
    return size + -size % gguf_file.ALIGNMENT


def _block(name: str) -> bytes:
    """About BLOCK bytes of whole blocks of one type."""
    _, _, size = TYPES[name]
    count = BLOCK // size
    data = bytearray(random.Random(name).randbytes(count * size))
    for offset, (kept, set_) in _SANE[name].items():
        table = bytes(byte & kept | set_ for byte in range(256))
        data[offset::size] = data[offset::size].translate(table)
    return bytes(data)
