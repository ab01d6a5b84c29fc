"""Every service of the profile runs as it should, and answers."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from testinfra.host import Host

from deploys.planning.engines.registry import ENGINES
from tests.machine.conftest import unit_of

# The highest exposure that `systemd-analyze security` may report.
EXPOSURE = 2.5


def served(service: dict[str, Any]) -> str:
    """The id that the API reports."""
    return ENGINES[service["engine"]].model_id.format(service["name"])


def test_the_unit_is_enabled_and_has_never_been_restarted(
    machine: Host, service: dict[str, Any]
) -> None:
    unit = machine.service(unit_of(service))
    assert unit.is_enabled
    assert unit.is_running
    assert unit.systemd_properties["NRestarts"] == "0"
    assert unit.systemd_properties["NeedDaemonReload"] == "no"


def test_the_unit_can_do_little_harm(machine: Host, service: dict[str, Any]) -> None:
    report = machine.check_output("systemd-analyze security --no-pager %s", unit_of(service))
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure and float(exposure[1]) <= EXPOSURE, report


def test_the_process_runs_as_its_own_user(machine: Host, service: dict[str, Any]) -> None:
    pid = machine.service(unit_of(service)).systemd_properties["MainPID"]
    assert machine.check_output("ps -o user= -p %s", pid) == "modelrack"


def test_it_sees_no_more_cards_than_the_profile_says(
    machine: Host, deployed: dict[str, Any], service: dict[str, Any]
) -> None:
    """Others of the machine may be somebody else's."""
    pid = machine.service(unit_of(service)).systemd_properties["MainPID"]
    environment = machine.check_output("tr '\\0' '\\n' < /proc/%s/environ", pid)
    seen = re.search(r"^CUDA_VISIBLE_DEVICES=(.*)$", environment, re.MULTILINE)
    cards = [index for index in (seen[1] if seen else "").split(",") if index not in ("", "-1")]
    assert len(set(cards)) == len(cards) <= deployed["data"]["profile"]["gpus"]


def test_it_listens_on_the_loopback_address_only(machine: Host, service: dict[str, Any]) -> None:
    listening = machine.check_output(f"ss -Hltn 'sport = :{service['port']}'").splitlines()
    addresses = {line.split()[3].rsplit(":", 1)[0] for line in listening}
    assert addresses == {"127.0.0.1"}


def test_the_weights_are_what_the_manifest_says(machine: Host, service: dict[str, Any]) -> None:
    model = OPENED.get(service["engine"], opened_by_folder)(machine, service)
    folder = model.rpartition("/")[0]
    verdict = machine.check_output(
        "python3 /opt/modelrack/bin/modelrack.pyz weights verify --deep %s", folder
    )
    assert json.loads(verdict.splitlines()[-1])["ok"], verdict
    manifest = json.loads(machine.file(f"{folder}/manifest.json").content_string)
    assert model.removeprefix(f"{folder}/") in {file["path"] for file in manifest["files"]}
    assert machine.file(model).user == "root"


def test_it_serves_the_model_under_its_name(machine: Host, service: dict[str, Any]) -> None:
    models = ask(machine, service, "/v1/models")
    assert served(service) in [model["id"] for model in models["data"]]


def test_it_answers_a_question(machine: Host, service: dict[str, Any]) -> None:
    TASKS[task(machine, service)](machine, service)


def writes(machine: Host, service: dict[str, Any]) -> None:
    """It answers a question with words."""
    reply = ask(
        machine,
        service,
        "/v1/chat/completions",
        {
            "model": service["name"],
            "messages": [{"role": "user", "content": "Hello, who are you?"}],
            "max_tokens": 32,
            "temperature": 0,
        },
    )
    message = reply["choices"][0]["message"]
    said = [message.get(part) for part in ("content", "reasoning_content", "reasoning")]
    assert any(text and text.strip() for text in said)
    assert reply["usage"]["completion_tokens"] > 0


