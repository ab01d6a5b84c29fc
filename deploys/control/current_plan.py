"""The plan of the current host, which every stage and entry script starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn
from weakref import WeakKeyDictionary, WeakSet

from pyinfra import host, logger, state
from pyinfra.api import Host

from deploys.connection import report, transport
from deploys.control import checkpoints, golden_unit, groups, pins, tokens
from deploys.control.bundle import record, signers
from deploys.control.hub import Ask
from deploys.control.lifecycle import backups
from deploys.control.neighbours import neighbours
from deploys.control.surroundings import around
from deploys.facts.machine import Hardware, WithoutPython
from deploys.planning import trial
from deploys.planning.bundle.contents import contents
from deploys.planning.bundle.record import BundleRecord
from deploys.planning.first_python import FirstPython, first_python
from deploys.planning.inputs import golden_unit as golden_units
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve

_seen: WeakKeyDictionary[Host, tuple[Machine, HostPlan]] = WeakKeyDictionary()
_machines: WeakKeyDictionary[Host, Machine | None] = WeakKeyDictionary()
_bundles: WeakKeyDictionary[Host, BundleRecord | None] = WeakKeyDictionary()
_warned: WeakSet[Host] = WeakSet()


def without_python(*, to_change: bool = True) -> FirstPython | None:
    """Return what this host needs before anything can be planned; None if it has Python.

    + to_change: False for a script that only looks, which anybody may do
    """
    this = state.inventory.get_host(host.name)
    transport.harden(this)
    report.register(this.state)
    try:
        _, site = _wanted()
        if _machine(this, site) is not None:
            return None
        if this in state.failed_hosts:
            transport.stop(this)
        tokens.of(site)  # A refusal is due before any change.
        bare = this.get_fact(WithoutPython)
        if bare is None:
            transport.stop(this)
        first = first_python(site, bare)
        _bundle(this, site)  # It comes from there, too.
        if to_change:
            _check_root(bare.user)
        return first
    except Refusal as refusal:
        stop(this, [refusal])


def planned(*, to_change: bool = False, model: str | None = None) -> tuple[Machine, HostPlan]:
    """Return this host as it is and its plan, refusals included; read once a run.

    + to_change: refuse a run that may not change the machine
    + model: a key of the catalogue or a name on a hub to plan for instead of the profile's services
    """
    this = state.inventory.get_host(host.name)
    try:
        if this not in _seen:
            transport.harden(this)
            report.register(this.state)
            _seen[this] = _resolved(model)
        if to_change:
            _check_root(_seen[this][0].user)
    except Refusal as refusal:
        stop(this, [refusal])
    return _seen[this]


def current_plan(*, services: bool = True) -> HostPlan:
    """Return the plan of the current host, to be carried out.

    + services: False for a stage that does not depend on services; refusals of services then do not
      stop it, and their models are not pinned

    A refusal is printed and stops this host before anything is changed; the other hosts continue.
    """
    this = state.inventory.get_host(host.name)
    _, plan = planned(to_change=True)
    against = [refusal for refusal in plan.refusals if services or not refusal.service]
    if against:
        stop(this, against)
    if this not in _warned:
        _warned.add(this)
        for warning in plan.warnings if services else plan.driver.warnings if plan.driver else ():
            logger.warning(f"{this.print_prefix}{warning}")
    return pinned() if services and not transport.is_simulated(this) else plan


def pinned() -> HostPlan:
    """Return the plan after listing and pinning the models that no lock entry exists for."""
    this = state.inventory.get_host(host.name)
    machine, plan = planned()
    checkpoints.keep(*_wanted())
    if plan.unlocked:
        lines, against = pins.pin_missing(plan)
        for line in lines:
            logger.info(f"{this.print_prefix}{line}")
        again = _plan(this, plan.profile, plan.site, machine)
        # What the hub listed may be larger than what was published.
        before = set(map(str, plan.refusals))
        against += [refusal for refusal in again.refusals if str(refusal) not in before]
        if against:
            stop(this, against)
        _seen[this] = machine, again
    return _seen[this][1]


def locked() -> list[str]:
    """Pin or check each model of this host and return what there is to say of each.

    A model that no hub has, or that differs from its pin, stops this host after the others are
    done.
    """
    this = state.inventory.get_host(host.name)
    machine, plan = planned()
    # What a locked profile refuses is what this is for; who may ask does not matter.
    wanted, site = _wanted()
    profile = replace(wanted, locked=False, gateway=None)
    found = checkpoints.with_published(profile, site, pins.ask_machine)
    plan = resolve(profile, site, machine, found)
    checkpoints.keep(profile, site)
    said = checkpoints.understood(profile, plan, found)
    lines, against = pins.pin_missing(plan)
    more, also_against = pins.check_pinned(plan)
    served = {service.name for service in plan.services}
    against += also_against
    against += [each for each in plan.refusals if each.service and each.service not in served]
    for line in said + lines + more if against else ():
        logger.info(f"{this.print_prefix}{line}")
    if against:
        stop(this, against)
    return said + lines + more


def stop(this: Host, refusals: Sequence[Refusal]) -> NoReturn:
    """Print refusals and end the deploy on one host, which counts as failed."""
    for refusal in refusals:
        logger.error(f"{this.print_prefix}refused: {refusal}")
    transport.stop(this)


def _resolved(model: str | None) -> tuple[Machine, HostPlan]:
    profile, site = _wanted()
    # Read again where they are needed; a refusal is due before any change.
    tokens.of(site)
    signers.of(site)
    this = state.inventory.get_host(host.name)
    backups.of(site, this.name)
    machine = _machine(this, site)
    if this in state.failed_hosts:
        transport.stop(this)
    if machine is None:
        raise Refusal(
            "There is no python3 on this machine that our programs run on",
            "Where it is missing, deploys/full.py and deploys.stages.base.install install it first;"
            " where there is one that does not work, repair it",
        )
    if model is None:
        return machine, _plan(this, profile, site, machine)
    meant, lines = checkpoints.one(model, site, _asking(this))
    for line in lines:
        logger.info(f"{this.print_prefix}{line}")
    tried = []
    for each in trial.profiles(profile, meant):
        tried.append(_plan(this, each, site, machine))
        if not tried[-1].refusals:
            return machine, tried[-1]
    return machine, tried[0]


def _asking(this: Host) -> Ask | None:
    """Return who asks a hub that cannot be reached from here; a simulated host reaches none."""
    return None if transport.is_simulated(this) else pins.ask_machine


def _plan(this: Host, profile: HostProfile, site: Site, machine: Machine) -> HostPlan:
    """Return the plan of a machine, which is refused if that of another of its group is."""
    plan = _alone(this, profile, site, machine)
    for service in plan.services:
        for node in service.group.beside if service.group else ():
            other = state.inventory.get_host(node.name)
            theirs, its_site = groups.profile_of(other, this, profile), groups.site_of(other, site)
            there = _machine(other, its_site)
            if there is not None:
                known = {refusal.reason for refusal in plan.refusals}
                against = _alone(other, theirs, its_site, there).refusals
                also = groups.also_refused(service.name, node.name, against, known)
                plan = replace(plan, refusals=(*plan.refusals, *also))
    return plan


def _alone(this: Host, profile: HostProfile, site: Site, machine: Machine) -> HostPlan:
    found = checkpoints.with_published(profile, site, _asking(this))
    others = neighbours(this, site, _machine)
    beside = around(this, profile, site, _machine)
    fellows = groups.members(this, profile, site, _machine)
    if not machine.booted:
        # The tree of an image is called by where it lies on the builder.
        beside = replace(beside, name="this")
    plan = resolve(profile, site, machine, found, others, beside, fellows)
    bundle = _bundle(this, site)
    if bundle is None or plan.refusals or plan.unlocked:
        return plan
    lacking = bundle.lacks(contents(plan, machine))
    return replace(plan, refusals=tuple(lacking))


def _bundle(of: Host, site: Site) -> BundleRecord | None:
    """Return the record of a host's bundle, read once a run; a refusal is none."""
    if of not in _bundles:
        _bundles[of] = record.of_site(of, site)
    return _bundles[of]


def _machine(of: Host, site: Site) -> Machine | None:
    """Return a machine of this run, read once, whichever host asks first."""
    with transport.exclusive(f"look at {of.name}"):
        if _machines.get(of) is None:
            transport.harden(of)
            found = of.get_fact(Hardware, data_root=site.data_root)
            if found is not None and not found.booted:
                found = golden_units.as_unit(found, golden_unit.read(of.data.get("golden_unit")))
            _machines[of] = found
    return _machines[of]


def _check_root(user: str) -> None:
    if user != "root":
        raise Refusal(
            f"This run is user {user} on the machine, and only root can change it",
            "Add --sudo, and --same-sudo-password where sudo asks for one",
        )


def _wanted() -> tuple[HostProfile, Site]:
    profile, site = host.data.get("profile"), host.data.get("site")
    if not isinstance(profile, HostProfile) or not isinstance(site, Site):
        missing = "site" if isinstance(profile, HostProfile) else "profile"
        raise Refusal(
            f"This host has no {missing}",
            f"Name its host class: {missing} is set in inventories/group_data, in the file named"
            " after the inventory or after a group in it",
        )
    return profile, site
