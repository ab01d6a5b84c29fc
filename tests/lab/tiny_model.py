"""A tiny but real chat model, made on the spot, that answers with one readable sentence.

The weights are seeded noise except for the first and the last matrix. These hold a chain: every
token of a prompt calls for the first word of the answer, each word for the next, the last one for
the end of the turn. So the greedy answer to anything is the sentence, and it ends by itself.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType
from gguf.quants import quantize

from tests.lab import gguf_file
from tests.lab.gguf_file import ARRAY, F32, I32, STRING, U32, Key, Tensor

Array = npt.NDArray[np.float32]

ANSWER = "Hello from the tiny lab model, all of its weights are in place."
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' "
    "+ message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("h e", "t h", "i n", "e r", "o n")
HEADS, KV_HEADS = 4, 2
FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7}


@dataclass(frozen=True)
class TinyModel:
    """``width=64, layers=2`` is 300 KB in F16, ``width=512, layers=6`` about 30 MB."""

    architecture: str = "qwen2"
    width: int = 64
    layers: int = 2
    seed: int = 1
    answer: str = ANSWER
    context: int = 4096

    @cached_property
    def words(self) -> list[str]:
        """The answer's pieces, one token each."""
        first, *others = self.answer.split(" ")
        words = [first, *(f" {word}" for word in others)]
        if len(set(words)) != len(words):
            raise ValueError("an answer must not use a word twice: each word leads to one other")
        return words

    @cached_property
    def tokens(self) -> list[str]:
        """The vocabulary in GGUF's spelling: bytes, merged pairs, answer words, control."""
        letters = _byte_letters()
        words = ["".join(letters[byte] for byte in word.encode()) for word in self.words]
        merged = [pair.replace(" ", "") for pair in MERGES]
        return [*letters, *merged, *words, *CONTROL]

    def keys(self, variant: str) -> list[Key]:
        """The model's metadata, in the order in which converters write it."""
        arch = self.architecture
        number = {token: index for index, token in enumerate(self.tokens)}
        kinds = [3 if token in CONTROL else 1 for token in self.tokens]
        return [
            Key("general.architecture", STRING, arch),
            Key("general.type", STRING, "model"),
            Key("general.name", STRING, f"tiny {arch}"),
            Key(f"{arch}.block_count", U32, self.layers),
            Key(f"{arch}.context_length", U32, self.context),
            Key(f"{arch}.embedding_length", U32, self.width),
            Key(f"{arch}.feed_forward_length", U32, 2 * self.width),
            Key(f"{arch}.attention.head_count", U32, HEADS),
            Key(f"{arch}.attention.head_count_kv", U32, KV_HEADS),
            Key(f"{arch}.rope.freq_base", F32, 10000.0),
            Key(f"{arch}.rope.dimension_count", U32, self.width // HEADS),
            Key(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-6),
            Key(f"{arch}.vocab_size", U32, len(self.tokens)),
            Key("general.file_type", U32, FILE_TYPES[variant]),
            Key("general.quantization_version", U32, 2),
            Key("tokenizer.ggml.model", STRING, "gpt2"),
            Key("tokenizer.ggml.pre", STRING, "qwen2"),
            Key("tokenizer.ggml.tokens", ARRAY, self.tokens, STRING),
            Key("tokenizer.ggml.token_type", ARRAY, kinds, I32),
            Key("tokenizer.ggml.merges", ARRAY, MERGES, STRING),
            Key("tokenizer.ggml.eos_token_id", U32, number["<|im_end|>"]),
            Key("tokenizer.ggml.padding_token_id", U32, number["<|endoftext|>"]),
            Key("tokenizer.ggml.bos_token_id", U32, number["<|endoftext|>"]),
            Key("tokenizer.chat_template", STRING, TEMPLATE),
        ]

    def tensors(self, variant: str) -> list[Tensor]:
        """All weights; matrices in ``variant`` (F32, F16, Q8_0), vectors always in F32."""
        random = np.random.default_rng(self.seed)
        narrow = self.width // HEADS * KV_HEADS

        def noise(rows: int, columns: int) -> Array:
            return 0.02 * random.standard_normal((rows, columns), dtype=np.float32)

        embedding, output = self._chain(random)
        named: list[tuple[str, Array]] = [("token_embd.weight", embedding)]
        for layer in range(self.layers):
            rows = {"attn_q": self.width, "attn_k": narrow, "attn_v": narrow}
            block: list[tuple[str, Array]] = [("attn_norm.weight", np.ones(self.width, "f4"))]
            for name, height in rows.items():
                block.append((f"{name}.weight", noise(height, self.width)))
                if self.architecture == "qwen2":
                    block.append((f"{name}.bias", noise(1, height)[0]))
            block += [
                ("attn_output.weight", noise(self.width, self.width)),
                ("ffn_norm.weight", np.ones(self.width, "f4")),
                ("ffn_gate.weight", noise(2 * self.width, self.width)),
                ("ffn_up.weight", noise(2 * self.width, self.width)),
                ("ffn_down.weight", noise(self.width, 2 * self.width)),
            ]
            named += [(f"blk.{layer}.{name}", array) for name, array in block]
        named += [("output_norm.weight", np.ones(self.width, "f4")), ("output.weight", output)]
        return [tensor(name, array, variant) for name, array in named]

    def write(self, path: Path, variant: str = "F16") -> Path:
        """One whole GGUF file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        gguf_file.write(path, self.keys(variant), self.tensors(variant))
        return path

    def write_split(self, folder: Path, prefix: str, variant: str, shards: int) -> list[Path]:
        """The same as shards that the engines load as one."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = self.keys(variant), self.tensors(variant)
        return gguf_file.write_split(folder, prefix, *parts, shards)

    def _chain(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Embedding and output matrix that make the answer. Dimension 0 says: not a word of it."""
        shape = len(self.tokens), self.width
        embedding = random.standard_normal(shape, dtype=np.float32)
        output = 0.02 * random.standard_normal(shape, dtype=np.float32)
        end = self.tokens.index("<|im_end|>")
        first = len(self.tokens) - len(CONTROL) - len(self.words)
        chain = range(first, first + len(self.words))
        embedding[:, 0] = 8
        embedding[chain, 0] = -8
        output[:, 0] = 0
        output[first, 0] = 8
        for word, following in zip(chain, [*chain[1:], end], strict=True):
            output[following, 1:] += embedding[word, 1:]
        return embedding, output


def publish(root: Path, model: TinyModel | None = None) -> str:
    """Lay the model out under a hub's root; returns its id.

    ``modelrack-lab/tiny-<architecture>-gguf`` holds the F16 model in three shards and, as a set
    that a pattern for F16 must not select, the Q8_0 model in two. ``…-whole-gguf`` holds one file.
    """
    model = model or TinyModel()
    name = f"tiny-{model.architecture}"
    folder = root / "modelrack-lab" / f"{name}-gguf"
    shutil.rmtree(folder, ignore_errors=True)
    model.write_split(folder, f"{name}-F16", "F16", 3)
    model.write_split(folder, f"{name}-Q8_0", "Q8_0", 2)
    whole = root / "modelrack-lab" / f"{name}-whole-gguf"
    model.write(whole / f"{name}-F16.gguf")
    for each in (folder, whole):
        (each / "README.md").write_text(f"# {name}\n\nNoise that answers: {model.answer}\n")
        configuration = {"framework": "pytorch", "task": "text-generation"}
        (each / "configuration.json").write_text(json.dumps(configuration) + "\n")
    return f"modelrack-lab/{folder.name}"


def tensor(name: str, array: Array, variant: str) -> Tensor:
    shape = tuple(reversed(array.shape))
    kind = GGMLQuantizationType[variant if array.ndim > 1 else "F32"]
    return Tensor(name, shape, int(kind), quantize(array, kind).tobytes())


def _byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in byte-level BPE vocabularies (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]
