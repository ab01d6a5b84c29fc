"""What `python -m tests.gpu.deploy` tells its inventory, reads of a run, and what one showed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.profile import Service
from tests.gpu import deploy
from tests.gpu.entry import made_up
from tests.gpu.networks import DEPLOYED
from tests.gpu.planned import planned
from tests.gpu.shapes import SHAPES
from tests.lab.process import PROJECT
from tests.unit.planning.plan_examples import MACHINE
from tests.unit.planning.test_real_machine import H200

RESULTS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(deploy.__file__).parent / "results").glob("*-deploy*.json"))
}


def test_the_profile_is_that_of_the_cards_that_are_found() -> None:
    assert deploy.cards(H200) == {"gpu": "H200", "gpus": 1}
    assert deploy.cards(MACHINE) == {"gpu": None, "gpus": 0}


def test_operations_that_changed_something_are_named() -> None:
    operations = [{"name": "a", "no_change": True}, {"name": "b", "no_change": False}]
    assert deploy.changed(json.dumps({"results": {"operations": operations}})) == ["b"]
    assert deploy.changed("--> pyinfra error") == "--> pyinfra error"


def test_the_machine_is_started_by_a_script_that_bash_reads() -> None:
    script = Path(deploy.__file__).with_name("boot")
    subprocess.run(["bash", "-n", script], check=True)


def test_what_it_takes_to_measure_is_there_on_a_bare_machine() -> None:
    """As tests/gpu says: PyYAML, Jinja2 and this folder, and no more."""
    allowed = {"yaml", "_yaml", "jinja2", "markupsafe", "tests", "deploys"}
    code = f"""
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {allowed!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bare())
import tests.gpu.__main__
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_machine_with_a_card_came_to_a_service_and_stayed_as_it_was(
    result: dict[str, Any],
) -> None:
    steps = {step["step"]: step for step in result["steps"]}
    assert tuple(steps) == deploy.STEPS[: len(steps)] and len(steps) >= 3
    assert {step["code"] for step in steps.values()} == {0}
    assert all(steps[name]["said"] == [] for name in deploy.STILL if name in steps)
    assert re.match(r"\d+ passed in", steps["proof"]["said"])
    started = r"Configure and start .*wait (for their answer|until (it answers|they answer))"
    assert any(re.search(started, said) for said in steps["first"]["said"])
    assert result["service"]["context"] == 16_384


def test_llama_cpp_was_compiled_there_and_sits_on_the_card() -> None:
    result = RESULTS["h200-deploy"]
    said = result["steps"][0]["said"]
    assert "llama.cpp | Install llama.cpp, compiled once for machines of this kind" in said
    assert "llama.cpp | Configure and start the services, wait for their answer" in said
    # The health gate's own figures: a model that sat on the processor would come to a few.
    assert result["service"]["tokens_per_second"] > 70


def test_vllm_answered_came_back_after_a_kill_and_started_warm() -> None:
    result = RESULTS["h200-deploy-vllm"]
    steps = {step["step"]: step["said"] for step in result["steps"]}
    assert tuple(steps) == deploy.STEPS[:-1]
    assert result["engine"]["version"] == stack_of(named("H200")).engines["vllm"]
    cold, after_the_kill, restarted = result["seconds_to_ready"]
    assert max(after_the_kill, restarted) < cold / 3
    alone, many, _ = (each["tokens_per_second"] for each in steps["speed"])
    assert many > 40 * alone > 40 * 80


def test_sglang_answered_and_whatever_was_killed_came_back() -> None:
    result = RESULTS["h200-deploy-sglang"]
    steps = {step["step"]: step["said"] for step in result["steps"]}
    assert tuple(steps) == deploy.STEPS
    assert result["engine"]["version"] == stack_of(named("H200")).engines["sglang"]
    cold, *warm = result["seconds_to_ready"]
    assert max(warm) < cold / 3 and steps["rebooted"]["seconds_to_answer"] < cold / 3
    killed = {each["process"]: each["seconds"] for each in steps["killed"]}
    assert {"sglang::schedul", "sglang::detoken", "python"} == {*killed}
    # Of which a minute went by before it ended: it wrote dumps, as it is told not to since.
    assert killed["sglang::detoken"] > killed["sglang::schedul"] + 50
    alone, many, _ = (each["tokens_per_second"] for each in steps["speed"])
    assert many > 40 * alone > 40 * 500
    assert result["planned_kv_tokens"] == pytest.approx(result["memory"]["kv_tokens"], rel=0.01)


def test_ktransformers_answered_and_was_eight_times_as_fast_with_two_cores_less() -> None:
    result = RESULTS["h200-deploy-ktransformers"]
    steps = {step["step"]: step["said"] for step in result["steps"]}
    assert result["engine"]["version"] == stack_of(named("H200")).engines["ktransformers"]
    assert {each["killed"] for each in result["by_hand"]} == {
        *("sglang::schedul", "sglang::detoken", "python3")
    }
    cold, *warm = result["seconds_to_ready"]
    assert max(warm) < cold / 8
    with_all_cores = steps["speed"][0]["tokens_per_second"]
    with_less = [
        each["tokens_per_second"] for each in result["by_hand"] if each["kt-cpuinfer"] == 14
    ]
    assert min(with_less) > 7 * with_all_cores
    # The cache is as large as it was planned, and what is on the card was not planned too small.
    assert result["memory"]["kv_tokens"] == result["planned_kv_tokens"]
    model = DEPLOYED[result["model"]].model
    service = Service(name="made-up", engine="ktransformers", model=model, port=8080)
    served, _ = planned(replace(service, context=deploy.CONTEXT), H200, "H200")
    (card,) = served.placement.ledger.cards
    assert 0.85 < card.lines["weights"] / 2**30 / result["memory"]["weights_gib"] < 1


@pytest.mark.parametrize("name", [*SHAPES, *DEPLOYED])
def test_what_is_made_up_can_be_planned(name: str) -> None:
    model = made_up(name, 1 << 30)
    assert (model.key, model.size) == (name, 1 << 30)
    assert model.format == ("gguf" if name in SHAPES else "safetensors")


def test_an_engine_is_not_given_what_it_does_not_read() -> None:
    given = ("--engine", "vllm", "--model", "qwen2.5-1.5b-q8_0", "--output", "unused.json")
    refused = subprocess.run(
        [sys.executable, "-m", "tests.gpu.deploy", *given],
        **{"cwd": PROJECT, "capture_output": True, "text": True},
    )
    assert refused.returncode == 2
    assert "vllm does not read what is made up of qwen2.5-1.5b-q8_0" in refused.stderr
