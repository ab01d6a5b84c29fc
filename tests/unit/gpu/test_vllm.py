"""The bench of vLLM on real GPUs gives it what machines get, and reads what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.gpu import vllm_speed
from tests.gpu.networks import NETWORKS
from tests.unit.planning.engines import options
from tests.unit.planning.engines.update_options import VERSIONS
from tests.unit.planning.test_real_machine import H200

EVERY_NETWORK = pytest.mark.parametrize("name", NETWORKS)
# As vLLM prints them on a card and on a CPU, which has other lines.
LOG = """
INFO 11-25 12:01:07 [gpu_model_runner.py:4566] Model loading took 18.51 GiB memory and 9.1 seconds
INFO 11-25 12:02:31 [gpu_worker.py:423] Available KV cache memory: 105.8 GiB
INFO 11-25 12:02:31 [kv_cache_utils.py:1307] GPU KV cache size: 433,328 tokens
"""


@EVERY_NETWORK
def test_a_network_is_the_one_that_is_planned(name: str) -> None:
    network, config = NETWORKS[name].model.network, NETWORKS[name].config
    assert (config["num_hidden_layers"], config["hidden_size"]) == (network.layers, network.hidden)
    assert (config["num_attention_heads"], config["vocab_size"]) == (
        network.heads,
        network.vocabulary,
    )
    assert config.get("kv_lora_rank") == network.kv_lora_rank
    assert config.get("n_routed_experts", 0) == network.experts
    assert config["intermediate_size"] == network.intermediate


@EVERY_NETWORK
def test_the_pinned_version_takes_the_settings_of_every_way(name: str) -> None:
    found = vllm_speed.ways(NETWORKS[name], H200, "H200")
    assert list(found) == ["how-to", "balanced", "latency", "throughput", "fp8-cache"]
    for way in found.values():
        assert options.check("vllm", VERSIONS["vllm"], {**way.settings, **way.environment}) == []
    assert found["balanced"].kv_tokens
    assert found["how-to"].settings["enforce-eager"]
    assert "performance-mode" not in found["balanced"].settings
    assert found["latency"].settings["performance-mode"] == "interactivity"
    assert found["fp8-cache"].settings["kv-cache-dtype"] == "fp8"
    seats = [found[who].settings["max-num-seqs"] for who in ("latency", "throughput")]
    assert seats[0] < seats[1]


def test_every_way_sees_the_one_card_that_is_measured() -> None:
    second = replace(H200, gpus=tuple(replace(gpu, index=1) for gpu in H200.gpus))
    found = vllm_speed.ways(NETWORKS["qwen2.5-32b-awq"], second, "H200")
    assert {way.environment["CUDA_VISIBLE_DEVICES"] for way in found.values()} == {"1"}


def test_what_does_not_fit_is_not_measured() -> None:
    small = replace(H200, gpus=tuple(replace(gpu, memory=20 << 30) for gpu in H200.gpus))
    with pytest.raises(ValueError, match=r"deepseek-r1-20-layers-awq|bench"):
        vllm_speed.ways(NETWORKS["deepseek-r1-20-layers-awq"], small, "H200")


def test_words_are_numbers(tmp_path: Path) -> None:
    config = {"vocab_size": 300}
    replace(NETWORKS["qwen2.5-32b-awq"], config=config).write(tmp_path / "model")
    assert json.loads((tmp_path / "model/config.json").read_text()) == config
    tokenizer = Tokenizer.from_file(str(tmp_path / "model/tokenizer.json"))
    assert tokenizer.encode("<5> <299>").ids == [5, 299]
    assert tokenizer.get_vocab_size() == 300


def test_what_vllm_says_of_memory() -> None:
    assert vllm_speed.reported(LOG) == {
        "kv_tokens": 433_328,
        "kv_gib": 105.8,
        "weights_gib": 18.51,
    }
    other = vllm_speed.reported("INFO [cpu_worker.py:1] CPU KV cache size: 32,768 tokens")
    assert other == {"kv_tokens": 32_768, "kv_gib": None, "weights_gib": None}
    assert vllm_speed.reported("")["kv_tokens"] is None
