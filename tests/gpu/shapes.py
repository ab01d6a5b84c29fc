"""Networks by their shape: which tensors they have, in which types, and how large each is.

Names and keys are those that llama.cpp's converters write for the architectures llama, qwen2 and
deepseek2; figures are from the models' own config.json. The types follow its Q4_K_M recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from tests.lab.gguf_file import ARRAY, BOOL, F32, I32, STRING, U32, Key

# ggml's number of each type, numbers in a block, bytes of a block. Source: ggml.c, type_traits.
TYPES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q8_0": (8, 32, 34),
    "Q4_K": (12, 256, 144),
    "Q6_K": (14, 256, 210),
}
FILE_TYPES = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15}
SPECIAL = ("<unk>", "<s>", "</s>")


class Weight(NamedTuple):
    """One tensor without its data: name, shape in ggml's order, type."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def size(self) -> int:
        """Bytes."""
        _, numbers, block = TYPES[self.type]
        return prod(self.shape) // numbers * block


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One network; the fields from kv_lora_rank on are those of MLA and of experts.

    + head_dim: of the values, and of the keys without their rotary part
    + quantization: F16, Q8_0 or Q4_K_M
    + tied: the embedding is the output matrix, too
    + bias: queries, keys and values have one
    + dense_layers: those without experts, at the start
    """

    name: str
    architecture: str
    quantization: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    head_dim: int = 128
    tied: bool = False
    bias: bool = False
    kv_lora_rank: int | None = None
    q_lora_rank: int = 0
    rope_head_dim: int = 0
    dense_layers: int = 0
    experts: int = 0
    active_experts: int = 0
    expert_feed_forward: int = 0

    def weights(self) -> list[Weight]:
        """Every tensor in the order of the file."""
        named: list[tuple[str, tuple[int, ...]]] = [
            ("token_embd.weight", (self.hidden, self.vocabulary))
        ]
        for layer in range(self.layers):
            block = [*self._attention(), *self._feed_forward(layer)]
            named += [(f"blk.{layer}.{name}", shape) for name, shape in block]
        named.append(("output_norm.weight", (self.hidden,)))
        if not self.tied:
            named.append(("output.weight", (self.hidden, self.vocabulary)))
        return [Weight(name, shape, self._type(name, shape)) for name, shape in named]

    def keys(self) -> list[Key]:
        """Metadata, with a vocabulary of bytes that is padded to the size of the real one."""
        arch = self.architecture
        mla = self.kv_lora_rank is not None
        rope = self.rope_head_dim if mla else self.head_dim
        numbers = {
            "block_count": self.layers,
            "context_length": 163_840 if mla else 131_072,
            "embedding_length": self.hidden,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            # MLA is kept as one shared head: the latent and the rotary part of the keys.
            "attention.head_count_kv": 1 if mla else self.kv_heads,
            "rope.dimension_count": rope,
            "vocab_size": self.vocabulary,
        }
        if self.kv_lora_rank is not None:
            numbers |= {
                "attention.q_lora_rank": self.q_lora_rank,
                "attention.kv_lora_rank": self.kv_lora_rank,
                "attention.key_length": self.kv_lora_rank + rope,
                "attention.value_length": self.kv_lora_rank,
                "attention.key_length_mla": self.head_dim + rope,
                "attention.value_length_mla": self.head_dim,
            }
        if self.experts:
            numbers |= {
                "leading_dense_block_count": self.dense_layers,
                "expert_count": self.experts,
                "expert_used_count": self.active_experts,
                "expert_shared_count": 1,
                "expert_feed_forward_length": self.expert_feed_forward,
                "expert_gating_func": 2,
            }
        tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
        kinds = [2, 3, 3, *[6] * 256]
        # Normal ones, so that whatever is answered has a text.
        others = range(len(tokens), self.vocabulary)
        return [
            Key("general.architecture", STRING, arch),
            Key("general.type", STRING, "model"),
            Key("general.name", STRING, self.name),
            Key("general.file_type", U32, FILE_TYPES[self.quantization]),
            Key("general.quantization_version", U32, 2),
            *(Key(f"{arch}.{name}", U32, number) for name, number in numbers.items()),
            Key(f"{arch}.rope.freq_base", F32, 10_000.0 if mla else 1_000_000.0),
            Key(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-6),
            *(
                (
                    Key(f"{arch}.expert_weights_scale", F32, 2.5),
                    Key(f"{arch}.expert_weights_norm", BOOL, True),
                )
                if self.experts
                else ()
            ),
            Key("tokenizer.ggml.model", STRING, "llama"),
            Key("tokenizer.ggml.tokens", ARRAY, [*tokens, *(f"<{n}>" for n in others)], STRING),
            Key("tokenizer.ggml.scores", ARRAY, [0.0] * self.vocabulary, F32),
            Key("tokenizer.ggml.token_type", ARRAY, [*kinds, *[1] * len(others)], I32),
            Key("tokenizer.ggml.bos_token_id", U32, 1),
            Key("tokenizer.ggml.eos_token_id", U32, 2),
        ]

    def _attention(self) -> list[tuple[str, tuple[int, ...]]]:
        hidden, heads, narrow = self.hidden, self.heads, self.kv_heads * self.head_dim
        wide = heads * self.head_dim
        if (rank := self.kv_lora_rank) is not None:
            rope, queries = self.rope_head_dim, self.q_lora_rank
            return [
                ("attn_norm.weight", (hidden,)),
                ("attn_q_a.weight", (hidden, queries)),
                ("attn_q_a_norm.weight", (queries,)),
                ("attn_q_b.weight", (queries, heads * (self.head_dim + rope))),
                ("attn_kv_a_mqa.weight", (hidden, rank + rope)),
                ("attn_kv_a_norm.weight", (rank,)),
                ("attn_k_b.weight", (self.head_dim, rank, heads)),
                ("attn_v_b.weight", (rank, self.head_dim, heads)),
                ("attn_output.weight", (wide, hidden)),
                ("ffn_norm.weight", (hidden,)),
            ]
        biases = {"attn_q": wide, "attn_k": narrow, "attn_v": narrow} if self.bias else {}
        return [
            ("attn_norm.weight", (hidden,)),
            ("attn_q.weight", (hidden, wide)),
            ("attn_k.weight", (hidden, narrow)),
            ("attn_v.weight", (hidden, narrow)),
            *((f"{name}.bias", (width,)) for name, width in biases.items()),
            ("attn_output.weight", (wide, hidden)),
            ("ffn_norm.weight", (hidden,)),
        ]

    def _feed_forward(self, layer: int) -> list[tuple[str, tuple[int, ...]]]:
        hidden, width = self.hidden, self.feed_forward
        if not self.experts or layer < self.dense_layers:
            return [
                ("ffn_gate.weight", (hidden, width)),
                ("ffn_up.weight", (hidden, width)),
                ("ffn_down.weight", (width, hidden)),
            ]
        width = self.expert_feed_forward
        return [
            ("ffn_gate_inp.weight", (hidden, self.experts)),
            ("exp_probs_b.bias", (self.experts,)),
            ("ffn_gate_exps.weight", (hidden, width, self.experts)),
            ("ffn_up_exps.weight", (hidden, width, self.experts)),
            ("ffn_down_exps.weight", (width, hidden, self.experts)),
            ("ffn_gate_shexp.weight", (hidden, width)),
            ("ffn_up_shexp.weight", (hidden, width)),
            ("ffn_down_shexp.weight", (width, hidden)),
        ]

    def _type(self, name: str, shape: tuple[int, ...]) -> str:
        if len(shape) == 1 or "ffn_gate_inp" in name:
            return "F32"
        if self.quantization != "Q4_K_M":
            return self.quantization
        if "attn_k_b" in name or "attn_v_b" in name:
            return "Q8_0"
        if name == "output.weight" or (name == "token_embd.weight" and self.tied):
            return "Q6_K"
        if ".attn_v." in name or ".ffn_down" in name:
            # More bits at both ends and in every third layer between, as llama-quantize has it.
            layer, eighth = int(name.split(".")[1]), self.layers // 8
            ends = layer < eighth or layer >= 7 * self.layers // 8
            return "Q6_K" if ends or (layer - eighth) % 3 == 2 else "Q4_K"
        return "Q4_K"


def _deepseek_r1(*, layers: int) -> Shape:
    """DeepSeek-R1 cut to its first `layers` of 61."""
    return Shape(
        name=f"deepseek-r1-{layers}-layers-q4_k_m",
        architecture="deepseek2",
        quantization="Q4_K_M",
        layers=layers,
        hidden=7168,
        heads=128,
        kv_heads=128,
        feed_forward=18432,
        vocabulary=129_280,
        kv_lora_rank=512,
        q_lora_rank=1536,
        rope_head_dim=64,
        dense_layers=3,
        experts=256,
        active_experts=8,
        expert_feed_forward=2048,
    )


_SHAPES = (
    Shape(
        name="qwen2.5-1.5b-q8_0",
        architecture="qwen2",
        quantization="Q8_0",
        layers=28,
        hidden=1536,
        heads=12,
        kv_heads=2,
        feed_forward=8960,
        vocabulary=151_936,
        tied=True,
        bias=True,
    ),
    Shape(
        name="qwen2.5-7b-f16",
        architecture="qwen2",
        quantization="F16",
        layers=28,
        hidden=3584,
        heads=28,
        kv_heads=4,
        feed_forward=18944,
        vocabulary=152_064,
        bias=True,
    ),
    Shape(
        name="qwen2.5-32b-q4_k_m",
        architecture="qwen2",
        quantization="Q4_K_M",
        layers=64,
        hidden=5120,
        heads=40,
        kv_heads=8,
        feed_forward=27648,
        vocabulary=152_064,
        bias=True,
    ),
    Shape(
        name="llama-70b-q4_k_m",
        architecture="llama",
        quantization="Q4_K_M",
        layers=80,
        hidden=8192,
        heads=64,
        kv_heads=8,
        feed_forward=28672,
        vocabulary=128_256,
    ),
    _deepseek_r1(layers=5),
    _deepseek_r1(layers=16),
)
SHAPES = {shape.name: shape for shape in _SHAPES}