def makes_vectors(machine: Host, service: dict[str, Any]) -> None:
    """It makes other vectors of other texts."""
    body = {"model": service["name"], "input": ["A cat says meow.", "The bridge is closed."]}
    reply = ask(machine, service, "/v1/embeddings", body)
    first, second = [entry["embedding"] for entry in reply["data"]]
    assert len(first) == len(second) > 0
    assert first != second
    assert all(map(math.isfinite, (*first, *second)))
    assert reply["usage"]["prompt_tokens"] > 0


def ranks(machine: Host, service: dict[str, Any]) -> None:
    """It gives each text a score."""
    texts = ["A cat says meow.", "The bridge is closed."]
    body = {"model": service["name"], "query": "Which animal says meow?", "documents": texts}
    reply = ask(machine, service, "/v1/rerank", body)
    scores = {entry["index"]: entry["relevance_score"] for entry in reply["results"]}
    assert sorted(scores) == [0, 1]
    assert all(map(math.isfinite, scores.values()))


TASKS = {"generate": writes, "embed": makes_vectors, "rerank": ranks}


def task(machine: Host, service: dict[str, Any]) -> str:
    """What it is asked, as it was planned."""
    state = json.loads(machine.file("/var/lib/modelrack/state.json").content_string)
    (planned,) = [each for each in state["plan"]["services"] if each["name"] == service["name"]]
    found: str = planned["task"]
    return found


def test_it_was_measured_as_it_runs(machine: Host, service: dict[str, Any]) -> None:
    content = machine.file(f"/var/lib/modelrack/services/{service['name']}.json").content_string
    figures = json.loads(content)
    pid = machine.service(unit_of(service)).systemd_properties["MainPID"]
    environment = machine.check_output("tr '\\0' '\\n' < /proc/%s/environ", pid)
    assert f"MODELRACK_DIGEST={figures['digest']}" in environment.splitlines()
    assert figures["tokens_per_second"] > 0


def ask(
    machine: Host, service: dict[str, Any], path: str, question: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One request from the machine itself, with nothing but its own Python."""
    program = (
        "import sys, urllib.request as r;"
        " q = r.Request(sys.argv[1], sys.argv[2].encode() or None,"
        " {'Content-Type': 'application/json'});"
        " print(r.urlopen(q, timeout=300).read().decode())"
    )
    url = f"http://127.0.0.1:{service['port']}{path}"
    body = json.dumps(question) if question else ""
    answer: dict[str, Any] = json.loads(
        machine.check_output("python3 -c %s %s %s", program, url, body)
    )
    return answer


def setting(machine: Host, file: str, key: str) -> str:
    found = re.search(rf"^{key}=(.+)$", machine.file(file).content_string, re.MULTILINE)
    assert found, f"{file} has no {key}"
    return found[1]


def opened_by_llama_cpp(machine: Host, service: dict[str, Any]) -> str:
    return setting(machine, f"/etc/modelrack/services/{service['name']}.env", "LLAMA_ARG_MODEL")


def opened_by_ollama(machine: Host, service: dict[str, Any]) -> str:
    """The file of ours that is the blob of this model, too: no second copy of it."""
    models = setting(machine, "/etc/modelrack/ollama.env", "OLLAMA_MODELS")
    path = f"{models}/manifests/registry.ollama.ai/library/{service['name']}/latest"
    manifest = json.loads(machine.file(path).content_string)
    (blob,) = [
        each["digest"] for each in manifest["layers"] if each["mediaType"].endswith(".model")
    ]
    file = f"{models}/blobs/{blob.replace(':', '-')}"
    return machine.check_output("find %s -samefile %s", manifest["annotations"]["modelrack"], file)


def opened_by_folder(machine: Host, service: dict[str, Any]) -> str:
    """The configuration of the model, in the folder that the others open."""
    settings = machine.file(f"/etc/modelrack/services/{service['name']}.yaml").content_string
    folder = re.search(r'^model(?:-path)?: "(.+)"$', settings, re.MULTILINE)
    assert folder
    return f"{folder[1]}/config.json"


OPENED = {"llama.cpp": opened_by_llama_cpp, "ollama": opened_by_ollama}
