"""What a refusal advises is planned: a smaller variant, a shorter context, what to leave out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.resolve import resolve
from tests.plans.simulated import MACHINES
from tests.plans.update import profile_of

LOCKS = lock_files.read(Site().locks)
# What an operator may have said, beside nothing, of engines that deal layers and of the others.
BOTH: tuple[dict[str, Any], ...] = (
    {},
    {"context": 131_072, "parallel": 8},
    {"context": 32_768, "parallel": 64},
    {"context": 8192},
)
SAID: dict[str, tuple[dict[str, Any], ...]] = {
    "gguf": (*BOTH, {"gpu_layers": 40, "parallel": 2}, {"cpu_experts": 1}),
    "safetensors": (*BOTH, {"tensor_parallel": 1, "context": 65_536}),
}
ENGINES = {"gguf": ("llama.cpp", "ollama"), "safetensors": ("vllm", "sglang")}
# Each of them has cards or memory of another kind: all, few, one memory, none.
RACKS = ("rtx3090", "v100", "cpu")


def refusals(name: str, service: Service) -> tuple[Refusal, ...]:
    """Why such a machine does not serve that."""
    profile = replace(profile_of(name), services=(service,), gateway=None)
    assert isinstance(profile, HostProfile)
    return resolve(profile, Site(), Machine.from_json(MACHINES[name]), LOCKS).refusals


def advised(service: Service, hint: str) -> Iterator[Service]:
    """The service as each clause of a hint would have it."""
    if found := re.search(r"Choose (\S+), which is", hint):
        yield replace(service, model=found[1])
    for field, value in re.findall(r"[Ss]et (\w+) to (\d+) or less", hint):
        yield replace(service, **{field: int(value)})
    if found := re.search(r"[Ll]eave (?!it |them )(\w+(?: and \w+)*) out$", hint):
        yield replace(service, **dict.fromkeys(found[1].split(" and ")))


@pytest.mark.parametrize("name", RACKS)
def test_what_a_refusal_advises_is_planned(name: str) -> None:
    followed: Counter[str] = Counter()
    for at, entry in enumerate(CATALOGUE.values()):
        if entry.format == "safetensors" and at % 8:
            continue
        for number, said in enumerate(SAID[entry.format]):
            engine: Any = ENGINES[entry.format][number % 2]
            service = Service(name="it", engine=engine, model=entry.key, port=8000, **said)
            found = refusals(name, service)
            # What is wrong with a setting is said before what is too large.
            if len(found) != 1 or not re.search("too large|needs", found[0].reason):
                continue
            for other in advised(service, found[0].hint):
                again = [str(each) for each in refusals(name, other)]
                assert not again, (str(found[0]), again)
                followed[found[0].hint.split()[0].lower()] += 1
    assert followed, "nothing was refused that a setting or a smaller variant mends"
