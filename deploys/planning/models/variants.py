"""How the variants of a network are published: their key, repository and files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

# Weights, configuration, tokenizer, and the code that some repositories bring along. Some also hold
# the weights once more as *.bin.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "LICENSE*")
# The same where folders of the repository hold the weights once more, in other formats.
_TOP_FILES = (
    *("model*.safetensors", "model*.json", "config.json", "generation_config.json"),
    *("special_tokens_map.json", "tokenizer*.json", "chat_template.jinja", "LICENSE*"),
)


def original(
    network: Network, quantization: str, size: int, source: str, *, folders: bool = False
) -> Model:
    """Return the vendor's own weights, whose key is the name of the network.

    + folders: the repository has directories with the weights in other formats
    """
    variant = safetensors(
        network,
        quantization,
        size,
        source,
        *_repositories(network),
    )
    files = _TOP_FILES if folders else _FILES
    return replace(variant, key=network.name.lower(), files=files)


def safetensors(
    network: Network,
    quantization: str,
    size: int,
    source: str,
    huggingface: str | None,
    modelscope: str | None = None,
    *,
    scale_group: int | None = None,
) -> Model:
    """Return a quantization with a repository of its own, often on one hub alone.

    + scale_group: as Model has it
    """
    return _model(
        network,
        format="safetensors",
        quantization=quantization,
        modelscope=modelscope,
        huggingface=huggingface,
        files=_FILES,
        size=size,
        source=source,
        scale_group=scale_group,
    )


def suffixed(
    network: Network,
    quantization: str,
    size: int,
    source: str,
    *,
    scale_group: int | None = None,
) -> Model:
    """Return a quantization by the vendor, in a repository named after it on both hubs.

    + scale_group: as Model has it
    """
    huggingface, modelscope = _repositories(network)
    return safetensors(
        network,
        quantization,
        size,
        source,
        f"{huggingface}-{quantization}",
        f"{modelscope}-{quantization}",
        scale_group=scale_group,
    )


def gguf(
    network: Network,
    quantization: str,
    size: int,
    source: str,
    *,
    repository: str | None = None,
    modelscope: bool = True,
    files: str | None = None,
) -> Model:
    """Return one file of a repository with all quantizations, by default Unsloth's.

    These files include neither the multi-token prediction layer nor what sees images.

    + repository: its name, the same on both hubs
    + modelscope: whether it is known to be on ModelScope
    + files: pattern, if the quantization is in shards or has another name
    """
    repository = repository or f"unsloth/{network.name}-GGUF"
    return _model(
        replace(network, mtp_layers=0, images=False),
        format="gguf",
        quantization=quantization,
        modelscope=repository if modelscope else None,
        huggingface=repository,
        files=(files or f"{network.name}-{quantization}.gguf",),
        size=size,
        source=source,
    )


def r1_gguf(network: Network, quantization: str, size: int, source: str) -> Model:
    """Return DeepSeek-R1 in shards; the pattern includes the directory, or R1-Zero would match too.

    The sizes are those of the files of January 2025, from before llama.cpp's MLA cache.
    """
    folder = f"{network.name}-{quantization}"
    files = f"{folder}/{folder}-*-of-*.gguf"
    return replace(gguf(network, quantization, size, source, files=files), legacy_cache=True)


def _repositories(network: Network) -> tuple[str, str]:
    """Return the vendor's own repositories, on Hugging Face and on ModelScope."""
    assert network.repository is not None, network.name
    return network.repository, network.modelscope or network.repository


def _model(network: Network, *, quantization: str, **rest: Any) -> Model:
    """Return the variant, under the key and the title that all of them have."""
    return Model(
        key=f"{network.name}-{quantization}".lower(),
        title=f"{network.name} {quantization}",
        network=network,
        quantization=quantization,
        **rest,
    )
