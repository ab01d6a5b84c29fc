"""A model that a service names by a hub, as the Model that its documents make of it."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deploys.planning.adapters import fits
from deploys.planning.adapters import read as adapters
from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint import architectures, files, gguf_network, quantization
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import Reference, is_reference, reference
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.weights.weights import key_of

# Nobody publishes more; a listing that goes on is not read to its end.
_MOST_FILES = 20_000


def named(
    profile: HostProfile, locks: Locks, folder: Path
) -> tuple[HostProfile, tuple[Refusal, ...]]:
    """Return the profile with what each reference means, and refusals of those that mean nothing.

    A service of the latter keeps its reference.

    + folder: of the locks, for the refusals
    """
    services, against = [], []
    for service in profile.services:
        try:
            service = _named(service, locks, folder)
        except Refusal as refusal:
            against.append(Refusal(refusal.reason, refusal.hint, service.name))
        services.append(service)
    return replace(profile, services=tuple(services)), tuple(against)


def is_named(service: Service) -> bool:
    """Return whether all that the service names by a hub has been read."""
    adapters = (service.adapters or {}).values()
    return not is_reference(service.model) and all(isinstance(each, Adapter) for each in adapters)


def of_reference(wanted: Reference, locks: Locks, folder: Path) -> Model:
    """Return the model of a reference; raise Refusal if it could not be read, or is not pinned."""
    found = _published(wanted, locks, folder)
    return model(wanted, found.documents, found.files, found.revision)


def _named(service: Service, locks: Locks, folder: Path) -> Service:
    """Return the service with the Model and each Adapter that it names by a hub."""
    if is_reference(service.model):
        made = of_reference(reference(str(service.model)), locks, folder)
        service = replace(service, model=made)
    if service.adapters:
        found = {
            name: _adapter(each, locks, folder) if isinstance(each, str) else each
            for name, each in service.adapters.items()
        }
        service = replace(service, adapters=found)
        base = locks.published.get(key_of(service))
        if isinstance(base, Published):
            fits.check_architecture(service, base.documents.weights.get("general.architecture"))
    return service


def _adapter(text: str, locks: Locks, folder: Path) -> Adapter:
    wanted = reference(text)
    return adapters.adapter(wanted, _published(wanted, locks, folder))


def _published(wanted: Reference, locks: Locks, folder: Path) -> Published:
    found = locks.published.get(wanted.key)
    if isinstance(found, Refusal):
        raise Refusal(found.reason, found.hint)
    if found is None:
        raise Refusal(
            f"{wanted} is not pinned in {folder / 'models'}",
            "Pin it with deploys/lock.py, or set locked=False",
        )
    return found


def model(
    wanted: Reference, documents: Documents, listing: Mapping[str, int], revision: str
) -> Model:
    """Return what the documents say; raise Refusal, with the field to set, for what they do not.

    + listing: size in bytes of every file of the repository, by path
    + revision: that they were read at
    """
    if len(listing) > _MOST_FILES:
        raise Refusal(
            f"{wanted} has {len(listing):,} files, more than any model", "Choose another repository"
        )
    chosen = files.chosen(wanted, listing, documents)
    sizes = {path: listing[path] for path in (*chosen.weights, *chosen.beside)}
    projector = listing[chosen.projector] if chosen.projector else 0
    # Some files beside the weights are empty, and no weights are.
    least = {**dict.fromkeys(sizes, 0), **dict.fromkeys(chosen.weights, 1)}
    wrong = [path for path, size in sizes.items() if size < least[path]]
    if wrong or projector < 0:
        path = wrong[0] if wrong else str(chosen.projector)
        raise Refusal(
            f"{wanted}: its hub lists {path} with {listing[path]} bytes",
            "Choose another revision, or another repository",
        )
    is_gguf = chosen.format == "gguf"
    network = (gguf_network if is_gguf else architectures).network(documents, wanted.name)
    found = quantization.quantization(documents)
    return Model(
        key=wanted.key,
        title=f"{wanted.name} {wanted.pattern}" if wanted.pattern else wanted.name,
        network=network,
        format=chosen.format,
        quantization=found.name,
        scale_group=found.scale_group,
        modelscope=wanted.repository if wanted.hub == "modelscope" else None,
        huggingface=wanted.repository if wanted.hub == "huggingface" else None,
        files=tuple(map(glob.escape, sizes)),
        projector=glob.escape(chosen.projector) if chosen.projector else None,
        projector_size=projector,
        revision=revision,
        size=sum(sizes.values()) + projector,
        legacy_cache=is_gguf and gguf_network.keeps_all_heads(documents),
        source=f"its own documents at {revision}",
        confirmed=True,
    )
