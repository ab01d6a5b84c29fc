"""Models registered with Ollama without a second copy of their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.ollama import Registered
from deploys.operations import job


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One model that Ollama is to have; deploys/remote/ollama/registration.py reads it.

    + name: what Ollama calls it, such as "tiny" or "tiny:q4"
    + directory: the model directory; its manifest holds
    + file: path in it of the GGUF that Ollama opens; None where there is but one
    + projector: path in it of the file that lets the model see images; None where there is none
    + adapter: path of the LoRA adapter that its answers have in adapter_directory, another model
      directory; None where there is none
    + models: Ollama's folder (OLLAMA_MODELS), best on the same file system
    + version: Ollama's own; the layout of the folder is known for some (remote/ollama/store.py)
    + program: where Ollama lies
    + parameters: what a Modelfile would set by PARAMETER, such as num_ctx
    + owner: account that Ollama runs as, "user" or "user:group"
    + allow_copy: a second copy of the weights is allowed: where a hard link cannot be, and by
      `ollama create`, where the version is not known
    """

    name: str
    directory: str
    models: str
    version: str
    program: str
    owner: str
    parameters: dict[str, int | float] = field(default_factory=dict)
    allow_copy: bool = False
    file: str | None = None
    projector: str | None = None
    adapter: str | None = None
    adapter_directory: str | None = None


@operation()
def registered(
    models: Sequence[Registration], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Register models with Ollama: the weights by hard link, then the small blobs, the manifest last.

    + models: what Ollama should have; the weights are on the machine already

    Ollama may be running. A model of the same name that is not ours is never replaced.
    """
    missing = [model for model in models if model.name not in _known(models)]
    if not missing:
        host.noop("Ollama has all its models")
        return
    for model in missing:
        yield from _work("register", model, systemd)


@operation()
def unregistered(
    models: Sequence[Registration], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Unregister our models from Ollama; the weights themselves are kept.

    + models: as they were registered
    """
    known = _known(models)
    if not known:
        host.noop("Ollama has none of these models")
        return
    for model in models:
        if model.name in known:
            yield from _work("unregister", model, systemd)


def _known(models: Sequence[Registration]) -> set[str]:
    if not models:
        return set()
    specs = json.dumps([asdict(model) for model in models])
    found: set[str] = host.get_fact(Registered, specs=specs)
    return found


def _work(verb: str, model: Registration, systemd: bool) -> Generator[PyinfraCommand, None, None]:
    spec = asdict(model)
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    yield from job.running(
        f"ollama-{verb}-{digest}",
        ["python3", "{program}", "ollama", verb, "{spec}"],
        systemd=systemd,
        spec=spec,
    )
