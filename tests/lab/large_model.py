"""A split GGUF of any size under a hub's root: noise with true headers, nothing for an engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab import gguf_file
from tests.lab.gguf_file import ALIGNMENT, I32, STRING, U16, Key

F32 = 0
ROW = 1024
CHUNK = 1 << 24


def publish(root: Path, size: int, shards: int = 6, name: str = "large") -> str:
    """Write about `size` bytes as `modelrack-lab/<name>`, replacing what was there; its id."""
    folder = root / "modelrack-lab" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = size // shards // ROW // 4
    for number in range(shards):
        keys = [Key("general.architecture", STRING, "llama")] if number == 0 else []
        keys += [
            Key("split.no", U16, number),
            Key("split.tensors.count", I32, shards),
            Key("split.count", U16, shards),
        ]
        length = 4 * ROW * rows
        head = gguf_file.head(keys, [(f"blk.{number}.weight", (ROW, rows), F32, length)])
        with (folder / f"{name}-{number + 1:05d}-of-{shards:05d}.gguf").open("wb") as file:
            file.write(head)
            for at in range(0, length, CHUNK):
                file.write(os.urandom(min(CHUNK, length - at)))
            assert length % ALIGNMENT == 0
    return f"modelrack-lab/{name}"
