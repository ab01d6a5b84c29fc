"""A LoRA adapter of the tiny model, after which its answer begins later: PEFT's files, and a GGUF.

Dimension 0 of what a layer reads says whether a token is a word of the answer (tiny_model.py). One
number of the feed-forward part is made large where it is none, and then adds what calls for the
word at which the answer is to begin; after a word it is nothing, and the chain goes on as ever.
"""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.lab import gguf_file
from tests.lab.gguf_file import F32, STRING, Key
from tests.lab.tiny_model import CONTROL, Array, TinyModel, tensor

BASE = "modelrack-lab/tiny-qwen2"
RANK, ALPHA = 8, 16
# Names of the three matrices in both formats.
_MATRICES = {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}


@dataclass(frozen=True)
class TinyAdapter:
    """An adapter of `model` that lets `skipped` words of its answer out."""

    model: TinyModel
    skipped: int = 3

    @property
    def answer(self) -> str:
        """What the model says with it."""
        return self.model.answer.split(" ", self.skipped)[-1]

    def pairs(self) -> dict[str, tuple[Array, Array]]:
        """The matrices of the last layer by name: rank x inputs, and outputs x rank."""
        model = self.model
        ((_, embedding),) = [
            (each.name, np.frombuffer(each.data, "f4").reshape(-1, model.width))
            for each in model.tensors("F32")
            if each.name == "token_embd.weight"
        ]
        first = len(model.tokens) - len(CONTROL) - len(model.words)
        wide, scale = 2 * model.width, ALPHA / RANK
        a = {name: np.zeros((RANK, model.width), "f4") for name in ("ffn_gate", "ffn_up")}
        b = {name: np.zeros((wide, RANK), "f4") for name in ("ffn_gate", "ffn_up")}
        for name in a:
            a[name][0, 0] = 1
            b[name][0, 0] = 1 / scale
        a["ffn_down"] = np.zeros((RANK, wide), "f4")
        a["ffn_down"][0, 0] = 1
        b["ffn_down"] = np.zeros((model.width, RANK), "f4")
        # What the word before it would call for, and more of it than of anything else.
        b["ffn_down"][1:, 0] = embedding[first + self.skipped - 1, 1:] / scale
        return {name: (a[name], b[name]) for name in _MATRICES}

    def gguf(self, path: Path) -> Path:
        """As llama.cpp's converter writes it."""
        keys = [
            Key("general.architecture", STRING, self.model.architecture),
            Key("general.type", STRING, "adapter"),
            Key("general.name", STRING, "Tiny adapter"),
            Key("general.base_model.0.name", STRING, BASE.partition("/")[2]),
            Key("adapter.type", STRING, "lora"),
            Key("adapter.lora.alpha", F32, float(ALPHA)),
        ]
        place = f"blk.{self.model.layers - 1}"
        tensors = [
            tensor(f"{place}.{name}.weight.lora_{side}", array, "F32")
            for name, pair in self.pairs().items()
            for side, array in zip("ab", pair, strict=True)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        gguf_file.write(path, keys, tensors)
        return path

    def peft(self, **more: Any) -> dict[str, bytes]:
        """Files as PEFT writes them; `more` are further settings of adapter_config.json."""
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": BASE,
            "r": RANK,
            "lora_alpha": ALPHA,
            "lora_dropout": 0.0,
            "target_modules": [*_MATRICES.values()],
            "bias": "none",
            "use_dora": False,
            "use_rslora": False,
            "modules_to_save": None,
            "init_lora_weights": True,
            "rank_pattern": {},
            "alpha_pattern": {},
            "inference_mode": True,
        }
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        content = b""
        place = f"base_model.model.model.layers.{self.model.layers - 1}.mlp"
        for name, pair in self.pairs().items():
            for side, array in zip("AB", pair, strict=True):
                header[f"{place}.{_MATRICES[name]}.lora_{side}.weight"] = {
                    "dtype": "F32",
                    "shape": list(array.shape),
                    "data_offsets": [len(content), len(content) + array.nbytes],
                }
                content += array.tobytes()
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return {
            "adapter_config.json": (json.dumps(config | more, indent=2) + "\n").encode(),
            "adapter_model.safetensors": struct.pack("<Q", len(text)) + text + content,
            "README.md": b"# An adapter\n",
        }


def publish(root: Path, gguf: TinyAdapter, peft: TinyAdapter) -> None:
    """Lay adapters out under a hub's root.

    `modelrack-lab/tiny-adapter-gguf` holds the first, and another beside it that a pattern for the
    first must not select; `modelrack-lab/tiny-adapter` the second.
    """
    folder = root / "modelrack-lab" / "tiny-adapter-gguf"
    shutil.rmtree(folder, ignore_errors=True)
    gguf.gguf(folder / "tiny-adapter-F32.gguf")
    replace(gguf, skipped=gguf.skipped + 1).gguf(folder / "other-adapter-F32.gguf")
    (folder / "README.md").write_text("# Two adapters\n")
    other = root / "modelrack-lab" / "tiny-adapter"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir(parents=True)
    for path, content in peft.peft().items():
        (other / path).write_bytes(content)
