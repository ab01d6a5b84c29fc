"""Whatever is wanted of whatever machine: no card, disk, memory or port is promised twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Disk, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.catalogue import CATALOGUE
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import GIB, attempt, locks

CLASSES = {
    "h800": "H800",
    "h200": "H200",
    "a100": "A100 PCIe",
    "v100": "V100",
    "rtx4090": "RTX 4090",
    "rtx3090": "RTX 3090",
    "l40s": "L40S",
    "mi300x": "MI300X",
    "cpu": None,
}
PINS = Locks(artifacts=locks().artifacts)


@st.composite
def services(draw: st.DrawFn) -> tuple[Service, ...]:
    """Up to three, each with a port of its own; what else they want is random.

    Those on Ollama have a port and a number of requests together.
    """
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True))
    size = st.none() | st.sampled_from([1, 2, 3, 4, 8])
    parallel = st.none() | st.integers(1, 300)
    together = draw(parallel)
    engines = {name: draw(st.sampled_from(sorted(ENGINES))) for name in names}
    return tuple(
        Service(
            name=name,
            port=8003 if engines[name] == "ollama" else 8000 + "abc".index(name),
            engine=engines[name],
            model=draw(st.sampled_from(sorted(CATALOGUE))),
            context=draw(st.none() | st.sampled_from([512, 8192, 100_000])),
            parallel=together if engines[name] == "ollama" else draw(parallel),
            tensor_parallel=draw(size),
            pipeline_parallel=draw(size),
            replicas=draw(size),
            gpu_memory_utilization=draw(st.none() | st.sampled_from([0.5, 0.92, 1.0])),
            gpu_layers=draw(st.none() | st.integers(0, 90)),
            cpu_experts=draw(st.none() | st.integers(0, 70)),
        )
        for name in names
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_plan_never_exceeds_a_card_a_disk_the_memory_or_a_port(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CLASSES)))
    there = Machine.from_json(MACHINES[name])
    free = data.draw(st.sampled_from([10 * GIB, 500 * GIB, 9000 * GIB]))
    busy = data.draw(st.lists(st.integers(0, 80 * GIB), min_size=8, max_size=8))
    there = replace(
        there,
        disks=(Disk(mount="/", kind="ext4", total=2 * free, free=free),),
        memory=data.draw(st.sampled_from([16 * GIB, 128 * GIB, 2000 * GIB])),
        ports=data.draw(st.dictionaries(st.sampled_from([8000, 9000]), st.just("x.service"))),
        gpus=tuple(replace(gpu, used=used) for gpu, used in zip(there.gpus, busy, strict=False)),
    )
    gpu = CLASSES[name]
    wanted = HostProfile(gpu=gpu, gpus=len(there.gpus), services=data.draw(services()))
    made = attempt(wanted, machine=there, pins=PINS)

    refused = {name for refusal in made.refusals for name in refusal.service.split()}
    carried = [service for service in made.services if service.name not in refused]
    placed = [each.placement for each in made.services if not each.placement.refusals]
    for ledger in (card for placement in placed for card in placement.ledger.cards):
        assert 0 <= ledger.planned <= ledger.total
    cards = Counter(index for placement in placed for index in placement.cards)
    assert not cards or max(cards.values()) == 1
    assert set(cards) <= set(range(len(there.gpus)))
    weights = {each.model: each.ledger.host.get("weights", 0) for each in placed}
    others = sum(
        size
        for placement in placed
        for purpose, size in placement.ledger.host.items()
        if purpose != "weights"
    )
    assert sum(weights.values()) + others <= there.memory
    assert not {service.port for service in carried} & set(there.ports)
    if not any("weights need" in refusal.reason for refusal in made.refusals):
        assert sum(entry.size for entry in made.weights) <= free
    assert all(isinstance(refusal, Refusal) and refusal.hint for refusal in made.refusals)
    json.dumps(made.to_json())
