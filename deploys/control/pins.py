"""The models of a plan: pinned the first time, and compared with their pins on request.

Machines of one class want the same models: each model is listed once per run, on however many
machines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pyinfra import host, logger

from deploys.connection import transport
from deploys.control import hub, locks, tokens
from deploys.control.hub import Pinned
from deploys.control.hub_clients import ListingAnswer, ListingRequest
from deploys.facts.listings import Listings
from deploys.planning.adapters import fits
from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint.reference import is_reference
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.plan import HostPlan
from deploys.planning.quantity import human
from deploys.planning.weights.plan import Weights
from deploys.planning.weights.weights import model_of

_known: dict[tuple[Path, str], str | Refusal] = {}


def pin_missing(plan: HostPlan) -> tuple[list[str], list[Refusal]]:
    """Pin models without a lock entry; return a line for each, and the refusals of the others."""

    def pin(weights: Weights) -> Pinned:
        model = _models(plan)[weights.model]
        return hub.pin(model, weights.sources, tokens.of(plan.site), ask_machine)

    return _each(plan, [each for each in plan.weights if not each.locked], pin, "pinned")


def check_pinned(plan: HostPlan) -> tuple[list[str], list[Refusal]]:
    """Compare pinned models with the hubs; return a line for each match, and other refusals."""
    pinned = locks.read(plan.site.locks).weights

    def check(weights: Weights) -> Pinned:
        model, lock = _models(plan)[weights.model], pinned[weights.model]
        return hub.check(model, lock, weights.sources, tokens.of(plan.site), ask_machine)

    return _each(plan, [each for each in plan.weights if each.locked], check, "unchanged")


def _each(
    plan: HostPlan, wanted: list[Weights], ask: Callable[[Weights], Pinned], done: str
) -> tuple[list[str], list[Refusal]]:
    lines: list[str] = []
    against: list[Refusal] = []
    for weights in wanted:
        with transport.exclusive(f"pin {weights.model}"):
            key = plan.site.locks, weights.model
            if key not in _known:
                _known[key] = _asked(plan, weights, ask, done)
            found = _known[key]
        if isinstance(found, Refusal):
            against.append(found)
        else:
            lines.append(found)
    return lines, against


def _asked(
    plan: HostPlan, weights: Weights, ask: Callable[[Weights], Pinned], done: str
) -> str | Refusal:
    try:
        pinned = ask(weights)
    except Refusal as refusal:
        return refusal
    lock = pinned.lock
    if locks.read(plan.site.locks).weights.get(weights.model) != lock:
        locks.write(plan.site.locks, {weights.model: lock})
    for note in pinned.notes:
        logger.warning(f"{host.print_prefix}{weights.model}: {note}")
    places = " and ".join(
        f"{place.hub}:{place.repository} at {place.revision}" for place in lock.places
    )
    return f"{weights.model} is {done}: {len(lock.files)} files, {human(lock.size)}, {places}"


def _models(plan: HostPlan) -> dict[str, Model | Adapter]:
    served = [each for each in plan.profile.services if not is_reference(each.model)]
    models: list[Model | Adapter] = [model_of(service) for service in served]
    models += [each for service in served for each in fits.adapters_of(service).values()]
    return {model.key: model for model in models}


def ask_machine(requests: Sequence[ListingRequest]) -> Sequence[ListingAnswer]:
    """Return the answers to requests of one kind that this host gets of the hubs."""
    logger.info(f"{host.print_prefix}no hub can be reached from here, so this machine asks them")
    program = "hubs.documents" if "texts" in requests[0] else "hubs.listing"
    answers: list[ListingAnswer] = host.get_fact(
        Listings, program=program, _stdin=_SecretStdin(json.dumps(requests))
    )
    return answers


class _SecretStdin:
    """Standard input that contains a token: under --debug, pyinfra prints only this object's type.

    pyinfra requires an iterable, and then calls readlines().
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[str]:
        return iter(self.readlines())

    def readlines(self) -> list[str]:
        return [self._text]
