"""The document that an acceptance comes to: what the JSON beside a report has, and it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from deploys.planning.acceptance.check import PHASES, AcceptanceCheck, Phase, is_accepted
from deploys.planning.inputs.machine import Machine
from deploys.planning.plan import HostPlan

SCHEMA = 1
_OF_A_CARD = ("index", "address", "name", "uuid", "serial", "vbios", "driver", "lanes", "lanes_max")


def document(
    name: str,
    machine: Machine,
    plan: HostPlan,
    checks: Sequence[AcceptanceCheck],
    measured: Mapping[str, Any],
    *,
    tested: Sequence[Phase],
    quick: bool,
    times: tuple[float, float],
) -> dict[str, Any]:
    """Return all that is known of a machine by the end of its acceptance.

    + name: of the machine in its inventory
    + measured: what its phases have found, by phase
    + tested: phases that were asked for
    + times: when it began and ended, in seconds since 1970
    """
    accepted = is_accepted(checks)
    look = measured.get("look", {})
    services = measured.get("services", {})
    soaked = measured.get("soak", {})
    return {
        "schema": SCHEMA,
        "name": name,
        "accepted": accepted,
        "certificate": accepted and not quick and tuple(tested) == PHASES,
        "quick": quick,
        "tested": list(tested),
        "begun": _time(times[0]),
        "ended": _time(times[1]),
        "machine": {
            **look.get("identity", {}),
            "hostname": machine.hostname,
            "os": f"{machine.os} {machine.os_version}",
            "cpu": machine.cpu,
            "cores": machine.cores,
            "memory": machine.memory,
        },
        "cards": [{key: card[key] for key in _OF_A_CARD} for card in look.get("cards", ())],
        "software": [
            {"name": each.name, "version": each.version, "digest": each.digest}
            for each in plan.software
        ],
        "services": [_service(plan, each, services.get(each.name, {})) for each in plan.services],
        "phases": _phases(checks, measured.get("seconds", {})),
        "checks": [check.to_json() for check in checks],
        "disk": look.get("disk"),
        "fabric": measured.get("fabric"),
        "load": measured.get("load", {}),
        "soak": {key: value for key, value in soaked.items() if key != "samples"},
        "samples": _samples(soaked.get("samples", ())),
        "answers": {name: each["answers"] for name, each in services.items()},
    }


def _service(plan: HostPlan, service: Any, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": service.name,
        "engine": service.engine,
        "model": service.model,
        "quantization": service.weights.quantization,
        "context": service.context,
        "parallel": service.parallel,
        "min_tokens_per_second": service.min_tokens_per_second,
        "users": {str(rate): count for rate, count in (service.users or {}).items()},
        "weights": seen.get("weights", {}),
        "template": seen.get("template"),
    }


def _phases(
    checks: Sequence[AcceptanceCheck], seconds: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for phase in PHASES:
        own = [check for check in checks if check.phase == phase]
        found[phase] = {
            "passed": sum(check.result == "passed" for check in own),
            "failed": sum(check.is_failure for check in own),
            "seconds": seconds.get(phase, 0),
            "not run": sum(check.result == "not run" and not check.required for check in own),
        }
    return found


def _samples(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what each card said over time: by its address, beside the seconds."""
    cards: dict[str, dict[str, list[Any]]] = {}
    for sample in samples:
        for card in sample["cards"]:
            own = cards.setdefault(card["address"], {"clock": [], "temperature": []})
            for key, values in own.items():
                values.append(card[key])
    return {"at": [sample["at"] for sample in samples], "cards": cards}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
