"""The bench for real GPUs writes whole, finite models, and reads what llama-server logs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from deploys.planning.models.catalogue import CATALOGUE
from tests.gpu import measure, synthetic
from tests.gpu.measure import Case
from tests.gpu.shapes import SHAPES, Shape
from tests.unit import UNIT

LOG = UNIT / "data" / "llama_server_two_cards.log"
SMALL = {"layers": 2, "vocabulary": 300, "hidden": 256, "heads": 2, "feed_forward": 512}
MOE = {"layers": 4, "experts": 4, "expert_feed_forward": 256, "q_lora_rank": 256}


def small(name: str) -> Shape:
    """The same network with few of everything."""
    shape = SHAPES[name]
    fewer = {**SMALL, **(MOE if shape.experts else {})}
    return replace(shape, kv_heads=min(shape.kv_heads, 2), **fewer)


@pytest.mark.parametrize("name", SHAPES)
def test_a_synthetic_model_is_whole_and_finite(name: str, tmp_path: Path) -> None:
    shape, path = small(name), tmp_path / "model.gguf"
    assert synthetic.write(shape, path) == path.stat().st_size
    reader = GGUFReader(path)
    weights = {weight.name: weight for weight in shape.weights()}
    assert [tensor.name for tensor in reader.tensors] == list(weights)
    for tensor in reader.tensors:
        weight = weights[tensor.name]
        assert (tuple(tensor.shape), tensor.tensor_type.name) == (weight.shape, weight.type)
        assert tensor.n_bytes == weight.size
        values = dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(values).all()
        assert 0 < np.abs(values).max() < 2
    architecture = reader.fields["general.architecture"].contents()
    assert reader.fields[f"{architecture}.block_count"].contents() == shape.layers
    assert len(reader.fields["tokenizer.ggml.tokens"].data) == shape.vocabulary


def test_a_large_tensor_repeats_its_block_without_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "BLOCK", 1 << 18)
    shape = replace(small("qwen2.5-32b-q4_k_m"), vocabulary=5_000)
    path = tmp_path / "model.gguf"
    synthetic.write(shape, path)
    embedding = next(t for t in GGUFReader(path).tensors if t.name == "token_embd.weight")
    data = embedding.data.tobytes()
    period = synthetic.BLOCK // 144 * 144
    assert len(data) > 2 * period
    assert data[period : 2 * period] == data[:period]
    assert data[2 * period :] == data[: len(data) - 2 * period]


@pytest.mark.parametrize(
    ("shape", "key"),
    [
        (SHAPES["qwen2.5-7b-f16"], "deepseek-r1-distill-qwen-7b"),
        (SHAPES["qwen2.5-32b-q4_k_m"], "deepseek-r1-distill-qwen-32b-q4_k_m"),
        (SHAPES["llama-70b-q4_k_m"], "deepseek-r1-distill-llama-70b-q4_k_m"),
        (replace(SHAPES["deepseek-r1-16-layers-q4_k_m"], layers=61), "deepseek-r1-q4_k_m"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_synthetic_model_is_as_large_as_the_real_one(shape: Shape, key: str) -> None:
    size = sum(weight.size for weight in shape.weights())
    assert size == pytest.approx(CATALOGUE[key].size, rel=0.01)


def test_what_the_server_logs_is_read() -> None:
    found = measure.reported(LOG.read_text())
    assert found["buffers_mib"] == {
        "model": {"CPU_Mapped": 497.11, "CUDA0": 40005.73, "CUDA1": 47744.84},
        "kv": {"CUDA0": 1296.0, "CUDA1": 1008.0},
        "compute": {"CUDA0": 578.02, "CUDA1": 553.07, "CUDA_Host": 198.03},
        "output": {"CUDA_Host": 1.97},
    }
    assert (found["cells"], found["cached_layers"]) == (131_072, 16)
    assert found["settings"]["n_ctx_seq"] == "32768"
    assert found["settings"]["flash_attn"] == "enabled"
    assert list(found["at_exit_mib"]) == ["CUDA0", "CUDA1"]
    assert found["at_exit_mib"]["CUDA1"]["self"] == 49305
    assert found["at_exit_mib"]["CUDA1"]["unaccounted"] == 732


def test_a_server_is_started_as_the_case_says() -> None:
    case = Case(model="m", context=8192, parallel=4, gpu_layers=3, cpu_experts=5, kv_cache="q8_0")
    command = measure.command(Path("/b/llama-server"), Path("/m.gguf"), case)
    options = dict(pairwise(command))
    assert options["--ctx-size"] == "32768"
    assert options["--parallel"] == "4"
    assert options["--gpu-layers"] == "3"
    assert options["--n-cpu-moe"] == "5"
    assert options["--cache-type-v"] == "q8_0"
    assert options["--fit"] == "off"
