"""The metadata of a GGUF as plain values."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from deploys.remote.formats import gguf, gguf_metadata
from tests.lab import gguf_file
from tests.lab.gguf_file import ARRAY, BOOL, F32, I32, STRING, U16, U32, Key


def _read(*keys: Key) -> dict[str, object]:
    return gguf_metadata.metadata(gguf.scan(gguf_file.head(keys, []), "x.gguf"))


def test_numbers_and_texts_are_as_they_are_and_arrays_are_counted() -> None:
    assert _read(
        Key("general.architecture", STRING, "gemma4"),
        Key("gemma4.block_count", U32, 60),
        Key("split.no", U16, 0),
        Key("gemma4.flag", BOOL, True),
        Key("gemma4.scale", F32, 0.5),
        Key("gemma4.attention.head_count_kv", ARRAY, [8, 8, 1], I32),
        Key("tokenizer.ggml.tokens", ARRAY, ["a", "b"], STRING),
        Key("tokenizer.ggml.token_type", ARRAY, [1, 3], I32),
        Key("gemma4.more", ARRAY, [1] * 1025, I32),
    ) == {
        "general.architecture": "gemma4",
        "gemma4.block_count": 60,
        "split.no": 0,
        "gemma4.flag": True,
        "gemma4.scale": 0.5,
        "gemma4.attention.head_count_kv": {"length": 3, "values": [8, 8, 1]},
        "tokenizer.ggml.tokens": {"length": 2},
        "tokenizer.ggml.token_type": {"length": 2},
        "gemma4.more": {"length": 1025},
    }


def test_a_text_of_a_megabyte_is_none() -> None:
    assert _read(Key("a", STRING, "x" * ((1 << 20) + 1)), Key("b", STRING, "x")) == {"b": "x"}


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_the_scanner_accepts_has_values(noise: bytes, at: int) -> None:
    keys = (
        Key("general.architecture", STRING, "llama"),
        Key("llama.block_count", U32, 2),
        Key("a", ARRAY, [1, 2], I32),
        Key("t", ARRAY, ["a"], STRING),
    )
    head = bytearray(gguf_file.head(keys, []))
    head[at : at + len(noise)] = noise
    try:
        header = gguf.scan(bytes(head), "x.gguf")
    except (gguf.NotGguf, gguf.HeaderIncomplete):
        return
    json.dumps(gguf_metadata.metadata(header))


def test_tensors_tell_what_no_key_does() -> None:
    tensors = [
        ("token_embd.weight", (64, 100), 1, 12_800),
        ("blk.0.attn_k_b.weight", (4, 16, 8), 0, 2048),
        ("blk.1.attn_k_b.weight", (4, 16, 8), 0, 2048),
        ("output.weight", (64, 100), 8, 6800),
    ]
    header = gguf.scan(gguf_file.head([], tensors), "x.gguf")
    assert gguf_metadata.of_tensors(header) == {
        "tensors.parameters": 2 * 6400 + 2 * 512,
        "tensors.output": 1,
        "tensors.attn_k_b": 2,
    }
    none = gguf.scan(gguf_file.head([], []), "x.gguf")
    assert set(gguf_metadata.of_tensors(none).values()) == {0}
