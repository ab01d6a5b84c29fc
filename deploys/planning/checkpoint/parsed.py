"""The texts of a repository, parsed: of each document what plans are made from, and no more.

They come from whoever owns the repository, so none of it is trusted to be what its name says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal

INDEX = ".safetensors.index.json"
TEMPLATE_FILE = "chat_template.jinja"
README = "README.md"
# What PEFT writes.
ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
# Where a template is part of a JSON document.
_WITH_TEMPLATE = ("tokenizer_config.json", "chat_template.json")
_TEMPLATE, _TEMPLATE_OF_GGUF = "chat_template", "tokenizer.chat_template"
_LICENCE_OF_GGUF = "general.license"
# The layers of text, and what predicts further tokens where that is none of them (Qwen3.5).
_LAYER = re.compile(r"(?:(?:model|language_model|text_model)\.)*layers\.(\d{1,6})\.")
_MTP = ("mtp.", "model.mtp.", "model.mtp_")
# A configuration is some ten values deep; what is deeper was made to be.
_DEEPEST = 40
_FRONT_MATTER = re.compile(r"---\s*\n(.*?)\n---", re.DOTALL)
_LICENCE = r"^{}:[ \t]*[\"']?([A-Za-z0-9][\w.+ -]{{0,59}}?)[\"']?[ \t]*$"


def documents(texts: Mapping[str, str], heads: Mapping[str, Mapping[str, Any]]) -> Documents:
    """Return the documents in the texts of files and what their headers say, by path.

    Raise Refusal, with the path, if a JSON document is none.
    """
    found: dict[str, Any] = {}
    templates = [texts.get(TEMPLATE_FILE)]
    for path, text in texts.items():
        if not path.endswith(".json"):
            continue
        value = _parsed(path, text)
        if path.endswith(INDEX):
            value = _index(path, value)
        elif path in _WITH_TEMPLATE and isinstance(value, dict):
            templates.append(_template(value.get(_TEMPLATE)))
            value = _plain(value, without=_TEMPLATE)
        found[path] = value
    gguf, adapter = {}, None
    for path, values in heads.items():
        values = _sound(values, _DEEPEST)
        if path == ADAPTER:
            adapter = values
            continue
        templates.append(_template(values.get(_TEMPLATE_OF_GGUF)))
        gguf[path] = {key: each for key, each in values.items() if key != _TEMPLATE_OF_GGUF}
    return Documents(
        json=found,
        gguf=gguf,
        adapter=adapter,
        template=next((each for each in templates if each), None),
        licence=_licence(texts.get(README, ""), gguf),
    )


def _parsed(path: str, text: str) -> Any:
    try:
        # NaN and Infinity are not of JSON, and no number that anything could be counted with.
        return _sound(json.loads(text, parse_constant=str), _DEEPEST)
    except (ValueError, RecursionError) as error:
        raise Refusal(
            f"{path} is not JSON: {_short(error)}", "Choose another revision, or another repository"
        ) from error


def _sound(value: Any, depth: int) -> Any:
    """Return the value with text that can be written; raise ValueError if it is too deep."""
    if depth == 0:
        raise ValueError(f"it is more than {_DEEPEST} values deep")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_sound(each, depth - 1) for each in value]
    if isinstance(value, Mapping):
        return {_sound(key, 1): _sound(each, depth - 1) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _index(path: str, value: Any) -> dict[str, Any]:
    """Return an index with the first tensor of each file alone: it may name a hundred thousand.

    Of the others it tells how many layers they are of, and whether some are of a part that predicts
    further tokens and is no layer.
    """
    mapped = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(mapped, dict) or not all(isinstance(file, str) for file in mapped.values()):
        raise Refusal(f"{path} has no weight_map", "Choose another revision, or another repository")
    tensors: dict[str, str] = {}
    layers, mtp = 0, False
    for tensor, file in mapped.items():
        tensors.setdefault(file, tensor)
        if layer := _LAYER.match(tensor):
            layers = max(layers, int(layer[1]) + 1)
        mtp = mtp or tensor.startswith(_MTP)
    metadata = value.get("metadata")
    return {
        "metadata": _plain(metadata) if isinstance(metadata, dict) else {},
        "weight_map": {tensor: file for file, tensor in tensors.items()},
        "layers": layers,
        "mtp": mtp,
    }


def _plain(value: Mapping[str, Any], without: str = "") -> dict[str, Any]:
    """Return what is neither a list nor an object: those are the tokens, and long."""
    return {
        key: each
        for key, each in value.items()
        if key != without and not isinstance(each, list | dict)
    }


def _template(value: Any) -> str | None:
    """Return the template, of several the one that is used where none is asked for."""
    if isinstance(value, list):
        named = {each.get("name"): each.get("template") for each in value if isinstance(each, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _licence(readme: str, gguf: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the licence that the card of the repository or a GGUF names."""
    front = _FRONT_MATTER.match(readme)
    for name in ("license_name", "license"):
        found = re.search(_LICENCE.format(name), front[1] if front else "", re.MULTILINE)
        if found:
            return found[1]
    for values in gguf.values():
        said = values.get(_LICENCE_OF_GGUF)
        if isinstance(said, str) and said.isprintable() and 0 < len(said) <= 60:
            return said
    return None


def _short(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:80] or type(error).__name__
