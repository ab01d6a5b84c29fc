"""What is noted of a version, and what is tried of it before anything is switched to it."""

from __future__ import annotations

import json
from dataclasses import replace

from deploys.operations.files import File
from deploys.operations.services.health import status_request
from deploys.operations.services.unit import Unit
from deploys.operations.services.versions import Version
from deploys.planning.engines.software import Environment, Release
from deploys.planning.inputs.locks import ArtifactLock
from tests.unit.planning.plan_examples import SHARDS, plan, profile, service

MADE = plan()
UNIT = Unit.of(MADE, MADE.services[0])
VERSION = Version(
    software=MADE.software_of("llama.cpp"),
    files=UNIT.files,
    services=[UNIT.to_note()],
    deployed=MADE.deployed_of("llama.cpp"),
)


def test_the_link_is_written_first_and_put_back_last() -> None:
    assert VERSION.entries == [VERSION.link, *UNIT.files]
    assert VERSION.link.target == VERSION.software.directory
    noted = [entry["path"] for entry in json.loads(VERSION.text)["entries"]]
    assert noted == [*(file.path for file in UNIT.files), VERSION.link.path]


def test_a_server_is_stale_where_its_weights_were_fetched_again() -> None:
    made = plan()
    (asked,) = json.loads(status_request([Unit.of(made, made.services[0])], ask=False))
    shards = {f"/data/models/tiny/{path}" for path in SHARDS}
    assert shards < {*asked["files"]}
    merged = plan(profile(service(merge=True)))
    assert Unit.of(merged, merged.services[0]).weights == ("/data/models/tiny/tiny.gguf",)


def test_a_server_is_asked_how_it_draws_answers_where_that_was_said() -> None:
    made = plan(profile(service(sampling={"temperature": 0.6, "top_k": 20})))
    unit = Unit.of(made, made.services[0])
    (asked,) = json.loads(status_request([unit], ask=False))
    assert asked["sampling"] == {"temperature": 0.6, "top_k": 20}
    assert Unit.noted(json.loads(json.dumps(unit.to_note()))).sampling == asked["sampling"]
    (asked,) = json.loads(status_request([UNIT], ask=False))
    assert "sampling" not in asked


def test_a_note_has_all_that_it_takes_to_ask_a_service_again() -> None:
    (service,) = json.loads(VERSION.text)["services"]
    assert Unit.noted(service) == replace(UNIT, files=())
    assert Unit.noted({**service, "of another version of ours": 1}) == replace(UNIT, files=())


def test_other_settings_are_another_note_of_the_same_version() -> None:
    file = File(path="/etc/other", content="", mode="644")
    other = replace(VERSION, files=(*UNIT.files, file))
    assert str(other) == str(VERSION)
    assert other.note.path == VERSION.note.path
    assert other.note.sha256 != VERSION.note.sha256
    assert VERSION.note.mode == "600"


def test_what_is_tried() -> None:
    program = f"{VERSION.software.directory}/bin/llama-server"
    assert VERSION.software.smoke == (program, "--version")
    archive = ArtifactLock(version="1", origin="ollama", path="o.tar.zst", sha256="a" * 64)
    release = Release(name="ollama", version="1", archive=archive)
    assert release.smoke == ("/opt/modelrack/engines/ollama/1-aaaaaaaaaaaa/bin/ollama", "--version")
    environment = Environment(
        **{"name": "vllm", "version": "1", "lock": "vllm-cpu", "digest": "b" * 12},
        **{"python": "3.12", "imports": ("vllm", "torch")},
    )
    python = "/opt/modelrack/engines/vllm/1-bbbbbbbbbbbb/bin/python"
    assert environment.smoke == (python, "-c", "import vllm; import torch")
