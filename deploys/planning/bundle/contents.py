"""What a machine takes from elsewhere on its way from bare to deployed, by its plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploys.planning.driver.plan import GroupName, Repository
from deploys.planning.engines.software import Build, Environment, Release
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.package_manager import SUITES
from deploys.planning.plan import HostPlan
from deploys.planning.weights.plan import Weights

# Of every machine, whatever it serves: our programs run on the first, downloads need the second.
_EVERY = ("python3", "ca-certificates")
_GATEWAY, _ACME, _FIREWALL, _PEERS = "haproxy", "acme-tiny", "nftables", "nginx"
_WATCHED, _WATCHING = "prometheus-node-exporter", ("prometheus", "prometheus-alertmanager")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one class of machines on one system takes.

    + system, suite: distribution and release, and what its archive calls that
    + architecture: as the distribution calls it
    + packages: of distribution and repository, some with versions as apt has them (NAME=VERSION-*)
    + pinning: those of the packages that tell apt which versions of others belong together
    + repositories: the driver vendor's own; none without a driver from there
    + archives: engines' sources and releases, and the keys of the repositories
    + environments: Python packages, each from its lock for one Python
    + own_python: the machine's; environments on another one need that as well
    + weights: models, pinned
    """

    system: str
    suite: str
    architecture: str
    packages: tuple[str, ...]
    repositories: tuple[Repository, ...]
    archives: tuple[ArtifactLock, ...]
    environments: tuple[Environment, ...]
    own_python: str
    weights: tuple[Weights, ...]
    pinning: tuple[str, ...] = ()


def contents(plan: HostPlan, machine: Machine, image: Sequence[str] = ()) -> Contents:
    """Return what the plan of a machine takes from elsewhere; raise Refusal if that has no bundle.

    + image: what the base tree of an image of this system is made of; () if none is made

    The plan has no refusals, and its models are pinned.
    """
    suite = SUITES.get((machine.os, machine.os_version))
    if suite is None:
        raise Refusal(
            f"There is no bundle for {machine.os} {machine.os_version}",
            "Make one for Debian 12 or 13, or Ubuntu 22.04 or 24.04",
        )
    if plan.unlocked:
        raise Refusal(
            f"{', '.join(plan.unlocked)} is not pinned, so nobody knows its files",
            "Pin it with deploys/lock.py, then run this again",
        )
    return Contents(
        system=f"{machine.os} {machine.os_version}",
        suite=suite,
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(machine.architecture, ""),
        packages=tuple(dict.fromkeys((*image, *_packages(plan)))),
        repositories=_repositories(plan),
        archives=tuple(dict.fromkeys(_archives(plan))),
        environments=tuple(each for each in plan.software if isinstance(each, Environment)),
        own_python=".".join(machine.python.split(".")[:2]),
        weights=plan.weights,
        pinning=tuple(_of_groups(plan, "pinning")),
    )


def _packages(plan: HostPlan) -> Iterator[str]:
    yield from _EVERY
    yield from plan.packages
    yield from _of_groups(plan)
    for each in plan.software:
        if isinstance(each, Build):
            yield from each.packages
    if plan.gateway:
        yield _GATEWAY
        if plan.gateway.acme:
            yield _ACME
    if plan.monitoring:
        yield _WATCHED
        yield from _WATCHING if plan.monitoring.by is None else ()
    if plan.firewall:
        yield _FIREWALL
    if plan.peer:
        yield _PEERS


def _of_groups(plan: HostPlan, *names: GroupName) -> Iterator[str]:
    """Yield the packages of a driver, all of them or those of some groups."""
    for group in plan.driver.groups if plan.driver else ():
        if not names or group.name in names:
            yield from group.packages


def _archives(plan: HostPlan) -> Iterator[ArtifactLock]:
    for each in plan.software:
        if isinstance(each, Build):
            yield each.source
        elif isinstance(each, Release):
            yield each.archive
    for repository in _repositories(plan):
        if repository.keyring:
            yield repository.keyring


def _repositories(plan: HostPlan) -> tuple[Repository, ...]:
    named = (plan.driver.repository, plan.driver.tools) if plan.driver else ()
    return tuple(each for each in named if each)
