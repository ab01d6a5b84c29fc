"""An adapter that a service names by a hub, as the Adapter that its documents make of it."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from deploys.planning.adapters.adapter import Adapter, Matrix
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.parsed import ADAPTER, ADAPTER_CONFIG
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import Reference
from deploys.planning.inputs.refusal import Refusal

# Numbers that anything is counted with are below, and ranks far below.
_MOST = 1 << 24
# Ways to begin the training that leave a plain pair of matrices behind; others change the model.
# Source: vLLM 0.32, lora/peft_helper.py, _init_is_supported.
_PLAIN_BEGINNINGS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
# What stands for all of them instead of a list.
_EVERY_MATRIX = ("all-linear", "all")
_ANOTHER = "Choose an adapter without, or merge it into its model and serve that"


def adapter(wanted: Reference, found: Published) -> Adapter:
    """Return what the documents say; raise Refusal for what is none, or more than a plain LoRA."""
    documents = found.documents
    heads = [each for each in documents.gguf.items() if _is_adapter(each[1])]
    if len(heads) == 1 and len(documents.gguf_parts) == 1:
        return _of_gguf(wanted, found, *heads[0])
    config = documents.json.get(ADAPTER_CONFIG)
    if isinstance(config, Mapping) and isinstance(documents.adapter, Mapping):
        return _of_peft(wanted, found, config, documents.adapter)
    raise _none(wanted, found.files, documents)


def _of_peft(
    wanted: Reference, found: Published, config: Mapping[str, Any], said: Mapping[str, Any]
) -> Adapter:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise Refusal(
            f"{wanted} is an adapter of the type {_word(kind)}, and engines serve LORA alone",
            "Choose a LoRA adapter, or merge this one into its model and serve that",
        )
    for what in _more_than_lora(config):
        raise Refusal(f"{wanted} has {what}, which no engine here loads", _ANOTHER)
    if type(config.get("r")) is not int or not 0 < config["r"] < _MOST:
        raise _unreadable(wanted, f"r is {_word(config.get('r'))}")
    base, targets = config.get("base_model_name_or_path"), config.get("target_modules")
    paths, alpha = [ADAPTER, ADAPTER_CONFIG], config.get("lora_alpha")
    made = _made(wanted, found, paths, said, alpha=alpha, base=base, architecture=None)
    named = isinstance(targets, list) or targets in _EVERY_MATRIX
    return replace(made, by_pattern=not named)


def _more_than_lora(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes an adapter more than pairs of matrices.

    Source: vLLM 0.32, lora/peft_helper.py, _validate_features; SGLang 0.5.23, lora_manager.py,
    validate_new_adapter.
    """
    for field, what in (
        ("use_dora", "DoRA (use_dora)"),
        ("lora_bias", "a bias (lora_bias)"),
        ("use_qalora", "QALoRA (use_qalora)"),
        ("use_bdlora", "block-diagonal LoRA (use_bdlora)"),
        ("alora_invocation_tokens", "Activated LoRA (alora_invocation_tokens)"),
        ("layer_replication", "layers of its own (layer_replication)"),
        ("modules_to_save", "whole modules (modules_to_save)"),
        ("trainable_token_indices", "tokens of its own (trainable_token_indices)"),
    ):
        if config.get(field):
            yield what
    if config.get("bias") not in (None, "none"):
        yield f"a bias (bias={_word(config['bias'])})"
    begins = config.get("init_lora_weights")
    if isinstance(begins, str) and begins.lower() not in _PLAIN_BEGINNINGS:
        yield f"a beginning that changes the model itself (init_lora_weights={_word(begins)})"


def _of_gguf(wanted: Reference, found: Published, path: str, head: Mapping[str, Any]) -> Adapter:
    if (kind := head.get("adapter.type")) != "lora":
        raise Refusal(
            f"{wanted} is an adapter of the type {_word(kind)}, and llama.cpp loads lora alone",
            "Choose a LoRA adapter",
        )
    architecture = head.get("general.architecture")
    if not isinstance(architecture, str):
        raise _unreadable(wanted, "its header names no architecture")
    base = head.get("general.base_model.0.name")
    return _made(
        wanted,
        found,
        [path],
        head.get("tensors.lora"),
        alpha=head.get("adapter.lora.alpha"),
        base=base,
        architecture=architecture,
    )


