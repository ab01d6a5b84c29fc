"""What a checkpoint was trained to be asked, and whether prompts may hold images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.models.shapes import Task

# How the name of an architecture ends that answers with a number or a vector, not with text.
# Source: the registry of vLLM 0.32.
_RERANK = ("ForSequenceClassification", "ForRanking")
_EMBED = (
    *("BertModel", "RobertaModel", "BertForMaskedLM", "RobertaForMaskedLM", "LlamaModel"),
    *("MistralModel", "Qwen2Model", "Qwen3Model", "Gemma2Model", "Gemma3TextModel"),
    *("ForRewardModel", "ForProcessRewardModel", "EmbeddingModel", "BidirectionalModel"),
)
# What sentence-transformers writes of the modules that come after a network.
_LAST: dict[str, Task] = {"LogitScore": "rerank", "Pooling": "embed", "Normalize": "embed"}
# How a GGUF says that it makes a vector of what it reads, or a rank. Source: llama.h,
# llama_pooling_type: mean, the first token's, the last one's; rank.
_POOLING: dict[int, Task] = {1: "embed", 2: "embed", 3: "embed", 4: "rerank"}


def task(documents: Documents) -> Task:
    """Return the task, by the modules that sentence-transformers lists, or by the architecture.

    Embedding models and rerankers that were made of one that answers may name its architecture; one
    without modules is what it says.
    """
    modules = list(_modules(documents))
    for module in reversed(modules):
        if found := next((_LAST[end] for end in _LAST if end in module), None):
            return found
    if any("1_LogitScore" in path for path in documents.json):
        return "rerank"
    if "config_sentence_transformers.json" in documents.json:
        kind = documents.json["config_sentence_transformers.json"]
        said = kind.get("model_type") if isinstance(kind, Mapping) else None
        return "rerank" if said == "CrossEncoder" else "embed"
    first = documents.architecture or ""
    pooling = documents.weights.get(f"{first}.pooling_type")
    if isinstance(pooling, int) and pooling in _POOLING:
        return _POOLING[pooling]
    if first.endswith(_RERANK):
        return "rerank"
    return "embed" if first.endswith(_EMBED) else "generate"


def images(documents: Documents) -> bool:
    """Return whether prompts may hold images: config.json has a part for them, or a file is one."""
    if documents.has_projector:
        return True
    config = documents.config
    thinker = config.get("thinker_config")
    parts: tuple[Any, ...] = (config, thinker if isinstance(thinker, Mapping) else {})
    if any(isinstance(part.get("vision_config"), Mapping) for part in parts):
        return True
    # DeepSeek-V4 has one only if its tower has layers (vLLM, transformers_utils/configs).
    layers = config.get("vision_n_layers")
    return isinstance(layers, int) and not isinstance(layers, bool) and layers > 0


def _modules(documents: Documents) -> Iterator[str]:
    """Yield the kind of each module, in their order."""
    listed = documents.json.get("modules.json")
    for module in listed if isinstance(listed, list) else ():
        kind = module.get("type") if isinstance(module, Mapping) else None
        if isinstance(kind, str):
            yield kind
