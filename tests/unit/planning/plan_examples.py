"""A machine, a model and the pins of it, which the tests of planning and rendering vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deploys.planning.inputs.locks import (
    ArtifactLock,
    EnvironmentLock,
    ListedFile,
    Locks,
    WeightsLock,
)
from deploys.planning.inputs.machine import Disk, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.plans.simulated import MACHINES

GIB = 1 << 30
MACHINE = replace(
    Machine.from_json(MACHINES["cpu"]),
    memory=32 * GIB,
    disks=(Disk(mount="/", kind="ext4", total=100 * GIB, free=50 * GIB),),
)
TINY = Network(
    name="Tiny",
    parameters=1,
    layers=1,
    hidden=1,
    heads=1,
    kv_heads=1,
    head_dim=1,
    vocabulary=1000,
    intermediate=1,
    context=32_768,
    licence="MIT",
)
SHARDS = ("tiny-00001-of-00003.gguf", "tiny-00002-of-00003.gguf", "tiny-00003-of-00003.gguf")


def machine(**fields: Any) -> Machine:
    """MACHINE, other where `fields` say so."""
    return replace(MACHINE, **fields)


def disk(free: int, mount: str = "/") -> Disk:
    """A file system with `free` bytes, half of it full."""
    return Disk(mount=mount, kind="ext4", total=2 * free, free=free)


def model(**fields: Any) -> Model:
    """A small GGUF model, other where `fields` say so."""
    return Model(
        **{
            "network": TINY,
            "key": "tiny",
            "title": "Tiny",
            "format": "gguf",
            "quantization": "F16",
            "modelscope": "o/tiny",
            "huggingface": "o/tiny-hf",
            "files": ("*.gguf",),
            "size": 3 * GIB,
            "source": "made up",
            **fields,
        }
    )


def distinct() -> list[Model]:
    """One of the catalogue's weights of those that are the same to a plan."""
    unlike = {}
    for entry in CATALOGUE.values():
        shape = reshaped(entry, name="", repository=None, modelscope=None, licence="")
        shape = reshaped(shape, parameters=1, active_parameters=None, dialect=None, images=False)
        sizing = (entry.format, entry.quantization, entry.scale_group, entry.legacy_cache)
        unlike.setdefault((shape.network, *sizing, round(entry.size / 1e9)), entry)
    return list(unlike.values())


def reshaped(entry: Model, **fields: Any) -> Model:
    """The same weights of a network that is other where `fields` say so."""
    return replace(entry, network=replace(entry.network, **fields))


def service(**fields: Any) -> Service:
    return Service(
        **{"name": "tiny", "engine": "llama.cpp", "model": model(), "port": 8080, **fields}
    )


def profile(*services: Service, **fields: Any) -> HostProfile:
    return HostProfile(services=services or (service(),), **fields)


def locks(files: Sequence[str] = SHARDS, **fields: Any) -> Locks:
    """The model pinned as `files`, llama.cpp's source, Ollama's release, the chat page's lock."""
    pinned = tuple(
        ListedFile(path=path, size=GIB, sha256=f"{n:064x}") for n, path in enumerate(files)
    )
    lock = WeightsLock(hub="modelscope", repository="o/tiny", revision="c0ffee", files=pinned)
    source = ArtifactLock(version="b1", origin="github", path="o/l/b1.tar.gz", tree_sha256="a" * 64)
    ollama = ArtifactLock(version="0.35.0", origin="ollama", path="v0/o.tar.zst", sha256="c" * 64)
    artifacts = {"llama.cpp": replace(source, **fields), "ollama": ollama}
    page = EnvironmentLock(digest="d" * 12, versions={"open-webui": "0.12.4"})
    return Locks(artifacts=artifacts, environments={"open-webui": page}, weights={"tiny": lock})


def attempt(
    wanted: HostProfile | None = None,
    *,
    site: Site | None = None,
    machine: Machine = MACHINE,
    pins: Locks | None = None,
) -> HostPlan:
    """A plan, whatever speaks against it."""
    return resolve(wanted or profile(), site or Site(), machine, pins or locks())


def plan(wanted: HostProfile | None = None, **given: Any) -> HostPlan:
    """A plan that can be carried out; the first of its refusals is raised."""
    made = attempt(wanted, **given)
    for refusal in made.refusals:
        raise refusal
    return made
