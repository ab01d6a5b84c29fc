"""What is to serve: a unit of systemd with its files, and what its process must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from deploys.operations.files import File
from deploys.planning.models.shapes import Task
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering import render

# Fields that are lists in a note.
_TUPLES = ("weights", "adapters", "group", "cards")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One service of a machine; several may be served by one unit of systemd.

    + name: of the unit, with its instance
    + files: unit file and configuration; the same File may belong to several services
    + digest: of all that a running process must have been started with; it finds it in its
      environment as MODELRACK_DIGEST. None for a program that overwrites its environment (nginx):
      then only the age of its files counts
    + url: where it answers; None for what answers nobody, such as a machine of a group beside its
      head: that it runs is all
    + model: which model must answer; None for a server without models
    + group: names of the other machines that serve it together with this one
    + weights: files that it has loaded; one that was fetched again since is not what it serves
    + engine: who serves the model, so whose words the journal is in
    + task: what it is asked; vector: numbers of a vector, where it makes them
    + adapters: further names of models that must answer, its LoRA adapters
    + context: tokens that one request must be able to use
    + sampling: how it draws answers where a request does not say it, as far as somebody said so
    + cards: PCI addresses of what it must compute on, as its log says when it starts; () where
      nothing but these can be meant; layers: how many must be there
    + measured: file on the machine that keeps how fast it is
    + min_tokens_per_second: tokens per second that one request alone must get, or have read where
      nothing is written; None for no opinion
    + journal: namespace of the journal that its words are in, beside the machine's own
    + stable: seconds it has to stay up
    + patience: seconds it may take to load the model

    A new field needs a default: machines have notes of older units, to go back to them.
    """

    name: str
    files: tuple[File, ...]
    digest: str | None
    url: str | None
    model: str | None
    weights: tuple[str, ...] = ()
    engine: str | None = None
    task: Task = "generate"
    vector: int | None = None
    adapters: tuple[str, ...] = ()
    context: int | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    cards: tuple[str, ...] = ()
    layers: int | None = None
    measured: str | None = None
    min_tokens_per_second: float | None = None
    journal: str | None = None
    group: tuple[str, ...] = ()
    stable: float = 3.0
    patience: float = 1800.0

    @classmethod
    def of(cls, plan: HostPlan, planned: ServicePlan) -> Unit:
        """Return the unit of a planned service."""
        rendered, digest = render.service(plan, planned)
        network = model_of(plan.wanted_of(planned)).network
        return cls(
            name=planned.unit,
            engine=planned.engine,
            files=tuple(map(File.of, rendered)),
            digest=digest,
            url=planned.url if planned.answers else None,
            model=planned.served if planned.answers else None,
            weights=(*planned.weights.paths, *(each.path for each in planned.adapters)),
            patience=planned.patience,
            task=planned.task,
            vector=network.hidden if planned.task == "embed" else None,
            adapters=planned.adapter_names,
            context=planned.context,
            sampling=dict(plan.wanted_of(planned).sampling or {}),
            # Vulkan's loader has devices of its own, among them one that is the processor.
            cards=planned.cards if plan.stack.backend == "Vulkan" else (),
            layers=planned.placement.gpu_layers,
            measured=planned.measured if planned.answers else None,
            min_tokens_per_second=planned.min_tokens_per_second,
            group=tuple(node.name for node in planned.group.beside) if planned.group else (),
        )

    @classmethod
    def noted(cls, note: dict[str, Any]) -> Unit:
        """Return the unit recorded on a machine; its files already exist there."""
        known = {field.name for field in fields(cls)} & {*note}
        values = {name: note[name] for name in known}
        values |= {name: (*note.get(name, ()),) for name in _TUPLES}
        return cls(files=(), **values)

    def to_note(self) -> dict[str, Any]:
        """Return everything needed to check the unit again later."""
        return {name: value for name, value in vars(self).items() if name != "files"}
