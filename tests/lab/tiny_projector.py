"""What lets the tiny chat model of tiny_model.py see images, as llama.cpp reads it: a projector.

It cuts an image into four patches and makes a token of each, by a vision transformer of noise and
two matrices (LLaVA's). The chat model says the same to everything, so what is to be seen is that
the image was among the tokens that it read.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

from tests.lab import gguf_file
from tests.lab.gguf_file import ARRAY, BOOL, F32, STRING, U32, Key, Tensor
from tests.lab.tiny_model import HEADS, Array, TinyModel, tensor

# Pixels of a side, of the image and of a patch.
SIDE, PATCH = 28, 14
TOKENS = (SIDE // PATCH) ** 2
# Its last layer is not computed: LLaVA takes what comes out of the one before.
_LAYERS = 2


def keys(width: int) -> list[Key]:
    """Its metadata."""
    return [
        Key("general.architecture", STRING, "clip"),
        Key("general.type", STRING, "mmproj"),
        Key("clip.has_vision_encoder", BOOL, True),
        Key("clip.projector_type", STRING, "mlp"),
        Key("clip.use_gelu", BOOL, True),
        Key("clip.vision.image_size", U32, SIDE),
        Key("clip.vision.patch_size", U32, PATCH),
        Key("clip.vision.embedding_length", U32, width),
        Key("clip.vision.feed_forward_length", U32, 2 * width),
        Key("clip.vision.block_count", U32, _LAYERS),
        Key("clip.vision.projection_dim", U32, width),
        Key("clip.vision.attention.head_count", U32, HEADS),
        Key("clip.vision.attention.layer_norm_epsilon", F32, 1e-6),
        Key("clip.vision.image_mean", ARRAY, [0.5, 0.5, 0.5], F32),
        Key("clip.vision.image_std", ARRAY, [0.5, 0.5, 0.5], F32),
        Key("general.file_type", U32, 1),
    ]


def tensors(width: int) -> list[Tensor]:
    """All weights."""
    random = np.random.default_rng(1)

    def matrix(name: str, *shape: int) -> list[tuple[str, Array]]:
        weights = 0.02 * random.standard_normal(shape, dtype=np.float32)
        return [(f"{name}.weight", weights), (f"{name}.bias", np.zeros(shape[0], "f4"))]

    def norm(name: str) -> list[tuple[str, Array]]:
        return [(f"{name}.weight", np.ones(width, "f4")), (f"{name}.bias", np.zeros(width, "f4"))]

    named = [*matrix("v.patch_embd", width, 3, PATCH, PATCH)[:1]]
    named += matrix("v.position_embd", TOKENS + 1, width)[:1]
    named += [("v.class_embd", np.zeros(width, "f4")), *norm("v.pre_ln")]
    for layer in range(_LAYERS):
        block = [
            *norm("ln1"),
            *(part for name in "qkv" for part in matrix(f"attn_{name}", width, width)),
            *matrix("attn_out", width, width),
            *norm("ln2"),
            *matrix("ffn_up", 2 * width, width),
            *matrix("ffn_down", width, 2 * width),
        ]
        named += [(f"v.blk.{layer}.{name}", array) for name, array in block]
    named += [*matrix("mm.0", width, width), *matrix("mm.2", width, width)]
    return [tensor(name, array, "F16") for name, array in named]


def publish(root: Path) -> None:
    """Lay the chat model and its projector out under a hub's root, as one repository."""
    folder = root / "modelrack-lab" / "tiny-vision-gguf"
    shutil.rmtree(folder, ignore_errors=True)
    model = TinyModel()
    model.write(folder / "tiny-vision-F16.gguf")
    gguf_file.write(folder / "mmproj-F16.gguf", keys(model.width), tensors(model.width))


def image() -> bytes:
    """A small image, as a PNG."""
    side = 2 * SIDE
    row = b"\0" + bytes(range(side)) * 3
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(row * side),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
