"""What profiles name by a hub: read there the first time, and from the locks from then on.

Machines of one class name the same ones: each is read once a run, on however many machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from deploys.connection import transport
from deploys.control import hub, locks, tokens
from deploys.control.hub import Ask, Tokens
from deploys.control.hub_clients import ListingAnswer
from deploys.planning.adapters.fits import adapters_of
from deploys.planning.checkpoint import files, parsed, read
from deploys.planning.checkpoint import understood as understanding
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import Reference, is_reference, reference
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models import catalogue
from deploys.planning.models.model import Model
from deploys.planning.plan import HostPlan
from deploys.planning.weights.plan import HubSource
from deploys.planning.weights.weights import default_branch

_read: dict[tuple[Path, str], Published | Refusal] = {}


def with_published(profile: HostProfile, site: Site, machine: Ask | None) -> Locks:
    """Return the pins, with what hubs say now of what nothing is pinned of.

    A profile that is `locked` has none read.

    + machine: asks the hubs from a machine, for when none can be reached from here
    """
    return _added([] if profile.locked else references(profile), site, machine)


def keep(profile: HostProfile, site: Site) -> None:
    """Write down what was read for a profile, for plans to come."""
    kept = locks.read(site.locks).published
    for wanted in references(profile):
        found = _read.get((site.locks, wanted.key))
        if wanted.key not in kept and isinstance(found, Published):
            locks.keep(site.locks, wanted.key, found)


def one(name: str, site: Site, machine: Ask | None) -> tuple[Model, list[str]]:
    """Return what a key of the catalogue or a name on a hub means, and what was understood of it.

    Nothing is written down of it. Raise Refusal if it cannot be had.

    + machine: as in with_published
    """
    if not is_reference(name):
        return catalogue.model(name), []
    wanted = reference(name)
    found = _added([wanted], site, machine)
    model = read.of_reference(wanted, found, site.locks)
    return model, list(_lines(wanted, model, found))


def understood(profile: HostProfile, plan: HostPlan, found: Locks) -> list[str]:
    """Return what was understood of all that a profile names by a hub, and of its plan."""
    named = {service.name: service for service in plan.profile.services}
    lines: list[str] = []
    for service in profile.services:
        model = named[service.name].model
        if is_reference(service.model) and isinstance(model, Model):
            lines += _lines(reference(str(service.model)), model, found)
        for name, adapter in adapters_of(named[service.name]).items():
            lines.append(understanding.of_adapter(str((service.adapters or {})[name]), adapter))
    return list(dict.fromkeys(lines))


def references(profile: HostProfile) -> Iterator[Reference]:
    """Yield what the services of a profile name by a hub: models and adapters."""
    for service in profile.services:
        if is_reference(service.model):
            yield reference(str(service.model))
        for adapter in (service.adapters or {}).values():
            if isinstance(adapter, str):
                yield reference(adapter)


def _added(wanted: Iterable[Reference], site: Site, machine: Ask | None) -> Locks:
    found = locks.read(site.locks)
    added: dict[str, Published | Refusal] = {}
    for each in wanted:
        if each.key in found.published:
            continue
        at = site.locks, each.key
        with transport.exclusive(f"read {each}"):
            if at not in _read:
                _read[at] = _attempt(each, site, found, machine)
        added[each.key] = _read[at]
    return replace(found, published={**found.published, **added})


def _lines(wanted: Reference, model: Model, found: Locks) -> Iterator[str]:
    published = found.published[wanted.key]
    assert isinstance(published, Published)
    return understanding.lines(str(wanted), model, published.documents)


def _attempt(
    wanted: Reference, site: Site, found: Locks, machine: Ask | None
) -> Published | Refusal:
    # Of weights that are pinned, the documents of the same commit.
    lock = found.weights.get(wanted.key)
    try:
        return published(
            wanted, _source(wanted, site, lock.revision if lock else None), site, machine
        )
    except Refusal as refusal:
        return refusal


def published(wanted: Reference, source: HubSource, site: Site, machine: Ask | None) -> Published:
    """Return what a hub says of a model; raise Refusal if it does not, or not of one model."""
    known = tokens.of(site)
    listed = _ask(source, known, machine, patterns=(), small=0)
    try:
        listing = {str(file["path"]): file for file in listed["files"]}
        sizes = {path: int(file["size"]) for path, file in listing.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"The listing of {wanted} cannot be read: {error}", "Use another hub or mirror"
        ) from error
    heads = files.heads_of(wanted, sizes)
    texts = files.documents_of(sizes, gguf=any(path.lower().endswith(".gguf") for path in heads))
    at = replace(source, revision=str(listed["revision"]))
    said = _ask(
        at,
        known,
        machine,
        texts=[listing[path] for path in texts],
        heads=[listing[path] for path in heads],
    )
    try:
        documents = parsed.documents(said["texts"], said["heads"])
    except Refusal as refusal:
        raise Refusal(f"{wanted}: {refusal.reason}", refusal.hint) from None
    return Published(reference=str(wanted), revision=at.revision, files=sizes, documents=documents)


def _ask(source: HubSource, known: Tokens, machine: Ask | None, **wanted: object) -> ListingAnswer:
    (answer,) = hub.ask([hub.request_to(source, known, **wanted)], machine)
    try:
        hub.check_answer(source, answer, known)
    except Refusal as refusal:
        raise Refusal(
            f"{hub.name_of(source)} could not be read: {refusal.reason}", refusal.hint
        ) from None
    return answer


def _source(wanted: Reference, site: Site, revision: str | None) -> HubSource:
    if wanted.hub not in site.hubs:
        raise Refusal(
            f"{wanted} is on none of the hubs of this site ({', '.join(site.hubs)})",
            "Add its hub to the site in inventories/group_data, or name a model of another",
        )
    return HubSource(
        kind=wanted.hub,
        endpoint=site.url(wanted.hub),
        repository=wanted.repository,
        revision=revision or wanted.revision or default_branch(wanted.hub),
    )
