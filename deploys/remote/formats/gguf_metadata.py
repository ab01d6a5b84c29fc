"""The metadata of a GGUF file as plain values, for who reads it without the file."""

from __future__ import annotations

import struct
from math import prod
from typing import Any

from . import lora
from .gguf import ARRAY, SCALARS, STRING, U32, U64, WIDTHS, Header, text_of

# Of a longer array, such as the vocabulary, only the length is of interest.
LONGEST_ARRAY = 1024
LONGEST_TEXT = 1 << 20


def metadata(header: Header) -> dict[str, Any]:
    """Return the values by key: numbers, texts, and of an array {"length": n}.

    An array of numbers that is short has one value a layer, and is given as "values", too, except
    those of the tokenizer, which have one a token.
    """
    found: dict[str, Any] = {}
    for key, raw in header.pairs:
        at = U64.size + len(key)
        (kind,) = U32.unpack_from(raw, at)
        value = _value(raw, at + U32.size, kind)
        if isinstance(value, dict) and key.startswith(b"tokenizer."):
            value = {"length": value["length"]}
        if value is not None:
            found[key.decode(errors="replace")] = value
    return found


def of_tensors(header: Header) -> dict[str, Any]:
    """Return what the tensors tell and no key does, under keys that no file has.

    These are the parameters of this file, and how many tensors it has of two kinds: the output head
    and the matrix that unpacks the keys of MLA. Of an adapter, which matrices it adapts.
    """
    found: dict[str, Any] = {
        "tensors.parameters": sum(prod(tensor.shape) for tensor in header.tensors),
        "tensors.output": sum(tensor.name == b"output.weight" for tensor in header.tensors),
        "tensors.attn_k_b": sum(b".attn_k_b." in tensor.name for tensor in header.tensors),
    }
    if text_of(header, b"general.type") == "adapter":
        shapes = {each.name.decode(errors="replace"): each.shape for each in header.tensors}
        found["tensors.lora"] = lora.of_gguf(shapes)
    return found


def _value(raw: bytes, at: int, kind: int) -> Any:
    if kind in SCALARS:
        return struct.unpack_from(SCALARS[kind], raw, at)[0]
    if kind == STRING:
        text = raw[at + U64.size :]
        return text.decode(errors="replace") if len(text) <= LONGEST_TEXT else None
    if kind == ARRAY:
        (inner,) = U32.unpack_from(raw, at)
        (count,) = U64.unpack_from(raw, at + U32.size)
        if inner not in SCALARS or count > LONGEST_ARRAY:
            return {"length": count}
        first = at + U32.size + U64.size
        values = [
            struct.unpack_from(SCALARS[inner], raw, first + number * WIDTHS[inner])[0]
            for number in range(count)
        ]
        return {"length": count, "values": values}
    return None
