"""One machine that is being accepted: what was found so far, from phase to phase."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra import host, logger, state
from pyinfra.api import Host

from deploys.control.acceptance.options import AcceptanceOptions, options_of
from deploys.control.current_plan import planned, stop
from deploys.planning.acceptance.check import AcceptanceCheck
from deploys.planning.acceptance.limits import Limits, disk_limit, limits_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.plan import HostPlan, ServicePlan


@dataclass
class AcceptanceSession:
    """What an acceptance knows of one machine.

    + machine, plan: as it is, and what it should be; with refusals, if any
    + limits: of its class
    + checks: what came of it so far
    + measured: what was found, by phase, for the report
    """

    machine: Machine
    plan: HostPlan
    options: AcceptanceOptions
    limits: Limits
    checks: list[AcceptanceCheck] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.time)

    @property
    def services(self) -> tuple[ServicePlan, ...]:
        """The services that this machine itself answers for."""
        return tuple(service for service in self.plan.services if service.answers)

    def add(self, this: Host, checks: Iterable[AcceptanceCheck]) -> None:
        """Keep what a phase has come to, and say what a machine is not accepted for."""
        for check in checks:
            self.checks.append(check)
            if check.is_failure:
                word = "failed" if check.result == "failed" else "NOT RUN"
                logger.error(f"{this.print_prefix}{word}: {check.line()}")


_sessions: WeakKeyDictionary[Host, AcceptanceSession] = WeakKeyDictionary()


def begin() -> AcceptanceOptions:
    """Begin the acceptance of the current host, and return what is asked of it."""
    this = state.inventory.get_host(host.name)
    try:
        options = options_of(_Data())
    except Refusal as refusal:
        stop(this, [refusal])
    machine, plan = planned(to_change=True)
    limits = limits_of(plan.gpu, options.limits)
    for service in plan.services:
        limits = disk_limit(limits, service.weights.size, service.patience)
    _sessions[this] = AcceptanceSession(machine, plan, options, limits)
    return options


def of(this: Host) -> AcceptanceSession:
    """Return the acceptance of a host, which accept.py has begun."""
    return _sessions[this]


class _Data(dict[str, Any]):
    """The data of the current host, as a mapping."""

    def get(self, key: str, default: Any = None) -> Any:
        return host.data.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return host.data.get(key)


def file_name(name: str) -> str:
    """Return what the report of a host is called."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")
