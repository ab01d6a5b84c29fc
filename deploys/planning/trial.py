"""A host class with another model: whether it fits there, asked without writing a profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from deploys.planning.engines.base import HONOURED
from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.models.model import Model


def profiles(profile: HostProfile, model: Model) -> Iterator[HostProfile]:
    """Yield the profile of a class with this model alone, on each engine that reads it.

    The engines of the class come first, as they are what its cards are served with; then those with
    a process for each model. Machines that serve a model together do so with this one, too.
    """
    name = re.sub(r"[^a-z0-9.-]+", "-", model.key)[:63].strip(".-")
    most = max((each.machines for each in profile.services), default=1)
    others = sorted(ENGINES, key=lambda engine: bool(ENGINES[engine].shared))
    for engine in dict.fromkeys([*(each.engine for each in profile.services), *others]):
        if model.format in ENGINES[engine].reads.formats:
            together = ENGINES[engine].settings.machines == HONOURED
            service = Service(
                name=name,
                engine=engine,
                model=model,
                port=8000,
                machines=most if together else 1,
            )
            yield replace(profile, services=(service,), gateway=None, locked=False)
