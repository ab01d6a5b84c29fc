"""Every service of the profile runs as it should, and answers."""

from __future__ import annotations

import json
import re
from typing import Any

from testinfra.host import Host

# The highest exposure that `systemd-analyze security` may report.
EXPOSURE = 2.5


def unit_of(service: dict[str, Any]) -> str:
    return f"llama-server@{service['name']}.service"


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


def test_it_listens_on_the_loopback_address_only(machine: Host, service: dict[str, Any]) -> None:
    listening = machine.check_output(f"ss -Hltn 'sport = :{service['port']}'").splitlines()
    addresses = {line.split()[3].rsplit(":", 1)[0] for line in listening}
    assert addresses == {"127.0.0.1"}


def test_the_weights_are_what_the_manifest_says(machine: Host, service: dict[str, Any]) -> None:
    settings = machine.file(f"/etc/modelrack/services/{service['name']}.env").content_string
    folder = re.search(r"^MODELRACK_WEIGHTS=(.+)$", settings, re.MULTILINE)
    model = re.search(r"^LLAMA_ARG_MODEL=(.+)$", settings, re.MULTILINE)
    assert folder and model
    verdict = machine.check_output(
        "python3 /opt/modelrack/bin/modelrack.pyz weights verify --deep %s", folder[1]
    )
    assert json.loads(verdict.splitlines()[-1])["ok"], verdict
    manifest = json.loads(machine.file(f"{folder[1]}/manifest.json").content_string)
    assert model[1].removeprefix(f"{folder[1]}/") in {file["path"] for file in manifest["files"]}
    assert machine.file(model[1]).user == "root"


def test_it_serves_the_model_under_its_name(machine: Host, service: dict[str, Any]) -> None:
    models = ask(machine, service, "/v1/models")
    assert service["name"] in [model["id"] for model in models["data"]]


def test_it_answers_a_question(machine: Host, service: dict[str, Any]) -> None:
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
    assert (message.get("content") or message.get("reasoning_content") or "").strip()
    assert reply["usage"]["completion_tokens"] > 0


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
