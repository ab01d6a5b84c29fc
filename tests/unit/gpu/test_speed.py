"""How fast a service was on a real GPU (tests/gpu/results), and that it is what machines get."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from deploys.planning.engines.software import Build
from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.machine import Disk
from tests.gpu import kernels, speed
from tests.gpu.entry import entry
from tests.gpu.shapes import SHAPES
from tests.unit import ROOT
from tests.unit.planning.plan_examples import attempt, profile, service
from tests.unit.planning.test_real_machine import H200
from tests.unit.rendering.render_examples import PLANS, WITH_KEYS, files

RESULTS = ROOT / "tests/gpu/results"
RESULT = json.loads((RESULTS / "h200-llama.cpp-speed.json").read_text())
COUNTED = json.loads((RESULTS / "h200-llama.cpp-kernels.json").read_text())
SHAPE = SHAPES[RESULT["model"]]
# Bytes that one token reads of it.
READ = sum(weight.size for weight in SHAPE.weights() if weight.name != "token_embd.weight")
ROOM = (Disk(mount="/", kind="ext4", total=200 << 30, free=100 << 30),)
MADE = attempt(
    profile(
        service(
            name=RESULT["settings"]["LLAMA_ARG_ALIAS"],
            model=replace(entry(SHAPE, RESULT["file"]), modelscope="made/up"),
            **{"context": 16_384, "parallel": 16},
        ),
        **{"gpu": "H200", "gpus": 1},
    ),
    machine=replace(H200, disks=ROOM),
    pins=WITH_KEYS,
)


def test_what_was_measured_is_what_such_a_machine_gets() -> None:
    assert MADE.refusals == ()
    build = MADE.software_of("llama.cpp")
    assert isinstance(build, Build)
    assert RESULT["engine"]["options"] == list(build.options)
    assert RESULT["toolchain"] == build.toolchain
    path = f"/etc/modelrack/services/{MADE.services[0].name}.env"
    now = speed.read(files(MADE)[path].content)
    differ = {key for key, value in RESULT["settings"].items() if now.get(key) != value}
    # Where its file lay, which is pinned on the machine itself.
    assert differ <= {"LLAMA_ARG_MODEL", "MODELRACK_DIGEST"}


def test_llama_bench_is_given_the_settings_of_the_service() -> None:
    made = PLANS["experts beside cards"]
    settings = speed.read(
        files(made)[f"/etc/modelrack/services/{made.services[0].name}.env"].content
    )
    given = speed.options(settings)
    assert dict(zip(given[::2], given[1::2], strict=True)) == {
        "--n-gpu-layers": "95",
        "--n-cpu-moe": settings["LLAMA_ARG_N_CPU_MOE"],
        "--flash-attn": "on",
        "--cache-type-k": "q8_0",
        "--cache-type-v": "q8_0",
        "--split-mode": "layer",
        "--device": "CUDA0/CUDA1",
        "--threads": "40",
        "--numa": "distribute",
    }


def test_it_is_as_fast_as_upstreams_defaults_at_every_point() -> None:
    planned, upstream = (best(RESULT["bench"][who]) for who in ("planned", "upstream"))
    assert {(512, 0, 0), (4096, 0, 0), (0, 128, 0), (0, 128, 8192)} <= planned.keys()
    # llama-bench repeats itself within a hundredth.
    assert all(planned[point] > 0.99 * upstream[point] for point in upstream)


def test_a_served_request_waits_as_long_and_16_wait_less() -> None:
    served, other = (rates(RESULT["server"][who]) for who in ("planned", "upstream"))
    assert served.keys() == other.keys() == {(1, 8), (16, 8), (1, 8192), (16, 8192)}
    # One request of two seconds is asked once of each, and the planned service is asked first.
    assert served[1, 8] > 0.97 * other[1, 8]
    assert served[1, 8192] > 1.04 * other[1, 8192]
    assert served[16, 8] > 2.9 * other[16, 8]
    assert served[16, 8192] > 1.7 * other[16, 8192]


def test_16_layers_on_the_card_are_a_sixteenth_of_the_speed() -> None:
    planned, how_to = (best(RESULT["bench"][who]) for who in ("planned", "how-to"))
    assert planned[0, 128, 0] / how_to[0, 16, 0] > 16
    assert planned[512, 0, 0] / how_to[512, 0, 0] > 9


def test_a_token_reads_all_weights_at_a_third_of_the_memorys_speed() -> None:
    assert 0.31 < share_of_the_memorys_speed() < 0.34


def test_its_kernels_could_not_bring_half_of_it() -> None:
    assert COUNTED["engine"] == RESULT["engine"]
    all_of_them = sum(kernel["microseconds"] for kernel in COUNTED["kernels"])
    products = [kernel for kernel in COUNTED["kernels"] if "mul_mat_vec_q" in kernel["kernel"]]
    largest = max(products, key=lambda kernel: kernel["bytes"])
    read = largest["bytes"] / largest["microseconds"] * 1_000_000 / named("H200").bandwidth
    assert 0.37 < read < 0.39 and 0.6 < largest["issue_slots"] < 0.62
    # As long as today, but for products that begin an instruction whenever one can begin.
    waiting = sum(kernel["microseconds"] * (1 - kernel["issue_slots"]) for kernel in products)
    assert share_of_the_memorys_speed() / (1 - waiting / all_of_them) < 0.48


def test_similar_kernels_are_counted_together() -> None:
    columns = ("ID", "Kernel Name", "Grid Size", "Metric Name", "Metric Value")
    metrics = ("gpu__time_duration.sum", "dram__bytes_read.sum")
    slots = "sm__inst_issued.avg.pct_of_peak_sustained_active"
    launches = [("1", "4,000", "50.0"), ("2", "1,000", "100.0")]
    rows = [
        (number, "void twice<1, 0>(const void *, int)", "(2, 1, 1)", metric, value)
        for number, time, share in launches
        for metric, value in zip((*metrics, slots), (time, "64", share), strict=True)
    ]
    rows += [("3", "once(int)", "(1, 1, 1)", name, "9,000.0") for name in (*metrics, slots)]
    lines = [",".join(f'"{cell}"' for cell in row) for row in (columns, *rows)]
    once, twice = kernels.kernels("\n".join(["==PROF== Connected", *lines, "build: unknown"]))
    assert (once["kernel"], once["microseconds"], once["bytes"]) == ("once", 9.0, 9000)
    assert twice == {
        "kernel": "twice<1, 0>",
        "blocks": "(2, 1, 1)",
        "launches": 2,
        "microseconds": 5.0,
        "bytes": 128,
        "issue_slots": 0.6,
    }


def share_of_the_memorys_speed() -> float:
    """What one answer reads, of what could be read."""
    return best(RESULT["bench"]["planned"])[0, 128, 0] * READ / named("H200").bandwidth


def best(tests: list[dict[str, Any]]) -> dict[tuple[int, int, int], float]:
    """Tokens a second by tokens of the prompt, of the answer, and before both."""
    return {
        (test["prompt"], test["answer"], test["depth"]): max(test["tokens_per_second"])
        for test in tests
    }


def rates(tests: list[dict[str, Any]]) -> dict[tuple[int, int], float]:
    """Tokens a second of all answers, by requests at a time and tokens of the prompt."""
    return {(test["requests"], test["prompt"]): test["tokens_per_second"] for test in tests}
