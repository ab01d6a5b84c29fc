"""What vLLM, SGLang and KTransformers are told: the plan's figures, in the engines' own words."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploys.control import locks as lock_files
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.site import Site
from deploys.planning.placement.sharded_memory import SPLITS_OF_PARTS
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering import render, templates
from tests.gpu.networks import NETWORKS
from tests.gpu.planned import planned
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import plan
from tests.unit.rendering.render_examples import PYTHON_ENGINES, files, on, settings, unit

EVERY_PLAN = pytest.mark.parametrize("made", PYTHON_ENGINES.values(), ids=PYTHON_ENGINES.keys())
# By what each engine calls them.
NAMES = {
    "vllm": ("model", "max-model-len", "max-num-seqs"),
    "sglang": ("model-path", "context-length", "max-running-requests"),
    "ktransformers": ("model-path", "context-length", "max-running-requests"),
}


def told(made: HostPlan) -> dict[str, Any]:
    """The YAML of the plan's only service."""
    (service,) = made.services
    text = files(made)[f"/etc/modelrack/services/{service.name}.yaml"].content
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def with_services(made: HostPlan, *services: Service) -> HostPlan:
    machine = Machine.from_json(MACHINES["h800"])
    wanted = replace(made.profile, services=services)
    return plan(wanted, machine=machine, pins=lock_files.read(Site().locks))


def environment(made: HostPlan) -> dict[str, str]:
    (service,) = made.services
    return settings(files(made)[f"/etc/modelrack/services/{service.name}.env"].content)


def served(made: HostPlan) -> ServicePlan:
    (service,) = made.services
    return service


@EVERY_PLAN
def test_the_figures_are_the_plans(made: HostPlan) -> None:
    service, found = served(made), told(made)
    placement = service.placement
    model, context, parallel = (found[name] for name in NAMES[service.engine])
    assert (model, context) == (service.weights.directory, service.context)
    # Each copy has its own queue.
    assert 0 <= parallel * placement.replicas - service.parallel < placement.replicas
    assert found["host"] == "127.0.0.1" and found["port"] == service.port
    assert found["served-model-name"] in (service.name, [service.name])
    cut = [
        found.get(f"{way}-parallel-size", 1)
        for way in (
            *("tensor", "pipeline"),
            "data",
        )
    ]
    if service.engine == "ktransformers":
        assert cut == [1, 1, 1] and len(placement.cards) == 1
    else:
        assert cut == [placement.tensor_parallel, placement.pipeline_parallel, placement.replicas]
    share = found.get("gpu-memory-utilization", found.get("mem-fraction-static"))
    assert share == placement.gpu_memory_utilization or service.engine == "ktransformers"
    assert ("kv-cache-dtype" in found) == (placement.kv_cache != "auto")


@EVERY_PLAN
def test_what_slows_an_engine_down_or_is_found_out_by_itself_is_not_said(made: HostPlan) -> None:
    said = {"enforce-eager", "dtype", "quantization", "enable-prefix-caching", "trust-remote-code"}
    assert not said & set(told(made))


@EVERY_PLAN
def test_nothing_is_fetched_or_reported_and_workers_meet_on_loopback(made: HostPlan) -> None:
    found = environment(made)
    assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == "1"
    assert found["GLOO_SOCKET_IFNAME"] == found["NCCL_SOCKET_IFNAME"] == "lo"
    assert "127.0.0.1" in (found.get("VLLM_HOST_IP"), found.get("SGLANG_HOST_IP"))
    assert found["MODELRACK_WEIGHTS"] == served(made).weights.directory
    if served(made).engine == "vllm":
        assert found["VLLM_NO_USAGE_STATS"] == found["VLLM_DO_NOT_TRACK"] == "1"
        assert int(found["VLLM_ENGINE_READY_TIMEOUT_S"]) == served(made).patience >= 1800


@EVERY_PLAN
def test_what_was_compiled_is_there_for_the_next_start(made: HostPlan) -> None:
    """Who keeps kernels below /tmp unless told otherwise (CuTe DSL, quack) is told otherwise."""
    engine = served(made).engine
    run = unit(files(made)[f"/etc/systemd/system/{engine}@.service"].content)["Service"]
    (folder,) = run["CacheDirectory"]
    assert folder == "modelrack/services/%i"
    pairs = [pair for line in run["Environment"] for pair in line.split()]
    told_of = dict(pair.split("=", 1) for pair in pairs)
    caches = (
        "TRITON_CACHE_DIR",
        "TORCHINDUCTOR_CACHE_DIR",
        "CUTE_DSL_CACHE_DIR",
        "QUACK_CACHE_DIR",
    )
    below = {told_of[name].removeprefix(f"%C/{folder}/") for name in caches}
    # Each of them has its own; other programs keep theirs in the home.
    assert len(below) == len(caches) and not any(name.startswith("%") for name in below)
    assert told_of["HOME"] == told_of["XDG_CACHE_HOME"] == f"%C/{folder}"