def _made(
    wanted: Reference,
    found: Published,
    paths: list[str],
    said: Any,
    *,
    alpha: Any,
    base: Any,
    architecture: str | None,
) -> Adapter:
    """Return the adapter of these files.

    + said: what its tensors say, as deploys/remote/formats/lora.py has it
    """
    said = said if isinstance(said, Mapping) else {}
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _unreadable(wanted, f"its alpha is {_word(alpha)}")
    if others := said.get("others"):
        shown = ", ".join(map(_word, others if isinstance(others, list) else [others]))
        raise Refusal(f"{wanted} has tensors that belong to no pair of LoRA: {shown}", _ANOTHER)
    matrices = tuple(_matrices(wanted, said.get("modules")))
    layers, sizes = said.get("layers"), [found.files.get(path, 0) for path in paths]
    if type(layers) is not int or not 0 <= layers < _MOST:
        raise _unreadable(wanted, f"its layers are {_word(layers)}")
    if min(sizes) < 0 or sizes[0] < 1:
        raise _unreadable(wanted, f"its hub lists {paths[0]} with {sizes[0]} bytes")
    return Adapter(
        key=wanted.key,
        title=f"{wanted.name} {wanted.pattern}" if wanted.pattern else wanted.name,
        format="safetensors" if architecture is None else "gguf",
        modelscope=wanted.repository if wanted.hub == "modelscope" else None,
        huggingface=wanted.repository if wanted.hub == "huggingface" else None,
        files=tuple(map(glob.escape, paths)),
        file=paths[0],
        revision=found.revision,
        size=sum(sizes),
        alpha=alpha,
        base=base if isinstance(base, str) and base.isprintable() and base else None,
        architecture=architecture,
        layers=layers,
        matrices=matrices,
    )


def _matrices(wanted: Reference, rows: Any) -> Iterator[Matrix]:
    if not isinstance(rows, list) or not rows:
        raise _unreadable(wanted, "it adapts no matrix")
    for row in rows:
        name, *numbers = row if isinstance(row, list) and len(row) == 5 else (None,)
        if not isinstance(name, str) or not name.isprintable():
            raise _unreadable(wanted, "one of its matrices has no name")
        if not all(type(number) is int and 0 < number < _MOST for number in numbers):
            raise _unreadable(wanted, f"{_word(name)} has an impossible shape")
        inputs, outputs, rank, count = numbers
        if name.startswith("tower."):
            raise Refusal(
                f"{wanted} adapts {name.removeprefix('tower.')} of the part that sees images or"
                " listens, which engines leave as it is",
                "Choose an adapter of the layers of text",
            )
        yield Matrix(name=name, inputs=inputs, outputs=outputs, rank=rank, count=count)


def _none(wanted: Reference, files: Mapping[str, int], documents: Documents) -> Refusal:
    if ADAPTER_CONFIG in files and ADAPTER not in files:
        return Refusal(
            f"{wanted} has no {ADAPTER}, which engines load",
            "Choose another repository: pickles (*.bin, *.pt) run code when they are loaded",
        )
    if "config.json" in files or documents.gguf:
        return Refusal(
            f"{wanted} is a model by itself, and no LoRA adapter",
            "Serve it as the model of a service",
        )
    return Refusal(
        f"{wanted} is no LoRA adapter: it has neither {ADAPTER_CONFIG} nor a GGUF of that type",
        "Choose a repository as PEFT writes it, or one with an adapter in GGUF",
    )


def _is_adapter(head: Any) -> bool:
    return isinstance(head, Mapping) and head.get("general.type") == "adapter"


def _unreadable(wanted: Reference, what: str) -> Refusal:
    return Refusal(
        f"{wanted} cannot be read as a LoRA adapter: {what}",
        "Choose another revision, or another repository",
    )


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return ascii(text[:60])[1:-1]
