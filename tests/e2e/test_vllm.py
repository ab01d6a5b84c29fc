"""vLLM beside llama.cpp on one machine: safetensors and a GGUF of one model, each with an adapter.

Of all of them, the profile says no more than their names on a hub.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.e2e import alive, gate
from tests.e2e.rack import Rack, Run, run
from tests.lab import surroundings, tiny_adapter, tiny_folder
from tests.lab.hub import Hub
from tests.lab.machine import Machine
from tests.lab.tiny_adapter import TinyAdapter
from tests.lab.tiny_model import ANSWER, TinyModel
from tests.lab.tree import cache_root

# The tiny model twice, on two engines. PyTorch's wheels for CPUs are on no package index: a folder
# of them that pip knows of here is one that the machine knows of, too.
EXTRA = """
from dataclasses import replace as _with
_wheels = {wheels!r}
site = _with(site, mirrors=_with(site.mirrors, **({{"pytorch": _wheels}} if _wheels else {{}})))
_gguf = _with(profile.services[0], model={gguf!r}, adapters={{"later": {adapter_gguf!r}}})
_vllm = _with(
    _gguf, name="tiny-vllm", engine="vllm", port=8000, model={folder!r}, merge=None,
    adapters={{"later-still": {adapter!r}}}, sampling={{"temperature": 0.6}},
)
profile = _with(profile, services=(_gguf, _vllm))
# What is left here is data of the host, and printed.
del _wheels, _gguf, _vllm
"""

SERVED = {"tiny": 8080, "tiny-vllm": 8000}
GGUF = "modelscope:modelrack-lab/tiny-qwen2-gguf:F16"
FOLDER = "huggingface:modelrack-lab/tiny-qwen2"
ADAPTER_GGUF = "modelscope:modelrack-lab/tiny-adapter-gguf:tiny-adapter-F32"
ADAPTER = "huggingface:modelrack-lab/tiny-adapter"
# With its adapter each begins the answer at a later word.
WITH_GGUF = TinyAdapter(TinyModel())
WITH_PEFT = TinyAdapter(TinyModel(width=tiny_folder.WIDTH), skipped=4)


@pytest.fixture(scope="module")
def deployed(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[tuple[Rack, Run]]:
    tiny_folder.publish(lab_hub.root)
    tiny_adapter.publish(lab_hub.root, WITH_GGUF, WITH_PEFT)
    # What was fetched of the package index once is there for the next machine.
    kept = cache_root().parent / "uv"
    kept.mkdir(exist_ok=True)
    lab = lab_factory(1, name="vllm", binds=(f"{kept}:/var/cache/modelrack/uv",))
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    folders = [
        str(folder) for folder in surroundings.folders_to_bind() if [*folder.glob("torch-*+cpu-*")]
    ]
    extra = EXTRA.format(
        wheels=folders[0] if folders else None,
        gguf=GGUF,
        folder=FOLDER,
        adapter_gguf=ADAPTER_GGUF,
        adapter=ADAPTER,
    )
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("vllm"), extra)
    yield rack, rack.deploy("--json")


def test_both_engines_serve_on_one_machine(deployed: tuple[Rack, Run]) -> None:
    _, first = deployed
    assert first.code == 0, first.output
    assert "answers as tiny on http://127.0.0.1:8080" in first.stderr
    assert "answers as tiny-vllm on http://127.0.0.1:8000" in first.stderr


def test_vllm_draws_answers_as_it_was_told(deployed: tuple[Rack, Run]) -> None:
    machine = deployed[0].machines[0]
    for temperature, answer in (
        (0.6, "ok"),
        (0.8, "it draws answers with temperature 0.6 instead of 0.8"),
    ):
        wanted = {"temperature": temperature}
        assert gate.says(machine, "vllm@tiny-vllm.service", 8000, "tiny-vllm", wanted) == answer


def test_what_was_understood_of_them_is_pinned_and_said(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    pins = rack.folder / ".lab/sandbox/locks/models"
    read = {path.stem: json.loads(path.read_text())["reference"] for path in pins.iterdir()}
    assert sorted(read.values()) == sorted([GGUF, FOLDER, ADAPTER_GGUF, ADAPTER])
    locked = rack.deploy(deploy="deploys/lock.py")
    assert locked.code == 0, locked.output
    assert f"{GGUF} is understood as tiny-qwen2-gguf-f16-" in locked.output
    assert "qwen2, " in locked.output and "256 bytes of cache a token" in locked.output
    assert f"{FOLDER} is understood as tiny-qwen2-" in locked.output
    assert "Qwen2ForCausalLM, " in locked.output and "512 bytes of cache a token" in locked.output
    assert f"{ADAPTER} is understood as tiny-adapter-" in locked.output
    assert "rank 8, alpha 16, of down_proj, gate_proj, up_proj in 2 layers" in locked.output
    for key in read:
        assert f"{key} is unchanged: " in locked.output


def test_the_machine_proves_it(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    proof = run(
        [sys.executable, "-m", "pytest", "-q", "tests/machine", "--inventory", rack.inventory]
    )
    assert proof.code == 0, proof.output


def test_each_name_gives_the_answer_that_its_weights_hold(deployed: tuple[Rack, Run]) -> None:
    machine = deployed[0].machines[0]
    for name, port, answer in (
        # Every answer of llama.cpp has the adapter; of vLLM those that are asked of it.
        ("tiny", 8080, WITH_GGUF.answer),
        ("tiny-vllm", 8000, ANSWER),
        ("later-still", 8000, WITH_PEFT.answer),
    ):
        said = json.loads(_said(machine, name, port))["choices"][0]["message"]["content"]
        assert said.strip() == answer, name


def test_an_adapter_that_was_changed_on_the_disk_is_mended_and_not_served(
    deployed: tuple[Rack, Run],
) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    (path,) = machine.ssh("ls -d /data/models/tiny-adapter-gguf-*").stdout.split()
    file = f"{path}/tiny-adapter-F32.gguf"
    machine.ssh(f"printf x | dd of={file} conv=notrunc seek=4000 bs=1")
    machine.ssh("systemctl restart llama-server@tiny", check=False)
    assert machine.ssh("systemctl is-active llama-server@tiny", check=False).stdout != "active\n"
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert "Weights | Fetch and verify the models" in again.changed
    assert WITH_GGUF.answer in _said(machine, "tiny", 8080)


def test_a_second_deploy_changes_nothing_without_a_hub_and_asks_once_for_each_engine(
    deployed: tuple[Rack, Run], lab_hub: Hub
) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    before = _lives_of(machine)
    lab_hub.requests.clear()
    lab_hub.faults.add("status", code=503)
    second = rack.deploy("--json", "--debug")
    lab_hub.faults.clear()
    assert second.code == 0, second.output
    assert second.changed == []
    assert not lab_hub.requests
    assert _lives_of(machine) == before
    # What an installed engine costs: one look at its folder, and at the link to it.
    looks = [line for line in second.stderr.splitlines() if "engines/vllm/current" in line]
    assert len([line for line in looks if "Running command on " in line]) == 1, looks


def test_what_is_wrong_with_its_settings_is_put_right(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    machine.ssh("sed -i s/127.0.0.1/0.0.0.0/ /etc/modelrack/services/tiny-vllm.yaml")
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    changed = [entry["name"] for entry in again.operations if entry["success"]]
    assert len(changed) == 1, changed


@pytest.mark.parametrize(
    ("unit", "answer", "parts"),
    [
        ("llama-server@tiny", WITH_GGUF.answer, ["llama-server"]),
        # What its second process is for is to end with the first; then comes the engine.
        ("vllm@tiny-vllm", ANSWER, ["VLLM::EngineCor"]),
    ],
)
def test_whatever_is_killed_comes_back_by_itself(
    deployed: tuple[Rack, Run],
    request: pytest.FixtureRequest,
    unit: str,
    answer: str,
    parts: list[str],
) -> None:
    """Each process of the engine with --every-operation; otherwise the one that does the work."""
    machine, name = deployed[0].machines[0], unit.partition("@")[2]
    only = () if request.config.getoption("--every-operation") else parts
    killed = alive.survives(
        machine, unit, lambda: answer in _said(machine, name, SERVED[name]), only
    )
    assert {*parts} <= {each.process for each in killed}
    # It came back as it was deployed.
    assert deployed[0].deploy("--json").changed == []


def _said(machine: Machine, name: str, port: int) -> str:
    question = {
        "model": name,
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0,
    }
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    ask = f"curl -s --max-time 60 {url} --json '{json.dumps(question)}'"
    return machine.ssh(ask, check=False).stdout


def _lives_of(machine) -> str:
    units = "llama-server@tiny vllm@tiny-vllm"
    shown = "-p Id -p ActiveEnterTimestamp -p NRestarts -p MainPID"
    return machine.ssh(f"systemctl show {units} {shown}").stdout