@EVERY_PLAN
def test_copies_get_their_cards_in_the_order_of_the_plan(made: HostPlan) -> None:
    found, groups = environment(made), served(made).placement.groups
    cards = [str(index) for group in groups for index in group]
    assert found.get("CUDA_VISIBLE_DEVICES") == (",".join(cards) if cards else None)
    assert found.get("CUDA_DEVICE_ORDER") == ("PCI_BUS_ID" if cards else None)
    assert found.get("VLLM_TARGET_DEVICE") == (None if cards else "cpu")
    # Seen with 0.32: without cards it fails to load what it has compiled ahead.
    assert found.get("VLLM_USE_AOT_COMPILE") == (None if cards else "0")


def test_without_cards_vllm_is_told_how_large_the_cache_is() -> None:
    made = PYTHON_ENGINES["vllm without cards"]
    placement = served(made).placement
    assert told(made)["kv-cache-memory-bytes"] == placement.ledger.host["KV cache"]
    assert "gpu-memory-utilization" not in told(made)
    assert placement.ledger.kv_tokens >= placement.context
    command = unit(files(made)["/etc/systemd/system/vllm@.service"].content)["Service"]["ExecStart"]
    assert "python -m vllm.entrypoints.openai.api_server --config" in command[0]


def test_without_cards_a_long_prompt_lets_the_others_have_their_turns() -> None:
    def step(**fields: Any) -> int | None:
        model = {"engine": "vllm", "model": "deepseek-r1-distill-qwen-1.5b", "context": 512}
        tokens: int | None = told(on("cpu", **model, **fields)).get("max-num-batched-tokens")
        return tokens

    assert step(parallel=4) == 256
    assert step(parallel=4, performance="throughput") is None
    assert step(parallel=1) is None
    # A step that has no room for each of the requests is refused by vLLM.
    assert step(parallel=300) == 300
    assert "max-num-batched-tokens" not in told(PYTHON_ENGINES["vllm on cards"])


def test_on_an_h20_deep_gemm_is_left_out() -> None:
    assert environment(on("h20"))["VLLM_USE_DEEP_GEMM"] == "0"
    assert "VLLM_USE_DEEP_GEMM" not in environment(on("h800"))


def test_performance_changes_what_it_should_and_nothing_else() -> None:
    plain = told(on("h200", engine="vllm", parallel=8))
    quick = told(on("h200", engine="vllm", parallel=8, performance="latency"))
    assert quick.pop("performance-mode") == "interactivity"
    assert quick.pop("speculative-config") == {"method": "mtp", "num_speculative_tokens": 1}
    assert plain.pop("decode-context-parallel-size") == plain["tensor-parallel-size"] == 8
    splits = plain.pop("attention-config")["flash_attn_max_num_splits_for_cuda_graph"]
    assert splits == SPLITS_OF_PARTS
    assert quick == plain
    many = told(on("h200", engine="vllm", parallel=8, performance="throughput"))
    assert many.pop("performance-mode") == "throughput"
    assert many.pop("data-parallel-size") == plain.pop("tensor-parallel-size")
    assert many.pop("enable-expert-parallel") is True
    # Each admits its part of the requests, and takes its part of a step.
    assert (many.pop("max-num-seqs"), plain.pop("max-num-seqs")) == (1, 8)
    assert many.pop("max-num-batched-tokens") == 2048
    assert many == plain
    plain = told(on("h200"))
    quick = told(on("h200", performance="latency"))
    drafts = {key: quick.pop(key) for key in tuple(quick) if key.startswith("speculative-")}
    assert drafts.pop("speculative-algorithm") == "EAGLE" and len(drafts) == 3
    assert plain["attn-dp-size"] == plain["tensor-parallel-size"] == 8
    assert plain["cuda-graph-max-bs-decode"] * 8 == plain["max-running-requests"]
    several = ("attn-dp-size", "cuda-graph-max-bs-decode", "max-running-requests")
    assert quick == {
        **{name: value for name, value in plain.items() if name not in several[:2]},
        "max-running-requests": 16,
        "mem-fraction-static": quick["mem-fraction-static"],
    }
    many = told(on("h200", performance="throughput"))
    assert many.pop("schedule-conservativeness") == 0.3
    assert many["attn-dp-size"] == 8
    assert many["max-running-requests"] > plain["max-running-requests"]


