"""The programs of remote/acceptance, run on a machine, and what they say."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pyinfra.api import Host, QuoteString

from deploys.connection import programs, transport
from deploys.control.acceptance.session import AcceptanceSession
from deploys.planning.engines.base import Engine
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import Environment
from deploys.planning.gateway.plan import FOLDER
from deploys.planning.plan import ServicePlan
from deploys.rendering import gateway, settings

# Bytes that the disk is measured with, quickly or not, and cards: what an engine leaves of them.
_DISK = {True: 64 << 20, False: 4 << 30}
_ON_CARDS = 256 << 20
# Seconds that one program may take; answers of a thinking model, and hashes of all weights, long.
_LONG = 6 * 3600


class Unmeasured(Exception):
    """The machine does not say it; the text says why."""


def ask(host: Host, arguments: Any, program: str, told: Any, limit: int = 600) -> dict[str, Any]:
    """Return what a program of remote/acceptance prints; raise Unmeasured if it does not."""
    words = programs.inline(f"acceptance.{program}")
    try:
        ok, output = transport.run(host, arguments, words, _stdin=json.dumps(told), _timeout=limit)
    except (OSError, TimeoutError) as error:
        raise Unmeasured(str(error)) from error
    if not ok or not output.stdout_lines:
        said = output.stderr_lines or ["it says nothing"]
        raise Unmeasured(said[-1].strip())
    found: dict[str, Any] = json.loads(output.stdout_lines[-1])
    return found


def look(
    host: Host, arguments: Any, session: AcceptanceSession, *, disk: bool = False
) -> dict[str, Any]:
    """Return the machine as a whole; with `disk`, how fast its disk is, too."""
    models = f"{session.plan.site.data_root}/models"
    told = {
        "folder": models if session.plan.services else session.plan.site.data_root,
        "size": _DISK[session.options.quick],
        "disk": disk,
        "gateway": {"socket": gateway.MASTER, "folder": FOLDER} if session.plan.gateway else None,
    }
    return ask(host, arguments, "look", told)


def served(host: Host, arguments: Any, session: AcceptanceSession) -> dict[str, Any]:
    """Return what each service has loaded, and what it answers."""
    told = [_asked(session, service) for service in session.services]
    return ask(host, arguments, "served", told, _LONG) if told else {}


def _asked(session: AcceptanceSession, service: ServicePlan) -> dict[str, Any]:
    rendered = settings.chat_template(session.plan, service)
    engine: Engine = ENGINES[service.engine]
    in_python = isinstance(session.plan.software_of(service.engine), Environment)
    return {
        **{"name": service.name, "unit": service.unit, "url": service.url},
        **{"served": service.served, "task": service.task, "engine": engine.name},
        "directory": service.weights.directory,
        "entry": service.weights.entry,
        "files": {file.path: file.sha256 for file in service.weights.files},
        "settings": f"/etc/modelrack/services/{service.name}.{'yaml' if in_python else 'env'}",
        "template": _sha256(rendered[0].content) if rendered else None,
        "deep": not session.options.quick,
        "questions": [each.question for each in session.options.questions],
        # Thoughts come before an answer.
        "tokens": min(2048, service.context // 2),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def load(host: Host, arguments: Any, session: AcceptanceSession, seconds: int) -> dict[str, Any]:
    """Return what became of so many seconds of load on all services."""
    services = [
        {"url": each.url, "served": each.served, "parallel": min(each.parallel, 16)}
        for each in session.services
        if each.task == "generate"
    ]
    told = {"seconds": seconds, "services": services}
    return ask(host, arguments, "load", told, seconds + 600)


def cards_speed(host: Host, arguments: Any, session: AcceptanceSession) -> dict[str, Any]:
    """Return how fast the cards copy, and how fast they sum together."""
    software = next(each for each in session.plan.software if isinstance(each, Environment))
    cards = sorted({card for each in session.services for card in each.placement.cards})
    told = {
        "python": f"{software.directory}/bin/python",
        "cards": cards,
        "bytes": _ON_CARDS,
        "programs": {
            "alone": programs.source("acceptance.cards_speed"),
            "together": programs.source("group.all_reduce"),
        },
    }
    return ask(host, arguments, "fabric", told, 900)


def answer(host: Host, arguments: Any, service: ServicePlan, patience: int) -> tuple[str, str]:
    """Return the state of a service's unit, and why it does not answer; "" if it does."""
    told = {"unit": service.unit, "url": service.url, "served": service.served}
    found = ask(host, arguments, "survival", {**told, "patience": patience}, patience + 60)
    return found["state"], found["problem"]


def restart(host: Host, arguments: Any, service: ServicePlan) -> None:
    """Restart a service, whatever comes of it."""
    transport.run(host, arguments, "systemctl", "restart", QuoteString(service.unit), "|| true")
