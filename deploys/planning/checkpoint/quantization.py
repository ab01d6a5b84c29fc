"""The quantization of a checkpoint, as its own documents say it, before a byte of it is fetched.

The machine compares the same reading with the tensors once they are there (remote/formats). That is
why this one module takes it from there: what a name means has one text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal
from deploys.remote.formats.declared import declared
from deploys.remote.formats.quantization_names import BY_TENSORS, NAMES, PLAIN, canonical, same

__all__ = [
    "BY_TENSORS",
    "NAMES",
    "PLAIN",
    "Quantization",
    "as_served",
    "canonical",
    "declared",
    "quantization",
    "same",
]


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What a checkpoint's weights are.

    + name: as Model.quantization has it
    + scale_group: as Model has it: None where nothing says how many weights share a scale
    + where: the document that says so; "" where none does
    """

    name: str
    scale_group: int | None
    where: str


def quantization(documents: Documents) -> Quantization:
    """Return what the documents of a folder of safetensors say, or the header of a GGUF.

    Raise Refusal if they do not say it.
    """
    if documents.gguf:
        # Of shards the first alone says it.
        heads = sorted(documents.gguf.items(), key=lambda head: _FILE_TYPE not in head[1])
        return _of_gguf(*heads[0])
    said = declared(documents.json)
    if said.name:
        return Quantization(name=canonical(said.name), scale_group=said.group, where=said.where)
    return Quantization(name=_type(documents), scale_group=None, where=said.where)


# As config.json calls the types; older ones say torch_dtype.
_TYPES = {"bfloat16": "BF16", "float16": "F16", "half": "F16", "float32": "F32", "float": "F32"}
_FILE_TYPE = "general.file_type"
# What llama-quantize was asked for. Source: llama.cpp 0c1e57098, llama.h.
_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS"},
    **{23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S"},
    **{29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 33: "Q4_0_4_4", 34: "Q4_0_4_8"},
    **{35: "Q4_0_8_8", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0"},
}
# The same in the name of a file; Unsloth's own mixtures (UD-) are not known to llama-quantize.
_IN_NAMES = re.compile(
    r"(?<![A-Z0-9])((?:UD-)?(?:IQ[1-4]_(?:XXS|XS|NL|S|M)|Q[1-8]_K(?:_(?:XXL|XL|L|M|S))?"
    r"|Q[1-8]_[01](?:_[48]_[48])?|TQ[12]_0|MXFP4|NVFP4|BF16|F16|F32))(?![A-Z0-9])"
)


def as_served(kind: Any, said: str | None) -> str | None:
    """Return how weights on a machine are quantized; None where they do not say it.

    + kind: general.file_type of a GGUF, or the type that config.json has
    + said: what the documents of a folder say
    """
    if said:
        return canonical(said)
    if type(kind) is int:
        return _FILE_TYPES.get(kind)
    return _TYPES.get(str(kind).removeprefix("torch."))


def _of_gguf(path: str, header: Mapping[str, Any]) -> Quantization:
    named = _IN_NAMES.findall(path.rpartition("/")[2].upper().replace("FP16", "F16"))
    kind = header.get(_FILE_TYPE)
    said = _FILE_TYPES.get(kind) if type(kind) is int else None
    # A name says more where it is of a mixture of one's own, and is all there is without a kind.
    by_name = named[-1] if named and (said is None or named[-1].startswith("UD-")) else said
    if by_name is None:
        raise Refusal(
            f"neither the name of {path} nor its header (general.file_type) says how it is"
            " quantized",
            "Set quantization of the model to what llama-quantize calls it, such as Q4_K_M",
        )
    return Quantization(name=by_name, scale_group=None, where=path)


def _type(documents: Documents) -> str:
    config = documents.config
    inner = config.get("text_config")
    for each in (config, inner if isinstance(inner, dict) else {}):
        for key in ("dtype", "torch_dtype"):
            if (name := str(each.get(key)).removeprefix("torch.")) in _TYPES:
                return _TYPES[name]
    raise Refusal(
        "config.json says neither a quantization nor the type of the weights (dtype)",
        f"Set quantization of the model: {', '.join(PLAIN)}, or as its maker calls it",
    )
