"""Whether the adapters of a service fit its model, and whether its engine loads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from deploys.planning.adapters.adapter import Adapter
from deploys.planning.engines.base import Adapters
from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.paths import LONGEST_NAME
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

# What goes in or comes out of a matrix is as wide as the network: names of PEFT and of GGUF.
_FROM_HIDDEN = {
    *("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "qkv_proj", "gate_up_proj"),
    *("attn_q", "attn_k", "attn_v", "attn_qkv", "ffn_gate", "ffn_up"),
}
_TO_HIDDEN = {"o_proj", "down_proj", "attn_output", "ffn_down"}
# Of a network whose layers are alike: what is as wide as all heads of keys or values, and what as
# the feed-forward part.
_TO_KEYS = {"k_proj", "v_proj", "attn_k", "attn_v"}
_TO_FEED_FORWARD = {"gate_proj", "up_proj", "ffn_gate", "ffn_up"}
# What nothing on the way to a command line would give back as it is.
_UNWRITABLE = re.compile(r"[,'\"\\\s]")


def adapters_of(service: Service) -> Mapping[str, Adapter]:
    """Return the adapters of a service by their names, which were read before."""
    found = (service.adapters or {}).items()
    return {name: adapter for name, adapter in found if isinstance(adapter, Adapter)}


def name_of(service: Service, adapter: str) -> str | None:
    """Return what requests name as their model to have an adapter; None where all have it."""
    record = ENGINES[service.engine].adapters
    if record is None or record.model_id is None:
        return None
    return record.model_id.format(service=service.name, adapter=adapter)


def names_of(service: Service) -> tuple[str, ...]:
    """Return the further names of models that a service answers to, by its adapters."""
    found = (name_of(service, adapter) for adapter in sorted(service.adapters or {}))
    return tuple(name for name in found if name is not None)


def refusals(service: Service, model: Model) -> Iterator[Refusal]:
    """Yield what is wrong with the adapters of a service, each for itself."""
    engine = ENGINES[service.engine]
    if engine.adapters is None or not service.adapters:
        return  # The field is refused as a whole.
    count = len(service.adapters)
    if engine.adapters.model_id is None and count > 1:
        yield Refusal(
            f"Service {service.name}: adapters names {count}, and a request to {engine.title}"
            " cannot choose among them",
            "Leave one in adapters, whose every answer has it, or make a service for each",
        )
    for name, adapter in adapters_of(service).items():
        about = f"Service {service.name}: adapter {name}"
        wrong = _unloadable(about, service, adapter, engine.adapters) or _apart(
            about, adapter, model
        )
        if wrong:
            yield wrong
        asked = name_of(service, name) or ""
        if len(asked) > LONGEST_NAME:
            yield Refusal(
                f"{about} is asked as {asked}, which is longer than the {LONGEST_NAME} letters that"
                " a model's name may have",
                "Give the adapter or the service a shorter name",
            )


def warnings(service: Service, model: Model) -> Iterator[str]:
    """Yield which adapters were trained on something that is called otherwise than the model."""
    for name, adapter in adapters_of(service).items():
        if adapter.base and not _is_called(model, adapter.base):
            yield (
                f"Service {service.name}: adapter {name} was trained on {adapter.base}, and"
                f" {model.title} is served; their shapes agree, so it is applied: compare its"
                " answers"
            )


def check_architecture(service: Service, architecture: str | None) -> None:
    """Raise Refusal if an adapter in GGUF is for another architecture than the model's header says.

    + architecture: None where that was not read
    """
    for name, adapter in adapters_of(service).items():
        if architecture and adapter.architecture and adapter.architecture != architecture:
            raise Refusal(
                f"adapter {name} is for the architecture {adapter.architecture}, and the"
                f" model has {architecture}",
                "Choose an adapter that was trained on this model",
            )


def _unloadable(about: str, service: Service, adapter: Adapter, record: Adapters) -> Refusal | None:
    """Return why the engine does not load an adapter."""
    title = ENGINES[service.engine].title
    if adapter.format != record.format:
        instead = (
            "Name in adapters a repository that has it in GGUF, as convert_lora_to_gguf.py of"
            " llama.cpp writes it, or serve the model in safetensors with vLLM"
            if record.format == "gguf"
            else "Name in adapters the repository in safetensors that it was made of, or serve a"
            " GGUF of the model with llama.cpp"
        )
        return Refusal(
            f"{about} is in {adapter.format}, and {title} loads adapters in {record.format}",
            instead,
        )
    if record.ranks and adapter.rank > record.ranks[-1]:
        return Refusal(
            f"{about} has rank {adapter.rank}, and {title} takes {record.ranks[-1]} at most",
            "Choose an adapter of a smaller rank, or merge it into its model and serve that",
        )
    if adapter.by_pattern and not record.patterns:
        return Refusal(
            f"{about} names what it adapts by a pattern (target_modules), and {title} reads a list",
            "Choose an adapter with a list of names there, or serve the model with vLLM",
        )
    if _UNWRITABLE.search(adapter.file):
        return Refusal(
            f"{about} is in {adapter.file!a}, a name with a blank, a comma or a quote",
            "Choose a repository whose file has a plain name",
        )
    return None


def _apart(about: str, adapter: Adapter, model: Model) -> Refusal | None:
    """Return how the shapes of an adapter contradict those of the model."""
    network = model.network
    why = ""
    if adapter.layers > network.layers:
        why = f"adapts layer {adapter.layers}, and {model.key} has {network.layers}"
    for matrix in adapter.matrices:
        for names, width, there in (
            (_FROM_HIDDEN, matrix.inputs, network.hidden),
            (_TO_HIDDEN, matrix.outputs, network.hidden),
            (_TO_KEYS, matrix.outputs, _keys(network)),
            (_TO_FEED_FORWARD, matrix.outputs, _feed_forward(network)),
        ):
            if matrix.name in names and there is not None and width != there and not why:
                why = f"has {matrix.name} for {width} numbers, and {model.key} has {there}"
    if not why:
        return None
    return Refusal(
        f"{about} {why}, so it was trained on another model",
        f"Name an adapter of {network.name}"
        + (f", or serve {adapter.base}" if adapter.base else ""),
    )


def _keys(network: Network) -> int | None:
    return network.kv_heads * network.head_dim if _is_plain(network) else None


def _feed_forward(network: Network) -> int | None:
    return network.intermediate if _is_plain(network) else None


def _is_plain(network: Network) -> bool:
    """Return whether all layers have queries, keys, values and a feed-forward part of one shape."""
    return not (
        network.experts
        or network.kv_lora_rank
        or network.linear_value_heads
        or network.window_kv_heads
        or network.window_head_dim
        or network.shared_cache_layers
        or network.keys_are_values
    )


def _is_called(model: Model, base: str) -> bool:
    """Return whether the model is the base of that name, or a variant of it, as far as names say.

    A quantized one is called as its base is, with more behind it.
    """
    word = _plain(base.rstrip("/").rpartition("/")[2])
    called = (model.network.name, model.title, model.modelscope, model.huggingface)
    names = [_plain(each.rpartition("/")[2]) for each in called if each]
    return any(name.startswith(word) or word.startswith(name) for name in names if name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
