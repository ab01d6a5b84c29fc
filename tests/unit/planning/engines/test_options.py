"""Every rendered setting is one that the pinned version of its engine accepts."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from deploys.control import locks as lock_files
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import STACKS, stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.site import Site
from deploys.planning.options import record
from deploys.planning.options.record import accepted, nearest, replacements
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import render, templates
from tests.plans.simulated import MACHINES
from tests.plans.update import profile_of
from tests.unit.planning.engines.options import check, settings
from tests.unit.planning.engines.update_options import READERS
from tests.unit.rendering.render_examples import OTHER_ENGINES, PLANS

SETTINGS = "/etc/modelrack/"
# Planned from documents alone: nothing of theirs is rendered.
NOT_RECORDED = {("vllm", "0.23.0")}
RECORDED = sorted(
    {pin for stack in STACKS for pin in stack.engines.items() if pin not in NOT_RECORDED}
)
EVERY_RECORDED = pytest.mark.parametrize(("engine", "version"), RECORDED)


def class_plan(name: str) -> HostPlan:
    """What a machine of a host class is to become."""
    profile = profile_of(name)
    pins = lock_files.read(Site().locks)
    return resolve(profile, Site(), Machine.from_json(MACHINES[name]), pins)


def problems(made: HostPlan) -> list[str]:
    """Of all settings of all services of a plan."""
    found = []
    for planned in made.services:
        version = made.stack.engines[planned.engine]
        for file in render.service(made, planned)[0]:
            if file.path.startswith(SETTINGS):
                wanted = settings(file.path, file.content)
                assert wanted, file.path
                found += check(planned.engine, version, wanted)
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_every_host_class_is_rendered_with_options_that_exist(name: str) -> None:
    made = class_plan(name)
    if made.refusals:
        # Nothing is rendered for it; the golden plans say why.
        assert name != "cpu"
        return
    assert problems(made) == []


@pytest.mark.parametrize(
    "made", [*PLANS.values(), *OTHER_ENGINES.values()], ids=[*PLANS, *OTHER_ENGINES]
)
def test_the_examples_are_rendered_with_options_that_exist(made: HostPlan) -> None:
    assert problems(made) == []


def test_an_option_that_does_not_exist_is_found_in_a_rendered_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = templates.text
    monkeypatch.setattr(
        templates, "text", lambda name, /, **values: text(name, **values) + "LLAMA_ARG_NO_MMAP=1\n"
    )
    (problem,) = problems(PLANS["cpu"])
    assert problem.endswith("does not know LLAMA_ARG_NO_MMAP; use LLAMA_ARG_LOAD_MODE")


@pytest.mark.parametrize(
    ("engine", "wanted"),
    [
        ("vllm", {"model": "/data/m", "port": 8000, "max-model-len": 65536, "enforce-eager": True}),
        ("vllm", {"max_model_len": "auto", "dtype": "bfloat16", "lora-modules": ["a=/b", "c=/d"]}),
        ("vllm", {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}}),
        ("vllm", {"VLLM_API_KEY": "k", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "0,1"}),
        ("sglang", {"model-path": "/data/m", "tp-size": 8, "enable-metrics": True}),
        ("sglang", {"attention-backend": "flashinfer", "SGLANG_USE_MODELSCOPE": "0"}),
        ("ktransformers", {"model-path": "/data/m", "kt-method": "FP8", "kt-cpuinfer": 64}),
        ("llama.cpp", {"LLAMA_ARG_FIT": "on", "LLAMA_ARG_PORT": "8080", "MODELRACK_DIGEST": "0"}),
        ("llama.cpp", {"LLAMA_ARG_SPLIT_MODE": "layer"}),
        ("ollama", {"OLLAMA_HOST": "127.0.0.1:11434", "OLLAMA_KEEP_ALIVE": "-1"}),
    ],
)
def test_what_the_version_accepts_passes(engine: str, wanted: dict[str, Any]) -> None:
    assert check(engine, _version(engine), wanted) == []


@pytest.mark.parametrize(
    ("engine", "wanted", "said"),
    [
        ("vllm", {"swap-space": 4}, "does not know --swap-space; use --kv-offloading-size"),
        ("vllm", {"cert_reqs": 0}, "does not know --cert-reqs; use --ssl-cert-reqs"),
        ("vllm", {"disable-log-requests": True}, "--disable-log-requests; leave it out"),
        ("vllm", {"no-such-thing": 1}, "does not know --no-such-thing; leave it out"),
        ("vllm", {"VLLM_USE_V1": "1"}, "does not know VLLM_USE_V1; leave it out"),
        ("vllm", {"SOMETHING_ELSE": "1"}, "does not know SOMETHING_ELSE"),
        ("vllm", {"enforce-eager": "yes"}, "--enforce-eager takes no value, and got 'yes'"),
        ("vllm", {"max-model-len": True}, "--max-model-len wants a value, and got True"),
        ("vllm", {"dtype": "int3"}, "--dtype is one of auto, bfloat16, .*, and not int3"),
        ("sglang", {"enable-dp-attention": True}, "gave up --enable-dp-attention; use --attn-dp-"),
        ("sglang", {"enable-ep-moe": True}, "does not know --enable-ep-moe; use --ep-size"),
        ("sglang", {"attention-backend": "none"}, "--attention-backend is one of triton"),
        ("ktransformers", {"cpu_infer": 64}, "does not know --cpu-infer; use --kt-cpuinfer"),
        ("llama.cpp", {"LLAMA_ARG_DRAFT_MAX": "1"}, "gave up LLAMA_ARG_DRAFT_MAX; use --spec-dra"),
        ("llama.cpp", {"LLAMA_ARG_SPLIT_MODE": "diagonal"}, "is one of none, layer, row, tensor"),
        ("ollama", {"OLLAMA_MAX_VRAM": "1"}, "OLLAMA_MAX_VRAM; use OLLAMA_GPU_OVERHEAD"),
        ("ollama", {"LLAMA_ARG_CTX_SIZE": "1"}, "does not know LLAMA_ARG_CTX_SIZE"),
    ],
)
def test_what_it_does_not_accept_is_named(engine: str, wanted: dict[str, Any], said: str) -> None:
    (problem,) = check(engine, _version(engine), wanted)
    assert re.search(said, problem)
    assert problem.startswith(f"{engine} {_version(engine)}")


def test_settings_are_read_as_the_engines_read_them() -> None:
    assert settings("/a.yaml", "# said\nport: 8000\ntrust-remote-code: false\n") == {
        "port": 8000,
        "trust-remote-code": False,
    }
    assert settings("/a.env", "# said\n\nA=b=c\nD=\n") == {"A": "b=c", "D": ""}


@EVERY_RECORDED
def test_the_options_of_every_pinned_engine_are_recorded(engine: str, version: str) -> None:
    known = accepted(engine, version)
    _, least = READERS[engine]
    assert len(known) >= least


@EVERY_RECORDED
def test_what_was_removed_is_gone_and_its_replacement_is_there(engine: str, version: str) -> None:
    known = accepted(engine, version)
    assert not set(replacements(engine)) & set(known)
    assert {name for name in replacements(engine).values() if name} <= set(known)


def test_no_recorded_file_is_left_over() -> None:
    wanted = {f"{engine}-{nearest().get(engine, {}).get(v, v)}.json" for engine, v in RECORDED}
    assert {path.name for path in record.RECORDED.glob("*.json")} == wanted
    assert {(engine, v) for engine, found in nearest().items() for v in found} <= set(RECORDED)
    assert set(yaml.safe_load((record.RECORDED / "removed.yaml").read_text())) <= set(ENGINES)


def _version(engine: str) -> str:
    return stack_of(named("H200")).engines[engine]
