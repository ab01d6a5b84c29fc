"""Ollama as it is planned: one process, its models, and an environment that it can read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.control.locks import read
from deploys.planning.engines.software import Release
from deploys.planning.hardware import software_stacks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL, Site
from deploys.planning.plan import HostPlan
from deploys.rendering import ollama, render
from tests.lab.ollama import settings as standin
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import attempt, locks, machine, model, plan, profile, service
from tests.unit.rendering.render_examples import files, settings, unit

UNIT = "/etc/systemd/system/ollama.service"
ENVIRONMENT = "/etc/modelrack/ollama.env"


def on_ollama(**fields: Any) -> Service:
    return service(**{"engine": "ollama", "port": 11434, **fields})


def two(**fields: Any) -> HostPlan:
    """Two models on one machine, the second other where `fields` say so."""
    second = {"name": "b", "model": model(key="b"), "context": 4096, **fields}
    pins = locks()
    pins = replace(pins, weights={**pins.weights, "b": pins.weights["tiny"]})
    return plan(profile(on_ollama(context=8192), on_ollama(**second)), pins=pins)


def on_gpus(name: str, gpu: str, gpus: int, **fields: Any) -> HostPlan:
    """A large model on the simulated machine of a class, whatever speaks against it."""
    wanted = HostProfile(gpu=gpu, gpus=gpus, services=(on_ollama(**fields),))
    return attempt(wanted, machine=Machine.from_json(MACHINES[name]))


def environment(made: HostPlan) -> Mapping[str, str]:
    return settings(files(made)[ENVIRONMENT].content)


ONE = plan(profile(on_ollama(context=8192, parallel=2)))
V100 = on_gpus("v100", "V100", 2, model="deepseek-r1-distill-qwen-14b-q4_k_m", gpu_layers=20)
EVERY = {
    "one": ONE,
    "two": two(),
    "q8_0": plan(profile(on_ollama(kv_cache="q8_0"))),
    "gpus": V100,
}


def test_what_is_installed_is_the_pinned_release() -> None:
    (software,) = ONE.software
    assert isinstance(software, Release)
    assert software.directory == "/opt/modelrack/engines/ollama/0.35.0-cccccccccccc"
    assert ONE.packages == ("zstd",)
    assert [each.unit for each in ONE.services] == ["ollama.service"]


def test_the_pin_is_the_version_of_every_lane() -> None:
    pin = read(Site().locks).artifacts["ollama"]
    assert pin.origin == "ollama" and f"v{pin.version}/" in pin.path
    assert {stack.engines.get("ollama", pin.version) for stack in software_stacks.STACKS} == {
        pin.version
    }


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_ollama_knows_every_setting(made: HostPlan) -> None:
    found = standin.read({"HOME": "/srv", **environment(made)})
    assert (found.host, found.port) == ("127.0.0.1", 11434)
    assert found.models == Path("/data/ollama")
    assert found.keep_alive == float("inf") and not found.prune
    others = {key for key in environment(made) if not key.startswith("OLLAMA_")}
    ours = {"MODELRACK_URL", "MODELRACK_MODELS", "MODELRACK_DIGEST"}
    assert others == ours | {"CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"}


def test_the_environment_says_what_the_plan_says() -> None:
    assert environment(ONE) == {
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MODELS": "/data/ollama",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_LOAD_TIMEOUT": "5m",
        "OLLAMA_VULKAN": "0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "-1",
        "MODELRACK_URL": "http://127.0.0.1:11434",
        "MODELRACK_MODELS": "tiny",
        "MODELRACK_DIGEST": render.service(ONE, ONE.services[0])[1],
    }


def test_models_of_one_process_share_its_files_and_its_digest() -> None:
    made = two()
    first, second = (render.service(made, each) for each in made.services)
    assert first == second
    assert environment(made)["OLLAMA_MAX_LOADED_MODELS"] == "2"
    assert environment(made)["MODELRACK_MODELS"] == "tiny b"
    # What one of them takes is its own; the process has the smallest number of requests.
    assert [ollama.parameters(made, each) for each in made.services] == [
        {"num_ctx": 8192},
        {"num_ctx": 4096},
    ]
    fewest = min(each.parallel for each in made.services)
    assert environment(made)["OLLAMA_NUM_PARALLEL"] == str(fewest)
    assert [each.served for each in made.services] == ["tiny:latest", "b:latest"]


@pytest.mark.parametrize(
    "other",
    [
        two(context=2048),
        two(name="c"),
        plan(profile(on_ollama(context=8192))),
        replace(two(), site=Site(data_root="/srv")),
    ],
    ids=["context of the other", "name of the other", "the other is gone", "data root"],
)
def test_what_one_process_was_started_with_changes_its_digest(other: HostPlan) -> None:
    made = two()
    assert render.service(other, other.services[0])[1] != render.service(made, made.services[0])[1]


def test_the_weights_of_every_model_are_in_its_digest() -> None:
    made = two()
    second = made.services[1]
    changed = replace(second.weights.files[0], sha256="f" * 64)
    weights = replace(second.weights, files=(changed, *second.weights.files[1:]))
    other = replace(made, services=(made.services[0], replace(second, weights=weights)))
    assert render.service(other, other.services[0])[1] != render.service(made, made.services[0])[1]


def test_cards_are_those_of_the_plan_and_layers_those_of_the_operator() -> None:
    (served,) = V100.services
    cards = ",".join(map(str, served.placement.cards))
    assert cards and environment(V100)["CUDA_VISIBLE_DEVICES"] == cards
    assert ollama.parameters(V100, served)["num_gpu"] == 20
    free = on_gpus("v100", "V100", 2, model="deepseek-r1-distill-qwen-14b-q4_k_m")
    assert set(ollama.parameters(free, free.services[0])) == {"num_ctx"}
    assert [each.how for each in V100.software] == ["as released"]


def test_a_large_model_is_given_the_time_that_a_slow_disk_takes() -> None:
    (served,) = ONE.services
    large = replace(served, weights=replace(served.weights, size=404_430_187_616))
    assert ollama.load_minutes(large) == 68
    assert ollama.load_minutes(served) == 5


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_the_unit_serves_what_is_proven_and_cannot_change_it(made: HostPlan) -> None:
    sections = unit(files(made)[UNIT].content)
    run = sections["Service"]
    assert run["User"] == ["modelrack"]
    assert run["EnvironmentFile"] == [ENVIRONMENT]
    assert run["ExecStart"] == ["/opt/modelrack/engines/ollama/current/bin/ollama serve"]
    verified = [line.rpartition(" ")[2] for line in run["ExecStartPre"]]
    assert verified == sorted({each.weights.directory for each in made.services})
    assert run["ReadOnlyPaths"] == [made.site.data_root]
    assert (run["IPAddressDeny"], run["IPAddressAllow"]) == (["any"], ["localhost"])
    assert run["NoNewPrivileges"] == run["ProtectHome"] == ["yes"]
    nvidia = made.profile.gpus > 0
    # Its devices would be hidden, and code is made for it while it runs.
    assert ("PrivateDevices" not in run) == ("MemoryDenyWriteExecute" not in run) == nvidia
    assert (run.get("DeviceAllow") == ["char-nvidia* rw"]) == nvidia


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_systemd_accepts_the_unit_which_is_exposed_to_little(
    made: HostPlan, tmp_path: Path
) -> None:
    content = files(made)[UNIT].content
    for program in ("/opt/modelrack/engines/ollama/current/bin/ollama", "/usr/bin/python3"):
        content = content.replace(f"={program}", "=/bin/true")
    path = tmp_path / "ollama.service"
    path.write_text(content)
    for words in (("verify", "--man=no"), ("security", "--offline=true", "--threshold=25")):
        done = subprocess.run(
            ["systemd-analyze", *words, str(path)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert "ollama.service:" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {"port": 11435}, "port 11434 and 11435"),
        ({"parallel": 4}, {"parallel": 2}, "parallel 4 and 2"),
        ({"parallel": 4}, {}, "parallel 4 and None"),
        ({}, {"kv_cache": "q8_0"}, "kv_cache auto and q8_0"),
    ],
)
def test_one_process_has_some_settings_once(
    first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refusal, match=rf"tiny and b have {said}, but one process of Ollama"):
        profile(on_ollama(**first), on_ollama(name="b", **second))


def test_a_port_is_shared_with_no_other_engine() -> None:
    for pair in ((on_ollama(), service(name="b", port=11434)), (service(), on_ollama(port=8080))):
        with pytest.raises(Refusal, match="both want port"):
            profile(pair[0], replace(pair[1], name="b"))


def test_a_copy_is_a_word_for_ollama_alone() -> None:
    assert plan(profile(on_ollama(allow_copy=True)))
    with pytest.raises(
        Refusal, match=r"llama\.cpp has no allow_copy: it reads the weights as they lie"
    ):
        plan(profile(service(allow_copy=True)))


def test_our_own_process_holds_the_port() -> None:
    wanted = profile(on_ollama())
    plan(wanted, machine=machine(ports={11434: "ollama.service"}))
    with pytest.raises(Refusal, match="port 11434 is taken"):
        plan(wanted, machine=machine(ports={11434: "ollama@mine.service"}))


REFUSED = {
    "another architecture": (
        lambda: attempt(
            profile(on_ollama()), machine=machine(architecture="aarch64", isa="aarch64")
        ),
        "Ollama's archive for aarch64 is not pinned",
    ),
    "AMD": (
        lambda: on_gpus("mi300x", "MI300X", 8, model="deepseek-r1-distill-qwen-14b-q4_k_m"),
        "Ollama's archive for MI300X is another one, and is not pinned",
    ),
    "no way to its releases": (
        lambda: attempt(profile(on_ollama()), site=Site(mirrors=replace(GLOBAL, ollama=None))),
        "This site has no way to ollama",
    ),
    "experts by hand": (
        lambda: attempt(profile(on_ollama(cpu_experts=3))),
        "ollama has no cpu_experts",
    ),
}


@pytest.mark.parametrize(("made", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused(made: Any, said: str) -> None:
    assert any(said in str(refusal) for refusal in made().refusals), made().refusals
