"""The weights of a machine's services: their files, sources, location, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deploys.planning.adapters.adapter import Adapter
from deploys.planning.adapters.fits import adapters_of
from deploys.planning.checkpoint.reference import is_reference, reference
from deploys.planning.inputs.locks import Locks, WeightsLock
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub, Site
from deploys.planning.models import catalogue
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Task
from deploys.planning.quantity import human
from deploys.planning.weights import gguf_files, merge_policy
from deploys.planning.weights.plan import HubSource, Weights

# What a file system must keep free beyond the weights, as a share of them.
_DISK_MARGIN = 1.05


def model_of(service: Service) -> Model:
    """Return the model that a service names or defines; a reference has been read before."""
    if isinstance(service.model, Model):
        return service.model
    return catalogue.model(service.model)


def key_of(service: Service) -> str:
    """Return the key of a service's model, which is known before a hub is asked."""
    if is_reference(service.model):
        return reference(str(service.model)).key
    return model_of(service).key


def keys_of(service: Service) -> set[str]:
    """Return the keys of all that a service has on disk: its model and its adapters."""
    adapters = (service.adapters or {}).values()
    return {key_of(service)} | {
        each.key if isinstance(each, Adapter) else reference(each).key for each in adapters
    }


def task_of(service: Service) -> Task:
    """Return what is asked of a service: the operator's word, else what its network is made for."""
    return service.task or model_of(service).network.task


def weights_of(
    services: Sequence[Service], site: Site, locks: Locks, *, locked: bool
) -> tuple[Weights, ...]:
    """Return one entry per model and per adapter, however many services share it.

    Raise Refusal if a model cannot be had, or if it is not pinned and the profile is `locked`.
    """
    plans: dict[str, Weights] = {}
    models: dict[str, Model] = {}
    for service in services:
        model = model_of(service)
        if models.setdefault(model.key, model) != model:
            raise Refusal(
                f"Two different models are called {model.key}", "Give one of them another key"
            )
        sharing = [each for each in services if model_of(each).key == model.key]
        lock = locks.weights.get(model.key)
        located = _located(model, site, lock, locked=locked)
        opened = _opened(model, lock, site)
        plans[model.key] = replace(
            located,
            opened=opened,
            projector=_read(model, lock, site, gguf_files.projector, model.projector),
            merge=_merged_name(sharing, opened),
            quantization=model.quantization if model.format == "safetensors" else None,
        )
        for adapter in adapters_of(service).values():
            lock = locks.weights.get(adapter.key)
            plans[adapter.key] = _located(adapter, site, lock, locked=locked)
    return tuple(plans.values())


def _check_lock(
    model: Model | Adapter, site: Site, lock: WeightsLock | None, *, locked: bool
) -> None:
    """Raise Refusal if a pin is of another repository, or is needed and not there."""
    if lock is not None and lock.repository not in (model.modelscope, model.huggingface):
        raise Refusal(
            f"{model.key} is pinned to {lock.repository}, which is not where the model is now",
            f"Give the model another key, or remove the entry from {site.locks}/weights.yaml",
        )
    if lock is None and locked:
        raise Refusal(
            f"{model.key} is not pinned in {site.locks / 'weights.yaml'}, and the profile is"
            " locked",
            "Pin it with deploys/lock.py, or set locked=False",
        )


def _located(
    model: Model | Adapter, site: Site, lock: WeightsLock | None, *, locked: bool
) -> Weights:
    """Return where the files come from and go to; raise Refusal where they cannot be had."""
    mirror, sources = None if site.disk else site.mirrors.weights, _sources(model, site, lock)
    _check_lock(model, site, lock, locked=locked)
    return Weights(
        model=model.key,
        directory=f"{site.data_root}/models/{model.key}",
        sources=sources,
        files=lock.files if lock else (),
        size=lock.size if lock else model.size,
        merge=None,
        folders=tuple(f"{folder.rstrip('/')}/{model.key}" for folder in _folders(site)),
        server=f"{mirror.rstrip('/')}/{model.key}" if mirror else None,
    )


def _folders(site: Site) -> tuple[str, ...]:
    return (*site.folders, f"{site.disk}/weights") if site.disk else site.folders


