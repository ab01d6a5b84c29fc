"""How fast a service was on a real GPU (tests/gpu/results), and that it is what machines get."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploys.planning.builds import Build
from deploys.planning.gpus import named
from deploys.planning.machine import Disk
from tests.gpu import speed
from tests.gpu.entry import entry
from tests.gpu.shapes import SHAPES
from tests.unit.plan_examples import attempt, profile, service
from tests.unit.render_examples import PLANS, WITH_KEYS, files
from tests.unit.test_real_machine import H200

RESULT = json.loads(
    (Path(__file__).parents[1] / "gpu/results/h200-llama.cpp-speed.json").read_text()
)
SHAPE = SHAPES[RESULT["model"]]
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
    assert {key: now.get(key) for key in RESULT["settings"]} == RESULT["settings"]


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
    served, other = (rates(RESULT["server"][who]) for who in ("planned", "upstream"))
    assert {1, 16} <= {requests for requests, _ in served}
    assert all(served[point] > 0.99 * other[point] for point in other)
    assert served[16, 8] > 2.9 * other[16, 8]


def test_16_layers_on_the_card_are_a_sixteenth_of_the_speed() -> None:
    planned, how_to = (best(RESULT["bench"][who]) for who in ("planned", "how-to"))
    assert planned[0, 128, 0] / how_to[0, 16, 0] > 16
    assert planned[512, 0, 0] / how_to[512, 0, 0] > 9


def test_a_token_reads_all_weights_at_a_third_of_the_memorys_speed() -> None:
    read = sum(weight.size for weight in SHAPE.weights() if weight.name != "token_embd.weight")
    share = best(RESULT["bench"]["planned"])[0, 128, 0] * read / named("H200").bandwidth
    assert 0.31 < share < 0.34


def best(tests: list[dict[str, Any]]) -> dict[tuple[int, int, int], float]:
    """Tokens a second by tokens of the prompt, of the answer, and before both."""
    return {
        (test["prompt"], test["answer"], test["depth"]): max(test["tokens_per_second"])
        for test in tests
    }


def rates(tests: list[dict[str, Any]]) -> dict[tuple[int, int], float]:
    """Tokens a second of all answers, by requests at a time and tokens of the prompt."""
    return {(test["requests"], test["prompt"]): test["tokens_per_second"] for test in tests}
