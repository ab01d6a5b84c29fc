"""What differs between the current host and its plan: compared, printed, and nothing written."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import NoReturn

import click
from pyinfra import host, state

from deploys.connection import looking, transport
from deploys.control import locks
from deploys.control.current_plan import planned
from deploys.facts.lifecycle.look import Look
from deploys.planning.engines import advisories
from deploys.planning.engines.software import Build, Environment
from deploys.planning.lifecycle import seen
from deploys.planning.plan import HostPlan

# Where what no operation compares is found.
_STRANGERS, _CONTENTS = "What no plan has", "Contents"
_VERSIONS, _VULNERABLE = "Versions", "Known vulnerabilities"
# Seconds that reading every byte of the weights may take.
_DEEP = 6 * 3600

Differences = list[tuple[str, list[str]]]


def compare(*, deep: bool) -> Differences:
    """Return what differs, by operation or by kind, in one more round trip than operations take.

    + deep: read every byte that has a checksum
    """
    this = state.inventory.get_host(host.name)
    machine, plan = planned()
    told, found = looking.end(this)
    hashes = {path: known() for path, known in told.hashes.items()}
    environments = [each for each in plan.software if isinstance(each, Environment)]
    packed = dict(_packed(plan)) if deep else {}
    request = {
        "hashes": [*hashes],
        "environments": [each.directory for each in environments],
        "data_root": plan.site.data_root,
        "deep": deep,
        "weights": [each.directory for each in plan.weights],
        "trees": [*packed],
    }
    limit = {"_timeout": _DEEP} if deep else {}
    look = this.get_fact(Look, request=json.dumps(request), **limit)
    versions, others = _versions(plan, environments, look)
    known = locks.advisories()["advisories"]
    beside = {
        _STRANGERS: seen.strangers(plan, machine, look, told.known, told.users),
        _CONTENTS: [*seen.contents(look, hashes), *seen.trees(look, packed)],
        _VERSIONS: others,
        _VULNERABLE: advisories.vulnerable(versions, known),
    }
    for kind, sentences in beside.items():
        if listed := list(sentences):
            found.append((kind, listed))
    return found


def _versions(
    plan: HostPlan, environments: list[Environment], look: seen.Seen
) -> tuple[dict[str, set[str]], list[str]]:
    """Return the versions of what is installed, and sentences about those that no lock has."""
    pins = locks.read(plan.site.locks).environments
    builds, same = locks.advisories()["builds"], locks.advisories()["same"]
    found: dict[str, set[str]] = {}
    others = []
    for software in plan.software:
        if not isinstance(software, Environment):
            number = str(builds.get(software.version, software.version))
            found.setdefault(software.name, set()).add(number)
    for each in environments:
        wanted = pins[each.lock].versions if each.lock in pins else {}
        for name, version in look.environments.get(each.directory, {}).items():
            found.setdefault(same.get(name, name), set()).add(version)
            if wanted and wanted.get(name) != version:
                instead = wanted.get(name, "none")
                others.append(f"{each.directory} has {name} {version} instead of {instead}")
    return found, others


def _packed(plan: HostPlan) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the folder of each build that this computer keeps, and the hashes of its files."""
    for software in plan.software:
        archive = plan.site.builds / software.packed if isinstance(software, Build) else None
        if archive is not None and archive.exists():
            hashes = {}
            with tarfile.open(archive) as members:
                for member in members:
                    if member.isfile() and (file := members.extractfile(member)):
                        digest = hashlib.sha256(file.read()).hexdigest()
                        hashes[member.name.removeprefix("./")] = digest
            yield software.directory, hashes


def report(found: Differences, *, as_json: bool) -> None:
    """Print what differs; a host of which anything does counts as failed."""
    if as_json:
        click.echo(
            json.dumps(
                {
                    "host": host.name,
                    "as_planned": not found,
                    "differences": [
                        {"where": where, "what": sentence}
                        for where, sentences in found
                        for sentence in sentences or [""]
                    ],
                }
            )
        )
    elif not found:
        click.echo(f"{host.name}: as planned")
    else:
        count = sum(len(sentences) or 1 for _, sentences in found)
        click.echo(f"{host.name}: {count} difference{'s' if count > 1 else ''} from its plan")
        for where, sentences in found:
            click.echo(f"  {where}")
            for sentence in sentences:
                click.echo(f"    {sentence}")
    if found:
        _fail()


def _fail() -> NoReturn:
    transport.stop(state.inventory.get_host(host.name))
