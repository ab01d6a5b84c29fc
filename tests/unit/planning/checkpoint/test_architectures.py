"""Networks out of real config.json files, against what their publishers say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.checkpoint.architectures import network
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models import parsers
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.models.parameters import layer_parameters, parameter_count
from deploys.planning.models.shapes import Network
from tests.unit import UNIT
from tests.unit.planning.checkpoint.checkpoints import CONFIGS, PUBLISHED, config, documents

RECIPES = yaml.safe_load((UNIT / "data" / "vllm_parsers.yaml").read_text())["recipes"]
INDEX = "model.safetensors.index.json"
# Where a recipe of vLLM says something else, why.
DIFFERS = {
    "google/gemma-4-31B-it": "its own template tells of tools, too",
}


def of(name: str, **changes: Any) -> Network:
    """The network of a config.json, some of whose settings are changed; None takes one out."""
    said = config(name) | changes
    kept = {key: value for key, value in said.items() if value is not None}
    return network(Documents(json={"config.json": kept}), name)


def weights(made: Network) -> Model:
    return Model(
        key="it",
        title="it",
        network=made,
        format="safetensors",
        quantization="BF16",
        files=("*",),
        size=made.parameters * 2,
        source="",
    )


def drafting(made: Network) -> int:
    layers = range(made.layers, made.layers + made.mtp_layers)
    return sum(layer_parameters(made, layer) for layer in layers)


def test_there_are_enough_of_them_and_each_is_in_the_table() -> None:
    there = {path.stem for path in CONFIGS.glob("*.json")}
    unknown = {"nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"}
    assert there - unknown == set(PUBLISHED) and len(PUBLISHED) >= 40
    assert all(config(name)["_source"] for name in there)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_what_its_publisher_says(name: str) -> None:
    said, made = PUBLISHED[name], network(documents(name), name)
    # Some count the layers that predict further tokens, some do not.
    counts = (made.parameters, made.parameters + drafting(made))
    assert any(abs(one / said["billions"] / 1e9 - 1) <= 0.02 for one in counts), counts
    assert cache_bytes(weights(made)) == said["token"]
    assert made.context == said["context"]
    assert made.task == said.get("task", "generate")
    assert made.images == said.get("images", False)
    assert made.licence == "unknown"


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_parts_are_all_of_it(name: str) -> None:
    made = network(documents(name), name)
    split = parts(weights(made), made.parameters * 2)
    assert split.total == pytest.approx(made.parameters * 2, rel=0.001)
    assert min(split.layers) > 0 and min(split.attention) > 0


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "template" in PUBLISHED[name]])
def test_its_parsers_are_those_of_vllms_recipe(name: str) -> None:
    dialect = network(documents(name), name).dialect
    assert dialect is not None
    repository = name.replace("--", "/")
    said, ours = RECIPES.get(repository, {}), parsers.vllm(dialect)
    for kind in ("reasoning", "tools"):
        if kind in said:
            assert getattr(ours, kind) == said[kind]
    if said and repository not in DIFFERS:
        assert (ours.template is not None) == ("template" in said)


def test_enough_recipes_are_compared() -> None:
    known = {name for name in PUBLISHED if RECIPES.get(name.replace("--", "/"))}
    assert len([name for name in known if "template" in PUBLISHED[name]]) >= 15


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_the_catalogue_says_the_same(entry: Model) -> None:
    repository = (entry.network.repository or "").replace("/", "--")
    if repository not in PUBLISHED:
        return
    made = network(documents(repository), repository)
    own = replace(entry.network, parameters=made.parameters)
    for name in ("layers", "hidden", "heads", "kv_heads", "experts", "context", "vocabulary"):
        assert getattr(own, name) == getattr(made, name), name
    assert cache_bytes(replace(entry, network=own, legacy_cache=False)) == cache_bytes(
        replace(entry, network=made, legacy_cache=False)
    )
    if made.dialect is not None:
        assert own.dialect == made.dialect


def test_layers_are_placed_as_they_are_listed() -> None:
    assert of("google--gemma-4-31B-it").full_attention_interval == 6
    made = of("XiaomiMiMo--MiMo-V2-Flash")
    assert made.full_attention_layers == (0, 5, 11, 17, 23, 29, 35, 41, 47)
    assert (made.kv_heads, made.window_kv_heads, made.head_dim, made.v_head_dim) == (4, 8, 192, 128)
    assert of("meta-llama--Llama-4-Maverick-17B-128E-Instruct").experts_interval == 2
    assert of("zai-org--GLM-5.2").index_layers is not None
    assert of("zai-org--GLM-5").index_layers is None


def test_an_index_tells_the_parameters_of_what_is_not_quantized() -> None:
    plain = config("Qwen--Qwen3-32B")
    index = {"metadata": {"total_size": 65_524_246_528}, "layers": 64, "mtp": False}
    made = network(Documents(json={"config.json": plain, INDEX: index}), "it")
    assert made.parameters == 65_524_246_528 // 2
    counted = {"metadata": {"total_size": 1, "total_parameters": 32_762_123_264}}
    made = network(Documents(json={"config.json": plain, INDEX: counted}), "it")
    assert made.parameters == 32_762_123_264
    # Bytes of quantized ones tell nothing.
    packed = plain | {"quantization_config": {"quant_method": "fp8"}}
    made = network(Documents(json={"config.json": packed, INDEX: index}), "it")
    assert made.parameters == parameter_count(made)


def test_an_embedding_that_is_there_twice_is_one() -> None:
    # As Qwen3-1.7B is published: its head is its embedding, and both are among the files.
    small = config("Qwen--Qwen3-Embedding-0.6B") | {"tie_word_embeddings": True}
    once = parameter_count(network(Documents(json={"config.json": small}), "it"))
    twice = once + 151_669 * 1024
    for parameters in (once, twice):
        index = {"metadata": {"total_size": 2 * parameters}}
        made = network(Documents(json={"config.json": small, INDEX: index}), "it")
        assert made.parameters == once


def test_weights_may_be_wider_than_their_configuration_says() -> None:
    plain = config("Qwen--Qwen3-32B") | {"torch_dtype": "float32"}
    index = {"metadata": {"total_size": 65_524_246_528}}
    made = network(Documents(json={"config.json": plain, INDEX: index}), "it")
    assert made.parameters == 65_524_246_528 // 2


def test_an_index_in_a_folder_is_of_something_else() -> None:
    plain = config("Qwen--Qwen3-32B")
    files = {
        "config.json": plain,
        f"original/{INDEX}": {"metadata": {"total_size": 7}},
        INDEX: {"metadata": {"total_size": 65_524_246_528}},
    }
    assert network(Documents(json=files), "it").parameters == 65_524_246_528 // 2


def test_an_index_that_is_of_another_network_is_refused() -> None:
    index = {"metadata": {"total_size": 30_000_000_000}}
    files = {"config.json": config("Qwen--Qwen3-32B"), INDEX: index}
    with pytest.raises(Refusal, match=r"15,000,000,000 parameters.* multiplies out to 32,"):
        network(Documents(json=files), "it")


def test_layers_that_predict_tokens_count_only_where_they_are_published() -> None:
    name = "deepseek-ai--DeepSeek-V3.1"
    assert network(documents(name), name).mtp_layers == 1
    left_out = {"metadata": {}, "layers": 61, "mtp": False}
    assert network(documents(name, **{INDEX: left_out}), name).mtp_layers == 0
    there = {"metadata": {}, "layers": 62, "mtp": False}
    assert network(documents(name, **{INDEX: there}), name).mtp_layers == 1


@pytest.mark.parametrize(
    ("name", "changes", "unknown"),
    [
        ("Qwen--Qwen3-32B", {"architectures": ["Qwen9ForCausalLM"]}, "'Qwen9ForCausalLM' is unkn"),
        ("Qwen--Qwen3-32B", {"architectures": None, "model_type": None}, "names no architecture"),
        ("Qwen--Qwen3-32B", {"num_hidden_layers": None}, "has no num_hidden_layers, so its layers"),
        ("Qwen--Qwen3-32B", {"num_hidden_layers": 64.5}, "says num_hidden_layers is 64.5"),
        ("Qwen--Qwen3-32B", {"hidden_size": -1}, "says hidden_size is -1, so its hidden cannot"),
        ("Qwen--Qwen3-32B", {"head_dim": None, "num_attention_heads": 63}, "63 heads do not divi"),
        ("Qwen--Qwen3-32B", {"num_key_value_heads": 7}, "64 heads, and 7 of keys and values"),
        ("Qwen--Qwen3-32B", {"layer_types": ["mamba"] * 64}, "layers with 'mamba' attention"),
        ("Qwen--Qwen3-32B", {"layer_types": ["full_attention"]}, "has 1 layer_types of 64"),
        ("Qwen--Qwen3-30B-A3B-Instruct-2507", {"num_experts_per_tok": 200}, "uses 200 of 128 exp"),
        ("Qwen--Qwen3-30B-A3B-Instruct-2507", {"moe_intermediate_size": None}, "has no moe_inter"),
        ("deepseek-ai--DeepSeek-V3.1", {"kv_lora_rank": None}, "has no kv_lora_rank"),
        ("deepseek-ai--DeepSeek-V3.1", {"index_head_dim": 128}, "has an indexer beside MLA"),
        ("deepseek-ai--DeepSeek-V4-Pro", {"compress_ratios": [3] * 61}, "no compress_ratios of"),
        ("zai-org--GLM-5.2", {"indexer_types": ["full"]}, "indexer_types that are not one of"),
    ],
)
def test_what_is_unknown_is_refused_with_the_field_to_set(
    name: str, changes: dict[str, Any], unknown: str
) -> None:
    with pytest.raises(Refusal) as caught:
        of(name, **changes)
    assert unknown in caught.value.reason and caught.value.reason.startswith(name)
    assert "network=Network(" in caught.value.hint


def test_an_attention_of_another_kind_is_refused_and_not_taken_for_one_that_is_known() -> None:
    with pytest.raises(Refusal, match="'NemotronHForCausalLM' is unknown"):
        of("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")


def test_without_a_configuration_nothing_is_known() -> None:
    with pytest.raises(Refusal, match=r"There is no config\.json"):
        network(Documents(), "it")


def test_a_licence_is_as_the_documents_say() -> None:
    files = {"config.json": json.loads(json.dumps(config("Qwen--Qwen3-32B")))}
    assert network(Documents(json=files, licence="apache-2.0"), "it").licence == "apache-2.0"