def test_few_requests_get_the_kernels_that_wait_less() -> None:
    packed = {"model": "deepseek-r1-distill-qwen-32b-awq", "context": 4096, "parallel": None}
    assert told(on("h800", performance="latency", **packed))["linear-backend"] == "marlin"
    assert "linear-backend" not in told(on("h800", **packed))
    assert "linear-backend" not in told(on("rtx4090", performance="latency", **packed))


def test_experts_get_the_kernels_that_load() -> None:
    """On one card those that vLLM prefers do not; where there is room they stay."""
    shorter = NETWORKS["deepseek-r1-20-layers-awq"].model
    h200 = Machine.from_json(MACHINES["h200"])
    alone = replace(h200, gpus=h200.gpus[:1], links=())
    service = Service(name="it", engine="vllm", model=shorter, port=8000)
    _, text = planned(service, alone, "H200")
    assert yaml.safe_load(text[".yaml"])["moe-backend"] == "marlin"
    _, text = planned(service, h200, "H200")
    assert "moe-backend" not in yaml.safe_load(text[".yaml"])
    packed = {"model": "deepseek-r1-awq", "context": 4096, "parallel": None}
    assert "moe-backend" not in told(on("h800", **packed))


def test_nothing_drafts_where_the_files_have_no_layer_for_it() -> None:
    made = on("h800", performance="latency")
    assert "speculative-config" not in told(made)
    assert not served(made).placement.mtp


def test_a_layer_that_drafts_takes_room_from_the_cache() -> None:
    engine = {"engine": "vllm", "parallel": 8}
    plain, quick = on("h20", **engine), on("h20", performance="latency", **engine)
    ledger, drafting = served(plain).placement.ledger, served(quick).placement.ledger
    assert drafting.cards[0].lines["weights"] > ledger.cards[0].lines["weights"]
    assert drafting.kv_tokens < ledger.kv_tokens


def test_how_many_are_admitted_follows_what_is_asked_for() -> None:
    small = {"model": "deepseek-r1-distill-qwen-7b", "context": 100_000, "parallel": None}
    admitted = [
        served(on("h800", performance=performance, **small)).parallel
        for performance in ("latency", "balanced", "throughput")
    ]
    assert admitted == [32, 512, 1024]


def test_thoughts_and_calls_of_tools_are_told_apart_where_the_model_is_known() -> None:
    assert told(on("h800"))["reasoning-parser"] == "deepseek_r1"
    assert told(on("h200"))["reasoning-parser"] == "deepseek-r1"
    made = told(PYTHON_ENGINES["sglang for throughput"])
    assert (made["reasoning-parser"], made["tool-call-parser"]) == ("qwen3", "qwen3_coder")
    made = told(on("rtx4090", model="qwen3-32b-awq"))
    assert made["tool-call-parser"] == "hermes" and made["enable-auto-tool-choice"] is True
    assert "enable-auto-tool-choice" not in told(on("h800"))


def test_vllm_finds_what_nvrtc_loads_while_it_compiles() -> None:
    made = environment(on("rtx4090"))
    assert made["LD_LIBRARY_PATH"] == f"{made['CUDA_HOME']}/lib64"


def test_ktransformers_compiles_with_the_toolkit_that_comes_with_the_driver() -> None:
    made = PYTHON_ENGINES["ktransformers"]
    assert environment(made)["CUDA_HOME"] == "/usr/local/cuda-12.9"
    assert made.driver
    needed = {"cuda-minimal-build-12-9", "cuda-cuobjdump-12-9"}
    assert needed <= {*made.driver.group("CUDA compiler")}


def test_ktransformers_keeps_the_experts_of_all_layers_in_host_memory() -> None:
    made = PYTHON_ENGINES["ktransformers"]
    found = told(made)
    assert (found["kt-method"], found["kt-num-gpu-experts"]) == ("FP8", 0)
    assert found["kt-threadpool-count"] == served(made).numa_nodes
    assert found["kt-weight-path"] == found["model-path"]
    assert found["max-total-tokens"] == served(made).placement.ledger.kv_tokens


@pytest.mark.parametrize(("cores", "nodes"), [(16, 1), (64, 2), (65, 2), (2, 1), (4, 4)])
def test_ktransformers_leaves_cores_to_what_is_no_expert(cores: int, nodes: int) -> None:
    """Seen with 0.7.2: with a thread on every core they wait, eight times as long."""
    made = PYTHON_ENGINES["ktransformers"]
    service = replace(served(made), threads=cores, numa_nodes=nodes)
    threads = told(replace(made, services=(service,)))["kt-cpuinfer"]
    assert threads == nodes or 2 <= cores - threads < 2 + nodes
    assert threads % nodes == 0 < threads


