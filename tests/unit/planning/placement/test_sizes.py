"""From one card of 8 GB to eight of 141 GB: the catalogue has what fills them, on ModelScope."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploys.planning.engines import compatibility
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.profile import Service
from deploys.planning.models.model import Model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.memory import GIB, Card
from tests.unit.planning.machines import machine
from tests.unit.planning.plan_examples import distinct

HOST = machine(memory=256 * GIB)
# One of each memory size, from 8 GB up.
CARDS = (
    *("RTX 3070", "RTX 3080", "RTX 3060", "RTX 5080", "RTX 4090", "RTX 5090", "A100-40"),
    *("L40S", "RTX 6000 Ada", "A800", "H20", "H200"),
)


def planned(gpu_name: str, count: int) -> Iterator[Model]:
    """Yield what ModelScope has and fills more than half of the cards."""
    gpu = named(gpu_name)
    cards = [Card(index=index, total=gpu.memory) for index in range(count)]
    for entry in distinct():
        if not entry.modelscope or not 0.5 < entry.size / (count * gpu.memory) < 1:
            continue
        engine = "llama.cpp" if entry.format == "gguf" else "vllm"
        service = Service(name="it", engine=engine, model=entry.key, port=8000)
        if compatibility.refusals(service, entry, gpu, stack_of(gpu), HOST):
            continue
        if not place(service, entry, entry.size, gpu, cards, HOST).refusals:
            yield entry


@pytest.mark.parametrize("count", [1, 2, 4, 8])
@pytest.mark.parametrize("gpu", CARDS)
def test_every_memory_size_has_a_model_that_fills_it(gpu: str, count: int) -> None:
    assert next(planned(gpu, count), None) is not None
