"""The plan of the machine at hand: what every stage and entry script begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from weakref import WeakKeyDictionary

from pyinfra import host, logger, state
from pyinfra.api import Host

from deploys.facts import hub, locks
from deploys.facts.machine import Hardware
from deploys.operations import report, transport
from deploys.planning.machine import Machine
from deploys.planning.plan import HostPlan
from deploys.planning.profile import HostProfile
from deploys.planning.refusal import Refusal
from deploys.planning.resolve import model_of, resolve
from deploys.planning.site import Site

# Of one host: with what its services need, and without.
_plans: WeakKeyDictionary[Host, dict[bool, HostPlan]] = WeakKeyDictionary()
T = TypeVar("T")


def current_plan(*, pin: bool = True, services: bool = True) -> HostPlan:
    """What is decided for this host; read once a run.

    + pin: have models that no lock names yet listed by a hub, and written into the locks
    + services: False for a stage that serves nothing: what forbids a service does not stop it

    A refusal is printed and stops this host here, before anything was changed; the others go on.
    """
    this = state.inventory.get_host(host.name)
    plans = _plans.setdefault(this, {})
    # The whole plan, where there is one, says the same and more.
    known = plans.get(True) or plans.get(services)
    if known is None:
        transport.tune(this)
        report.begin(this.state)
        known = plans[services] = _or_stop(this, lambda: _resolved(pin, services))
    return known


def _or_stop(this: Host, decide: Callable[[], T]) -> T:
    try:
        return decide()
    except Refusal as refusal:
        logger.error(f"{this.print_prefix}refused: {refusal}")
        transport.stop(this)


def _resolved(pin: bool, services: bool) -> HostPlan:
    profile, site = _wanted()
    if not services:
        profile = replace(profile, services=())
    machine = host.get_fact(Hardware, data_root=site.data_root)
    if machine is None:
        raise Refusal("There is no python3 on this machine", "apt-get install python3 on it")
    pins = locks.read(site.locks)
    plan = resolve(profile, site, machine, pins)
    for warning in plan.warnings:
        logger.warning(f"{host.print_prefix}{warning}")
    if pin and plan.unlocked and not transport.is_simulated(host):
        plan = _pinned(profile, site, machine, plan)
    return plan


def _wanted() -> tuple[HostProfile, Site]:
    profile, site = host.data.get("profile"), host.data.get("site")
    if not isinstance(profile, HostProfile) or not isinstance(site, Site):
        missing = "site" if isinstance(profile, HostProfile) else "profile"
        raise Refusal(
            f"This host has no {missing}",
            f"Name its host class: {missing} is set in inventories/group_data, in the file called"
            " like the inventory or like a group in it",
        )
    return profile, site


def _pinned(profile: HostProfile, site: Site, machine: Machine, plan: HostPlan) -> HostPlan:
    """The plan once more, with the files that it lacked listed by a hub and pinned."""
    models = {model.key: model for model in map(model_of, profile.services)}
    for weights in plan.weights:
        if weights.locked:
            continue
        # Machines of one class ask for the same model: one listing serves them all.
        with transport.turn(f"pin {weights.model}"):
            if weights.model in locks.read(site.locks).weights:
                continue
            lock = hub.listed(models[weights.model], weights.sources)
            locks.write(site.locks, {weights.model: lock})
            logger.info(
                f"{host.print_prefix}pinned {weights.model} in {site.locks / 'weights.yaml'}:"
                f" {len(lock.files)} files of {lock.hub}:{lock.repository} at {lock.revision}"
            )
    return resolve(profile, site, machine, locks.read(site.locks))