def test_ktransformers_has_all_of_the_card_that_nothing_else_needs() -> None:
    """Its cache ends with its tokens; of a share for just both, 0.7.2 could not even load."""
    made = PYTHON_ENGINES["ktransformers"]
    (card,) = served(made).placement.ledger.cards
    kept = {"weights", "KV cache"}
    others = sum(size for line, size in card.lines.items() if line not in kept)
    share = told(made)["mem-fraction-static"]
    assert share * card.total == pytest.approx(card.total - others, rel=0.001)
    assert share * card.total > card.lines["weights"] + card.lines["KV cache"]


def test_sglang_ends_at_once_where_one_of_its_processes_has() -> None:
    """Seen with 0.5.23: a minute for dumps, while nobody is answered."""
    found = environment(PYTHON_ENGINES["sglang on cards"])
    names = [name for name in found if name.endswith("_BEFORE_CRASH")]
    assert {found[name] for name in names} == {"0"} and len(names) == 2
    # Its fork has no such dumps.
    assert "_BEFORE_CRASH" not in str(environment(PYTHON_ENGINES["ktransformers"]))


def _digest(made: HostPlan) -> str:
    return render.service(made, served(made))[1]


def test_another_service_leaves_the_first_alone() -> None:
    made = on("h800", model="deepseek-r1-distill-qwen-32b-awq", replicas=2)
    first = made.profile.services[0]
    further = replace(
        first, name="further", port=8001, model="deepseek-r1-distill-qwen-7b-awq", context=8192
    )
    both = with_services(made, first, further)
    digests = {service.name: render.service(both, service)[1] for service in both.services}
    assert digests[served(made).name] == _digest(made) != digests["further"]


def test_a_change_of_settings_cards_or_engine_restarts() -> None:
    digests = [
        _digest(on("l40s")),
        _digest(on("l40s", performance="throughput")),
        _digest(on("l40s", tensor_parallel=4, pipeline_parallel=1)),
        _digest(on("l40s", engine="sglang")),
        _digest(on("l40s", gpu_memory_utilization=0.9)),
    ]
    assert len(set(digests)) == len(digests)
    assert _digest(on("l40s")) == digests[0]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize(
    "name", ["vllm on cards", "vllm without cards", "sglang on cards", "ktransformers"]
)
def test_systemd_accepts_the_unit_and_finds_little_exposed(name: str, tmp_path: Path) -> None:
    made = PYTHON_ENGINES[name]
    engine = served(made).engine
    text = files(made)[f"/etc/systemd/system/{engine}@.service"].content
    # verify insists on programs that exist.
    text = re.sub(r"(?m)^(ExecStart=|ExecStartPre=).*", r"\1/bin/true", text)
    path = tmp_path / f"{engine}@.service"
    path.write_text(text)
    for words in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=25"]):
        ran = subprocess.run(
            ["systemd-analyze", *words, str(path)], capture_output=True, text=True, timeout=60
        )
        about_it = [line for line in ran.stderr.splitlines() if path.name in line]
        assert (ran.returncode, about_it) == (0, []), ran.stdout[-2000:] + ran.stderr


@EVERY_PLAN
def test_a_service_sees_its_cards_and_no_other_device(made: HostPlan) -> None:
    run = unit(files(made)[f"/etc/systemd/system/{served(made).engine}@.service"].content)[
        "Service"
    ]
    if made.profile.gpu is None:
        assert run["PrivateDevices"] == ["yes"] and "DeviceAllow" not in run
    else:
        assert "PrivateDevices" not in run and run["DevicePolicy"] == ["closed"]
        assert {"char-nvidia rw", "char-nvidia-uvm rw"} <= set(run["DeviceAllow"])
    # Kernels are compiled at run time; workers share memory.
    assert not {"MemoryDenyWriteExecute", "PrivateIPC"} & set(run)
    assert run["KillMode"] == ["mixed"] and run["LimitMEMLOCK"] == ["infinity"]


@pytest.mark.parametrize("name", PYTHON_ENGINES)
def test_templates_of_settings_are_given_what_the_profile_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a setting that nothing decides on goes from Service to a template, and nowhere between."""
    made = PYTHON_ENGINES[name]
    given: dict[str, Any] = {}
    text = templates.text
    monkeypatch.setattr(
        templates, "text", lambda path, /, **v: given.update({path: v}) or text(path, **v)
    )
    render.service(made, made.services[0])
    told_of = [given[path] for path in given if path.endswith(("service.yaml", "service.env"))]
    assert [each["wanted"] for each in told_of] == [*made.profile.services] * 2
