"""Boards with an Arm processor or one memory: what serves there, and what is refused with a way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.engines.software import Build
from deploys.planning.inputs.machine import Driver, Gpu, Machine, Node
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.plans.simulated import MACHINES

LOCKS = lock_files.read(Site().locks)
GGUF, SAFETENSORS = "deepseek-r1-distill-llama-70b-q4_k_m", "deepseek-r1-distill-qwen-7b"
BOARDS = {"GH200": ("10de:2342", 480, "90"), "GB10": ("10de:2e12", 119, "121")}


def board(pci_id: str, gibibytes: int, **fields: Any) -> Machine:
    """A bare machine with one such card."""
    memory = gibibytes << 30
    arm = {"architecture": "aarch64", "isa": "aarch64", "features": ("asimddp", "i8mm", "sve")}
    return replace(
        Machine.from_json(MACHINES["h200"]),
        **{
            "gpus": (Gpu(address="0009:01:00.0", pci_id=pci_id),),
            "driver": Driver(),
            "nvswitches": 0,
            "links": (),
            "memory": memory,
            "numa_nodes": 1,
            "nodes": (Node(index=0, cores=20, memory=memory),),
            **arm,
            **fields,
        },
    )


def served(machine: Machine, gpu: str | None, engine: Any, model: str) -> HostPlan:
    service = Service(name="it", engine=engine, model=model, port=8000)
    profile = HostProfile(gpu=gpu, gpus=1 if gpu else 0, services=(service,))
    return resolve(profile, Site(), machine, LOCKS)


@pytest.mark.parametrize("name", BOARDS)
def test_llama_cpp_is_compiled_for_what_the_processor_has(name: str) -> None:
    pci_id, memory, compute = BOARDS[name]
    plan = served(board(pci_id, memory), name, "llama.cpp", GGUF)
    assert plan.refusals == ()
    build = plan.software_of("llama.cpp")
    assert isinstance(build, Build)
    arm = "GGML_CPU_ARM_ARCH=armv8.2-a+dotprod+i8mm+sve"
    assert {arm, f"CMAKE_CUDA_ARCHITECTURES={compute}-real"} <= {*build.options}
    # What uv installs is left out: the one that comes from the operator's computer is for x86_64.
    assert [each.name for each in plan.software] == ["llama.cpp"]
    # One that says nothing more gets what every one of them can.
    old = served(board(pci_id, memory, features=()), name, "llama.cpp", GGUF)
    plain = old.software_of("llama.cpp")
    assert isinstance(plain, Build) and {*build.options} - {*plain.options} == {arm}


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(
    ("engine", "model"), [("vllm", SAFETENSORS), ("sglang", SAFETENSORS), ("ollama", GGUF)]
)
def test_what_is_not_locked_for_arm_is_refused_with_what_serves(
    name: str, engine: str, model: str
) -> None:
    pci_id, memory, _ = BOARDS[name]
    (refusal,) = served(board(pci_id, memory), name, engine, model).refusals
    assert "aarch64" in refusal.reason and "llama.cpp, which is compiled for" in refusal.hint


def test_a_ryzen_ai_max_serves_on_its_processor() -> None:
    x86 = {"architecture": "x86_64", "isa": "x86-64-v4", "features": ()}
    there = board("1002:1586", 120, **x86)
    refusals = served(there, "Ryzen AI MAX", "llama.cpp", GGUF).refusals
    assert any("profile without a GPU" in refusal.hint for refusal in refusals)
    plan = served(there, None, "llama.cpp", GGUF)
    assert plan.refusals == () and plan.services[0].placement.computes_on_host
