"""What is found of a checkpoint is what it is, whatever its makers call it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.remote.formats.declared import declared
from deploys.remote.formats.quantization import quantization_of
from deploys.remote.formats.quantization_names import BY_TENSORS, NAMES, canonical, joined, same
from deploys.remote.lib.failure import Failure
from tests.unit.checkpoints import CASES, TENSORS, documents, tensors

# Their tensors have nothing that others have not, or are not known.
UNMARKED = {
    *("W4AFP8", "W4A16-AWQ", "W4A16-MARLIN-24", "MARLIN", "INTEL-AUTO-ROUND", "BITSANDBYTES"),
    *("TORCHAO", "MIXED-PRECISION", "MXFP4-QUARK", "EXL9"),
}
EACH = pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])


@EACH
def test_it_is_found_and_may_be_claimed(case: dict[str, Any]) -> None:
    found = quantization_of(documents(case), tensors(case["tensors"]))
    assert found == case["name"]
    for claim in case["claims"]:
        assert same(claim, found), claim
    for claim in case["refused"]:
        assert not same(claim, found), claim


@EACH
def test_tensors_of_another_kind_are_a_contradiction(case: dict[str, Any]) -> None:
    refused = []
    for kind in ("plain", "awq", "gptq", "fp8", "nvfp4"):
        try:
            quantization_of(documents(case), tensors(kind))
        except Failure as failure:
            refused.append(str(failure))
    by_tensors = case["name"] in UNMARKED or case.get("said") in BY_TENSORS
    assert len(refused) >= (0 if by_tensors else 3), case["name"]


def test_a_name_is_spelled_in_one_way() -> None:
    for name in NAMES:
        assert canonical(name) == canonical(name.lower().replace("-", "_")) == name
    for spelling, name in {
        "fp16": "F16",
        "GPTQ-Int4": "GPTQ",
        "FP8-dynamic": "FP8",
        "W8A8-INT8": "W8A8",
        "NVFP4A16": "NVFP4-W4A16",
        "int4-AutoRound": "W4A16-AUTOROUND",
        "exl9-6.0bpw": "EXL9-6.0BPW",
        "": "",
    }.items():
        assert canonical(spelling) == name
    assert joined(["FP8", "NVFP4", "FP8"]) == "NVFP4-FP8"
    assert joined(["W8A16", "W4A16"]) == "W4A16-W8A16"
    assert joined([]) == "MIXED-PRECISION"


_WORDS = (
    *("quant_method", "bits", "group_size", "weight_block_size", "format", "config_groups"),
    *("weights", "num_bits", "quant_algo", "quantization", "quantized_layers", "ignore", "dynamic"),
    *("desc_act", "extra_config", "global_quant_config", "version", "model_quant_type", "type"),
)
_VALUES = (
    *("awq", "gptq", "fp8", "compressed-tensors", "modelopt", "auto-round", "quark", "mxfp8"),
    *("NVFP4", "MIXED_PRECISION", "pack-quantized", "float-quantized", "float", "gemv", "marlin"),
)
_JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-2, 300)
    | some.text(max_size=3)
    | some.sampled_from(_VALUES),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(_WORDS), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, _JSON, some.sampled_from(sorted(TENSORS)))
def test_any_documents_give_a_name_or_a_failure(config: Any, other: Any, kind: str) -> None:
    found = {"config.json": {"quantization_config": config}, "hf_quant_config.json": other}
    said = declared(found)
    assert said.group is None or said.group >= 1
    try:
        assert quantization_of(found, tensors(kind))
    except Failure as failure:
        assert str(failure)
