"""Ollama on a real machine: its release unpacked, models by hard link, answers, no second copy.

The release is a stand-in (tests/lab/ollama) before a llama-server that was compiled on the machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.e2e import alive
from tests.e2e.digest import whole
from tests.e2e.rack import Rack, run
from tests.e2e.whole_life import ends_as_it_began
from tests.lab import tiny_model
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.machine import Machine
from tests.lab.ollama import release
from tests.lab.tiny_model import ANSWER, TinyModel
from tests.unit.remote.support import gguf, pair, text

OTHER = "Another model answers now, with other words in its head."
WEIGHTS = "/data/models/tiny-qwen2/tiny-qwen2-F16.gguf"
BESIDE = "modelrack-lab/tiny-llama-whole-gguf/mmproj-F16.gguf"
PORT = 11434
# What the machine was before anything was deployed to it.
BEFORE: dict[str, object] = {}
# The machine of the sandbox, with Ollama beside its llama.cpp.
SITE = """
site = replace(site, mirrors=replace(
    site.mirrors, ollama=_lab["github"] + "/ollama/ollama/releases/download"
))
tiny = profile.services[0]
other = replace(
    tiny.model, key="other", modelscope="modelrack-lab/tiny-llama-whole-gguf",
    huggingface="modelrack-lab/tiny-llama-whole-gguf", files=("*.gguf",),
)
on_ollama = replace(tiny, engine="ollama", port=11434, parallel=None, merge=None)
"""
ONE = 'profile = replace(profile, services=(tiny, replace(on_ollama, name="small")))'
TWO = (
    "profile = replace(profile, services=("
    '    tiny, replace(on_ollama, name="small", context=256),'
    '    replace(on_ollama, name="second", model=other),'
    "))"
)
SWITCHED = (
    'profile = replace(profile, services=(tiny, replace(on_ollama, name="small", model=other)))'
)


class Place:
    """The machine, and inventories for it with one release or another."""

    def __init__(self, machine: Machine, rack_with: Callable[[str], Rack], github: GitHub) -> None:
        self.machine, self._rack_with, self._github = machine, rack_with, github

    def rack(self, services: str, version: str = "0.35.0") -> Rack:
        """An inventory with a stand-in of this version pinned."""
        # What is left in group data is data of the host.
        rack = self._rack_with(f"{SITE}{services}\ndel tiny, other, on_ollama")
        root = self.machine.directory / "root"
        build = self.machine.ssh("readlink /opt/modelrack/engines/llama.cpp/current").stdout.strip()
        gomp = self.machine.ssh("readlink -f /usr/lib/*/libgomp.so.1").stdout.strip()
        libraries = {
            "llama-server": root / f".{build}/bin/llama-server",
            "libgomp.so.1": root / f".{gomp}",
        }
        made = release.publish(self._github.root, version, libraries)
        locks = rack.folder / ".lab/sandbox/locks"
        locks.mkdir(parents=True, exist_ok=True)
        (locks / "artifacts.yaml").write_text(yaml.safe_dump({"ollama": made.pin}))
        return rack


@pytest.fixture(scope="module")
def place(lab_factory, lab_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    lab = lab_factory(1, name="ollama")
    tiny_model.publish(lab_hub.root, TinyModel(architecture="llama", seed=2, answer=OTHER))
    # What sees pictures lies beside many a model, and before it in the order of names.
    clip = gguf([pair("general.architecture", 8, text("clip"))], [("v.weight", b"picture")])
    (lab_hub.root / BESIDE).write_bytes(clip)
    with GitHub(tmp_path_factory.mktemp("github")) as github:
        hub, url = lab_hub.listen(lab.host), github.listen(lab.host)

        def rack_with(extra: str) -> Rack:
            return Rack(lab, hub, url, tmp_path_factory.mktemp("ollama"), extra)

        BEFORE.update(whole(lab.machines[0]))
        first = rack_with("").deploy("--json")
        assert first.code == 0, first.output
        yield Place(lab.machines[0], rack_with, github)


def _ask(machine: Machine, path: str, **body: object) -> dict:
    data = f"--json '{json.dumps(body)}'" if body else ""
    said = machine.ssh(f"curl -s --max-time 60 http://127.0.0.1:{PORT}{path} {data}").stdout
    return json.loads(said)


def _said(machine: Machine, model: str) -> str:
    question = [{"role": "user", "content": "Hello"}]
    reply = _ask(machine, "/v1/chat/completions", model=model, messages=question, temperature=0)
    return reply["choices"][0]["message"]["content"]


def _life_of(machine: Machine) -> str:
    shown = (
        "systemctl show ollama llama-server@tiny -p ActiveEnterTimestamp -p NRestarts -p MainPID"
    )
    return machine.ssh(shown).stdout


def test_a_model_is_served_from_the_weights_themselves(place: Place) -> None:
    rack, machine = place.rack(ONE), place.machine
    first = rack.deploy("--json")
    assert first.code == 0, first.output
    assert f"answers as small:latest on http://127.0.0.1:{PORT}" in first.stderr
    assert _said(machine, "small") == _said(machine, "small:latest") == ANSWER
    # One content, two names.
    inodes = machine.ssh(f"stat -c %i {WEIGHTS}; stat -c '%i %h %s' /data/ollama/blobs/*").stdout
    inode, *blobs = inodes.splitlines()
    assert [line.split()[1] for line in blobs if line.startswith(f"{inode} ")] == ["2"]
    assert sum(int(line.split()[2]) for line in blobs if not line.startswith(f"{inode} ")) < 2000
    assert _ask(machine, "/api/ps")["models"] == [
        {"name": "small:latest", "model": "small:latest", "context_length": 512}
    ]
    assert _ask(machine, "/api/version") == {"version": "0.35.0"}


def test_a_second_deploy_changes_nothing(place: Place) -> None:
    rack, machine = place.rack(ONE), place.machine
    rack.deploy("--json")  # this inventory pins the weights first
    before = _life_of(machine)
    second = rack.deploy("--json", "--debug")
    assert second.code == 0, second.output
    assert second.changed == []
    assert _life_of(machine) == before
    assert second.commands <= 45


def test_the_machine_proves_it(place: Place) -> None:
    rack = place.rack(ONE)
    proof = run(
        [sys.executable, "-m", "pytest", "-q", "tests/machine", "--inventory", rack.inventory]
    )
    assert proof.code == 0, proof.output


def test_nobody_can_change_the_models_through_the_port(place: Place) -> None:
    machine = place.machine
    asked = json.dumps({"model": "small"})
    refused = machine.ssh(
        f"curl -s -X DELETE http://127.0.0.1:{PORT}/api/delete --data '{asked}'"
    ).stdout
    assert "Read-only file system" in refused
    assert _said(machine, "small") == ANSWER


def test_whatever_is_killed_comes_back_by_itself(place: Place) -> None:
    machine = place.machine
    asked = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Hello"}]})
    url = f"http://127.0.0.1:{PORT}/v1/chat/completions"
    ask = f"curl -s --max-time 60 {url} --json '{asked}'"
    killed = alive.survives(
        machine, "ollama", lambda: ANSWER in machine.ssh(ask, check=False).stdout
    )
    assert "llama-server" in {each.process for each in killed} and len(killed) > 1
    # Its models are in memory before anybody asks.
    machine.ssh("systemctl kill --signal=KILL ollama")
    loaded = f"curl -s http://127.0.0.1:{PORT}/api/ps | grep -q small"
    machine.ssh(f"for try in $(seq 120); do {loaded} && exit 0; sleep 0.5; done; exit 1")
    assert _said(machine, "small") == ANSWER


def test_what_is_lost_is_put_back(place: Place) -> None:
    rack, machine = place.rack(ONE), place.machine
    rack.deploy("--json")
    machine.ssh("rm /data/ollama/blobs/*")
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert "Ollama | Register the models with Ollama" in again.changed
    assert machine.ssh(f"stat -c %h {WEIGHTS}").stdout == "2\n"


def test_a_second_model_and_another_one_under_the_same_name(place: Place) -> None:
    machine = place.machine
    two = place.rack(TWO).deploy("--json")
    assert two.code == 0, two.output
    assert (_said(machine, "small"), _said(machine, "second")) == (ANSWER, OTHER)
    loaded = {each["name"]: each["context_length"] for each in _ask(machine, "/api/ps")["models"]}
    assert loaded == {"small:latest": 256, "second:latest": 512}
    switched = place.rack(SWITCHED).deploy("--json")
    assert switched.code == 0, switched.output
    assert _said(machine, "small") == OTHER


def test_a_version_whose_folder_is_not_known_needs_a_word(place: Place) -> None:
    machine = place.machine
    refused = place.rack(ONE, version="0.99.0").deploy("--json")
    assert refused.code == 1, refused.output
    assert "Ollama 0.99.0 may keep its models in another way" in refused.output
    allowed = ONE.replace('name="small"', 'name="small", allow_copy=True')
    rack = place.rack(allowed, version="0.99.0")
    made = rack.deploy("--json")
    assert made.code == 0, made.output
    assert _ask(machine, "/api/version") == {"version": "0.99.0"}
    assert _said(machine, "small") == ANSWER
    assert _ask(machine, "/api/ps")["models"][0]["context_length"] == 512
    again = rack.deploy("--json")
    assert again.code == 0 and again.changed == [], again.output
    # And back: what was made there is ours.
    known = place.rack(ONE).deploy("--json")
    assert known.code == 0, known.output
    assert _said(machine, "small") == ANSWER
    assert machine.ssh(f"stat -c %h {WEIGHTS}").stdout == "2\n"


def test_the_machine_ends_as_it_began(place: Place) -> None:
    ends_as_it_began(place.rack(ONE), BEFORE)