def _sources(model: Model | Adapter, site: Site, lock: WeightsLock | None) -> tuple[HubSource, ...]:
    """Return the repositories of the model, in the site's order of hubs."""
    repositories: dict[Hub, str | None] = {
        "modelscope": model.modelscope,
        "huggingface": model.huggingface,
    }
    pinned = {
        place.hub: place.revision
        for place in (lock.places if lock else ())
        if place.repository == repositories[place.hub]
    }
    sources = tuple(
        HubSource(
            kind=hub,
            endpoint=site.url(hub),
            repository=repository,
            # A commit is the name of one hub's history; on the other the hashes must agree.
            revision=pinned.get(hub) or _revision(model, hub),
            token_file=token_file(hub) if hub in site.tokens else None,
        )
        for hub in site.hubs
        if (repository := repositories[hub]) and getattr(site.mirrors, hub)
    )
    if not sources and not (lock and (site.folders or site.mirrors.weights)):
        raise Refusal(
            f"{model.key} is on none of the hubs of this site ({', '.join(site.hubs)})",
            "Add a hub to the site in inventories/group_data, or choose another model",
        )
    return sources


def token_file(hub: Hub) -> str:
    """Return the path on the machine of a hub's access token."""
    return f"/etc/modelrack/secrets/{hub}.token"


def _revision(model: Model | Adapter, hub: Hub) -> str:
    return model.revision if model.revision != "master" else default_branch(hub)


def default_branch(hub: Hub) -> str:
    """Return the branch that a hub shows of a repository."""
    return "main" if hub == "huggingface" else "master"


def _opened(model: Model, lock: WeightsLock | None, site: Site) -> str | None:
    """Return the file that engines open, of a GGUF that is pinned."""
    return _read(model, lock, site, gguf_files.model_file)


def _read(
    model: Model,
    lock: WeightsLock | None,
    site: Site,
    choose: Callable[..., str | None],
    *pattern: str | None,
) -> str | None:
    """Return the file that `choose` does of a GGUF that is pinned; raise Refusal as it does."""
    if lock is None or model.format != "gguf":
        return None
    try:
        return choose(*pattern, [file.path for file in lock.files])
    except Refusal as refusal:
        raise Refusal(
            f"{model.key}: {refusal.reason}",
            f"{refusal.hint}; then remove the entry of {model.key} from"
            f" {site.locks}/weights.yaml, to have it pinned again",
        ) from refusal


def _merged_name(services: Sequence[Service], opened: str | None) -> str | None:
    """Return the name of the merged GGUF, or None if there are no shards or they are kept."""
    shard = gguf_files.SHARD.fullmatch(opened or "")
    if not shard:
        return None
    if merge_policy.needs_merge(services):
        return f"{shard['prefix'].rpartition('/')[2]}.gguf"
    if not shard[0].endswith(f"-00001-of-{shard['count']}.gguf"):
        raise Refusal(
            f"Service {services[0].name}: {shard[0]} is the first of several shards, and"
            f" {services[0].engine} finds the others only if its name ends in"
            f" -00001-of-{shard['count']}.gguf",
            f"Set merge=True of {services[0].name}: a single file may have any name",
        )
    return None


def missing_of(weights: Weights, machine: Machine) -> int:
    """Return the bytes still to be fetched."""
    return max(0, weights.size - machine.stored.get(weights.model, 0))


def check_disk(weights: Sequence[Weights], machine: Machine) -> Iterator[Refusal]:
    """Yield a refusal for each file system that the weights do not fit on."""
    missing: dict[str, int] = {}
    free: dict[str, int] = {}
    for plan in weights:
        disk = machine.disk_of(plan.directory)
        if disk is None:
            continue
        free[disk.mount] = disk.free
        remaining = missing_of(plan, machine)
        missing[disk.mount] = missing.get(disk.mount, 0) + int(remaining * _DISK_MARGIN)
    for mount, needed in missing.items():
        if needed > free[mount]:
            yield Refusal(
                f"The weights need {human(needed)} on {mount}, which has {human(free[mount])} free",
                f"Free {human(needed - free[mount], up=True)} there, or set data_root of the site"
                " to a larger file system",
            )
