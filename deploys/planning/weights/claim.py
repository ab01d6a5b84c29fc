"""Whether a model is quantized as its entry says, by the documents of its repository."""

from __future__ import annotations

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.quantization import BY_TENSORS, PLAIN, declared, same
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.placement.division import group_of
from deploys.planning.weights.safetensors_files import INDEX

# What is read of a repository for it.
DOCUMENTS = (
    *("config.json", "quantize_config.json", "quant_config.json", "hf_quant_config.json"),
    *("quant_model_description.json", INDEX),
)


def check(model: Model, documents: Documents) -> None:
    """Raise Refusal if the entry would have another model planned than there is.

    A GGUF says what it is in its header, and engines take it from there.
    """
    if model.format != "safetensors" or not documents.config:
        return
    said = declared(documents.json)
    where = said.where or "config.json"
    # What the tensors tell better: the type of weights that are not quantized, and some mixtures.
    if said.name in BY_TENSORS or (not said.name and model.quantization in PLAIN):
        return
    if not same(model.quantization, said.name):
        found = said.name or "nothing of it"
        raise Refusal(
            f"its entry says {model.quantization}, and {where} says {found}",
            f"Set quantization={said.name or 'BF16'!r} of the model, or choose another repository",
        )
    planned, _ = group_of(model)
    if said.group is not None and planned % said.group:
        raise Refusal(
            f"{planned} of its weights share a scale by its entry, and {said.group} by {where}",
            f"Set scale_group={said.group} of the model",
        )
