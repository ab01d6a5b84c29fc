"""Ask every service of this unit a question, and say on its console what became of it.

Every byte of the weights was read before: a service of a new unit does not start without that proof
(model_dir/prove.py). What is found is written beside the unit's identity; the first time that all
is well it is the unit's certificate, too, with its serial number.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

from ..lib import durable
from ..services import questions
from ..services.model_server import ModelServer, RequestFailed, RequestRejected
from . import card, identity, settings

_LOOK_EVERY = 2.0
# Restarts after which a service is not waited for any more.
_ENOUGH = 2
# Of what a client did wrong this passes by itself: it took too long, or too many asked.
_PASSES = (408, 429)
# Seconds that a service may take to load a model, and the gateway to begin.
_PATIENCE, _DOOR = 3600.0, 300.0


def run() -> int:
    """Test the unit, write and show the result; return 1 if something is wrong."""
    told = settings.read()
    problems: list[str] = []
    answers: dict[str, str] = {}
    card.show(["This unit is starting; its weights are being read and proven."], keep=False)
    for service in told["services"]:
        problem = _wait(service)
        if problem:
            problems.append(problem)
        else:
            answers[service["name"]] = "answers"
    door = told["gateway"]
    if door and not problems:
        problem = _through_the_door(door, told["services"])
        problems += [problem] if problem else []
    problems += _failed_units(told["services"]) if not problems else []
    found = _described(told, answers, problems)
    settings.FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = f"{json.dumps(found, indent=2)}\n".encode()
    durable.replace(settings.SELF_TEST, written, mode=0o600)
    if not problems and not settings.CERTIFICATE.exists():
        durable.replace(settings.CERTIFICATE, written, mode=0o600)
    card.show(card.lines(told, found), keep=True)
    if door:
        card.publish(door, card.page(found))
    return 1 if problems else 0


def _wait(service: dict[str, Any]) -> str | None:
    """Return what is wrong with a service that does not answer; None once it does."""
    begun = time.monotonic()
    while True:
        state = _state(service["unit"])
        if state.get("ActiveState") == "failed" or int(state.get("NRestarts") or 0) >= _ENOUGH:
            return f"{service['unit']} does not start: {_last_word(service['unit'])}"
        if state.get("ActiveState") == "active":
            server = ModelServer(service["url"], timeout=_DOOR)
            try:
                problem = questions.wrong(server, service["task"], service["served"], None)
                return f"{service['unit']}: {problem}" if problem else None
            except RequestRejected as error:
                return f"{service['unit']}: it refuses a question: {error}"
            except (RequestFailed, KeyError, IndexError, TypeError):
                pass  # It is loading; if it ends, systemd says so.
            finally:
                server.close()
        if time.monotonic() - begun > _PATIENCE:
            return f"{service['unit']} does not answer: {_last_word(service['unit'])}"
        time.sleep(_LOOK_EVERY)


def _through_the_door(door: dict[str, Any], services: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with the gateway as a client with the unit's key sees it."""
    key = settings.text_of(settings.KEY) or ""
    trust = ssl.create_default_context(cafile=door["certificate"])
    begun, problem = time.monotonic(), ""
    asked = [service for service in services if service["task"] == "generate"]
    while time.monotonic() - begun < _DOOR:
        connection = http.client.HTTPSConnection("127.0.0.1", 443, context=trust, timeout=_DOOR)
        try:
            if not asked:
                status = _status(connection, "GET", "/v1/models", None, key)
            else:
                question: dict[str, Any] = {"model": asked[0]["name"], "max_tokens": 8}
                question["messages"] = [{"role": "user", "content": "Hello"}]
                status = _status(connection, "POST", "/v1/chat/completions", question, key)
            if status == 200:
                return None
            problem = f"it answers with {status}"
            if 400 <= status < 500 and status not in _PASSES:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
        finally:
            connection.close()
        time.sleep(_LOOK_EVERY)
    return f"the gateway does not let this unit's key in: {problem}"


def _status(
    connection: http.client.HTTPSConnection, verb: str, path: str, body: Any, key: str
) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(verb, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _state(unit: str) -> dict[str, str]:
    asked = ("ActiveState", "NRestarts")
    shown = _said("systemctl", "show", f"--property={','.join(asked)}", unit)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def _last_word(unit: str) -> str:
    """Return the last line that the unit's own programs wrote."""
    said = _said("journalctl", "--no-pager", "-b", "-o", "cat", "-n", "40", f"_SYSTEMD_UNIT={unit}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing; see journalctl -u {unit}"


def _failed_units(services: list[dict[str, Any]]) -> list[str]:
    """Return a sentence about each unit that systemd has given up, whoever it is of."""
    shown = _said("systemctl", "--failed", "--no-legend", "--plain")
    names = [line.split()[0] for line in shown.splitlines() if line.split()]
    known = {service["unit"] for service in services}
    return [f"{name} has failed: {_last_word(name)}" for name in names if name not in known]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _described(
    told: dict[str, Any], answers: dict[str, str], problems: list[str]
) -> dict[str, Any]:
    disk = os.statvfs("/")
    door = told["gateway"]
    known: dict[str, Any] = json.loads(settings.text_of(settings.IDENTITY) or "{}")
    return {
        "serial": settings.serial(),
        "hostname": os.uname().nodename,
        "machine_id": settings.text_of(Path("/etc/machine-id")),
        "host_key": known.get("host_key") or identity.fingerprint(),
        "certificate": _of_certificate(door["certificate"]) if door else None,
        "image": told["image"],
        "commit": told["commit"],
        "kernel": os.uname().release,
        "root_bytes": disk.f_blocks * disk.f_frsize,
        "services": answers,
        "problems": problems,
        "passed": not problems,
        "tested": int(time.time()),
    }


def _of_certificate(path: str) -> str | None:
    """Return the fingerprint of a certificate, as browsers show it."""
    text = settings.text_of(Path(path))
    if not text:
        return None
    pem = text[: text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
