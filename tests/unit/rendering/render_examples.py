"""Plans whose files are rendered, and readers of these files."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.inputs.locks import ArtifactLock, Locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import CN, Site
from deploys.planning.plan import HostPlan
from deploys.rendering import render
from deploys.rendering.templates import Rendered
from tests.plans.simulated import MACHINES
from tests.plans.update import profile_of
from tests.unit import UNIT
from tests.unit.planning.plan_examples import MACHINE, locks, plan, profile, service

TEMPLATES = UNIT.parents[1] / "templates"
CN_SITE = Site(mirrors=CN)

KEYRING = ArtifactLock(version="1.1-1", origin="cuda", path="k.deb", sha256="d9" * 32)
KEYS = Locks(artifacts={f"cuda-keyring-{name}": KEYRING for name in ("ubuntu2204", "debian12")})
V100 = Machine.from_json(MACHINES["v100"])
WITH_KEYS = replace(locks(), artifacts={**locks().artifacts, **KEYS.artifacts})


def on(name: str, **fields: Any) -> HostPlan:
    """The plan of a host class, its service other where `fields` say so."""
    profile = profile_of(name)
    (served,) = profile.services
    wanted = replace(profile, services=(replace(served, **fields),))
    machine = Machine.from_json(MACHINES[name])
    return plan(wanted, machine=machine, pins=lock_files.read(Site().locks))


PLANS = {
    "cpu": plan(profile(service(name="deepseek-r1-7b"))),
    # Like inventories/group_data/sandbox.py: several requests, and one file made of shards.
    "merged": plan(profile(service(parallel=2, context=512, merge=True)), site=CN_SITE),
    "not pinned yet": plan(pins=replace(locks(), weights={})),
    "two services": plan(profile(service(), service(name="b", port=8081)), site=CN_SITE),
    "ubuntu": plan(machine=replace(MACHINE, os="ubuntu", os_version="24.04"), site=CN_SITE),
    "peers": plan(
        machine=replace(MACHINE, addresses=("10.8.0.5",)), site=Site(peers="10.8.0.0/24")
    ),
    "peers of six": plan(
        machine=replace(MACHINE, addresses=("fd00::5",)), site=Site(peers="fd00::/64")
    ),
    "nothing served": plan(profile(), site=Site(data_root="/srv/models")),
    # A dense model on all cards, and one that finds none left.
    "on cards": plan(
        profile(
            service(model="deepseek-r1-distill-qwen-14b-q4_k_m", pipeline_parallel=2),
            service(name="b", port=8081, model="deepseek-r1-distill-qwen-7b-q4_k_m"),
            **{"gpu": "V100", "gpus": 2},
        ),
        machine=V100,
        pins=WITH_KEYS,
    ),
    "experts beside cards": plan(
        profile(
            service(model="qwen3-235b-a22b-instruct-2507-q4_k_m", kv_cache="q8_0"),
            **{"gpu": "V100", "gpus": 2},
        ),
        machine=V100,
        pins=WITH_KEYS,
    ),
    "through Vulkan": plan(
        profile(
            service(model="deepseek-r1-distill-llama-70b-q4_k_m", pipeline_parallel=1),
            service(name="b", port=8081, model="deepseek-r1-distill-qwen-7b-q4_k_m"),
            **{"gpu": "Radeon PRO W7900", "gpus": 2},
        ),
        machine=Machine.from_json(MACHINES["w7900"]),
    ),
}
# Other engines from an archive, as it is pinned.
PINNED = replace(locks(), artifacts=lock_files.read(Site().locks).artifacts)
OTHER_ENGINES = {
    "ollama": plan(profile(service(engine="ollama", port=11434)), pins=PINNED),
}
DRIVER = plan(
    HostProfile(gpu="H800", gpus=8),
    machine=Machine.from_json({**MACHINES["h800"], "nouveau": True}),
    pins=KEYS,
)
# Python engines on the machines of host classes, with the settings that change something.
PYTHON_ENGINES = {
    "vllm on cards": on("l40s"),
    "vllm for latency": on("h200", engine="vllm", performance="latency"),
    "vllm for throughput": on("h800", performance="throughput", kv_cache="fp8"),
    "vllm without cards": on("cpu", engine="vllm", model="deepseek-r1-distill-qwen-7b"),
    "sglang on cards": on("h200"),
    "sglang for latency": on("h200", performance="latency"),
    "sglang for throughput": on(
        "rtx3090",
        engine="sglang",
        model="qwen3.6-27b-awq",
        performance="throughput",
        context=8192,
    ),
    "sglang, two copies": on("l40s", engine="sglang", kv_cache="fp8"),
    "ktransformers": on(
        "rtx6000ada",
        engine="ktransformers",
        model="qwen3-235b-a22b-instruct-2507-fp8",
        context=32_768,
        parallel=2,
    ),
}
EVERY_PLAN = pytest.mark.parametrize("made", PLANS.values(), ids=PLANS.keys())


def files(made: HostPlan) -> dict[str, Rendered]:
    rendered = list(render.base(made))
    for planned in made.services:
        rendered += render.service(made, planned)[0]
    if made.peer:
        rendered += render.peer(made, made.peer)
    return {file.path: file for file in rendered}


def driver_files(made: HostPlan) -> dict[str, str]:
    """What the driver's stage writes."""
    driver = made.driver
    assert driver is not None and driver.repository is not None
    rendered = [*render.repository(made, driver.repository), *render.driver(driver)]
    return {file.path: file.content for file in (*rendered, render.blacklist(driver))}


def settings(text: str) -> dict[str, str]:
    """KEY=VALUE or key = value lines, as systemd's environment files and sysctl have them."""
    plain = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [line.split("=", 1) for line in plain]
    return {key.strip(): value.strip() for key, value in pairs}


def unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Sections, and in each the values of every key in their order, as systemd collects them."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            section.setdefault(key, []).append(value)
    return sections


def analyze(*words: Any) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
