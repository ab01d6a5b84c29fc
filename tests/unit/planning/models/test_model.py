"""A model of one's own: what is of its network stands in there, and nowhere else."""

from __future__ import annotations

import copy
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network
from tests.unit.planning.plan_examples import TINY, model

# Both have a repository on ModelScope, and they are not the same: a variant has one of its own.
SHARED = {"modelscope"}


def test_a_model_repeats_no_field_of_its_network() -> None:
    own, shape = ({field.name for field in fields(of)} for of in (Model, Network))
    assert own & shape == SHARED


@pytest.mark.parametrize(
    "flat",
    [{"layers": 2}, {"layers": 2, "hidden": 64, "context": 2048, "licence": "MIT"}],
    ids=["one of them", "all of them"],
)
def test_the_shape_beside_the_network_is_refused_with_the_form_to_write(
    flat: dict[str, Any],
) -> None:
    with pytest.raises(Refusal) as refusal:
        model(**flat)
    assert refusal.value.reason == f"Model tiny gives {', '.join(flat)} beside its network"
    for name in flat:
        assert f"{name}=..." in refusal.value.hint
    assert "network=Network(" in refusal.value.hint
    assert Network.__module__ in refusal.value.hint


def test_the_refusal_comes_where_there_is_no_network_at_all() -> None:
    with pytest.raises(Refusal, match="Model mine gives layers beside"):
        Model(**{"key": "mine", "layers": 2, "files": ("*.gguf",)})


def test_a_model_can_be_varied_and_copied() -> None:
    wider = replace(model(), network=replace(TINY, hidden=2))
    assert wider.network.hidden == 2
    assert pickle.loads(pickle.dumps(wider)) == copy.deepcopy(wider) == wider


@pytest.mark.parametrize(
    ("kind", "spelled", "name"),
    [
        ("safetensors", "gptq-Int4", "GPTQ"),
        ("safetensors", "fp8_dynamic", "FP8"),
        ("safetensors", "auto-round", "W4A16-AUTOROUND"),
        ("safetensors", "FP16", "F16"),
        ("gguf", " q4_k_m", "Q4_K_M"),
        ("gguf", "UD-IQ2_XXS", "UD-IQ2_XXS"),
    ],
)
def test_a_quantization_has_one_spelling(kind: str, spelled: str, name: str) -> None:
    """Sizing, rules and settings compare it, and none of them would see another one."""
    assert model(format=kind, quantization=spelled).quantization == name
