"""LoRA adapters as hubs have them: their documents, and services that have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deploys.control import locks as lock_files
from deploys.planning.adapters.adapter import Adapter
from deploys.planning.adapters.read import adapter
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import reference
from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.choice import ALONE, Surroundings
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.model import Format, Model
from deploys.planning.models.shapes import Network
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.remote.formats import lora
from tests.plans.simulated import MACHINES
from tests.unit.planning.gateway import gateway_examples

PEFT, GGUF = "modelscope:o/legal", "modelscope:o/legal-gguf"
# Every setting that PEFT 0.19.1 writes. Source: an adapter of Qwen3-VL in the repository of
# LibreYOLO, tests of its artifacts.
CONFIG: dict[str, Any] = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "auto_mapping": None,
    "base_model_name_or_path": "Qwen/Qwen3-8B",
    "bias": "none",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": 32,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "lora_ga_config": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "peft_type": "LORA",
    "peft_version": "0.19.1",
    "qalora_group_size": 16,
    "r": 16,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "target_parameters": None,
    "task_type": "CAUSAL_LM",
    "trainable_token_indices": None,
    "use_bdlora": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}
# Of Qwen3-8B: what goes in, and what comes out.
WIDTHS = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.v_proj": (4096, 1024),
    "mlp.down_proj": (12288, 4096),
}
LAYERS = 36


def shapes(rank: int = 16, layers: int = LAYERS, **widths: tuple[int, int]) -> dict[str, list[int]]:
    """Tensors of a PEFT file; `widths` replace those of a matrix, by its last name."""
    found = {}
    for layer in range(layers):
        for name, usual in WIDTHS.items():
            inputs, outputs = widths.get(name.rpartition(".")[2], usual)
            place = f"base_model.model.model.layers.{layer}.{name}"
            found[f"{place}.lora_A.weight"] = [rank, inputs]
            found[f"{place}.lora_B.weight"] = [outputs, rank]
    return found


def peft(
    said: Mapping[str, Any] | None = None, name: str = PEFT, size: int = 60_000_000, **more: Any
) -> Published:
    """What is published of an adapter; `more` are further settings of its configuration.

    + said: what its tensors say
    """
    rank = more.get("r", 16)
    return Published(
        reference=name,
        revision="c" * 40,
        files={"adapter_config.json": 1000, "adapter_model.safetensors": size, "README.md": 10},
        documents=Documents(
            json={"adapter_config.json": CONFIG | more},
            adapter=lora.of_peft(shapes(rank)) if said is None else said,
        ),
    )


HEAD: dict[str, Any] = {
    "general.architecture": "qwen3",
    "general.type": "adapter",
    "general.base_model.0.name": "Qwen3 8B",
    "adapter.type": "lora",
    "adapter.lora.alpha": 32.0,
    "tensors.parameters": 1,
    "tensors.lora": lora.of_gguf(
        {
            f"blk.{layer}.{name}.weight.lora_{side}": shape
            for layer in range(LAYERS)
            for name, (inputs, outputs) in (("attn_q", (4096, 4096)), ("ffn_down", (12288, 4096)))
            for side, shape in (("a", (inputs, 16)), ("b", (16, outputs)))
        }
    ),
}


def gguf(name: str = GGUF, **more: Any) -> Published:
    """What is published of an adapter in GGUF; `more` are further keys of its header."""
    head = HEAD | {key.replace("__", "."): value for key, value in more.items()}
    return Published(
        reference=name,
        revision="d" * 40,
        files={"legal-f16.gguf": 30_000_000, "README.md": 10},
        documents=Documents(gguf={"legal-f16.gguf": head}),
    )


def read(found: Published) -> Adapter:
    return adapter(reference(found.reference), found)


QWEN3_8B = Network(
    name="Qwen3-8B",
    parameters=8_190_735_360,
    layers=LAYERS,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=151_936,
    intermediate=12_288,
    context=40_960,
    dialect="qwen3",
    licence="Apache-2.0",
)


def base(format: Format = "safetensors", **fields: Any) -> Model:
    """The model that these adapters are of."""
    return Model(
        **{
            "key": "qwen3-8b",
            "title": "Qwen3-8B",
            "network": QWEN3_8B,
            "format": format,
            "quantization": "Q4_K_M" if format == "gguf" else "BF16",
            "modelscope": "Qwen/Qwen3-8B",
            "files": ("*",),
            "size": 5_000_000_000 if format == "gguf" else 16_400_000_000,
            "source": "its config.json",
            **fields,
        }
    )


def pinned(*found: Published) -> Locks:
    """The pins of these adapters' documents, of engines, and nothing of weights."""
    published = {reference(each.reference).key: each for each in found}
    return replace(lock_files.read(Site().locks), weights={}, published=published)


def served(
    engine: str,
    *,
    found: tuple[Published, ...] = (),
    gpu: str | None = "L40S",
    gateway: Gateway | None = None,
    around: Surroundings = ALONE,
    **fields: Any,
) -> HostPlan:
    """The plan of a machine that serves the model with these adapters, whatever speaks against it.

    + found: what is published; by itself one in the engine's format
    + gateway, around: of the machine, and what is beside it
    """
    if gateway and around is ALONE:
        around = gateway_examples.around()
    record = ENGINES[engine]
    format_ = record.reads.formats[0]
    found = found or ((peft() if format_ == "safetensors" else gguf()),)
    named = {f"legal-{at}" if at else "legal": each.reference for at, each in enumerate(found)}
    wanted = Service(
        **{
            "name": "it",
            "engine": engine,
            "model": base(format_),
            "port": 8000,
            "adapters": named,
            **fields,
        }
    )
    profile = HostProfile(services=(wanted,), gpu=gpu, gpus=8 if gpu else 0, gateway=gateway)
    machine = Machine.from_json(MACHINES["l40s" if gpu else "cpu"])
    if gateway:
        # Its HAProxy is new enough.
        machine = replace(machine, os_version="24.04")
    return resolve(profile, Site(), machine, pinned(*found), (), around)
