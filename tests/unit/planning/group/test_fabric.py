"""What carries the data between machines, and what the firewall lets through for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.gateway.firewall import Opening
from deploys.planning.inputs.fabric import Fabric, Hca
from deploys.planning.inputs.gateway import Gateway
from tests.unit.planning.group.group_examples import (
    group_of,
    hca,
    node,
    planned,
    profile,
    served,
)

STORAGE = hca(8, gigabits=25)
INFINIBAND = tuple(hca(number, layer="InfiniBand") for number in range(2))


@pytest.mark.parametrize(
    ("hcas", "names"),
    [
        ((), []),
        ((hca(0, active=False),), []),
        ((hca(0), hca(1)), ["mlx5_0:1", "mlx5_1:1"]),
        # One for storage, and one that has no link.
        ((hca(0), STORAGE, hca(2, active=False)), ["mlx5_0:1"]),
        # As fast, and of another kind.
        ((*INFINIBAND, hca(4)), ["mlx5_0:1", "mlx5_1:1"]),
        # A faster one of another kind.
        ((hca(0, layer="InfiniBand", gigabits=200), hca(1)), ["mlx5_1:1"]),
        ((hca(0, gigabits=None), hca(1, gigabits=None)), ["mlx5_0:1", "mlx5_1:1"]),
    ],
)
def test_the_fastest_of_one_kind_carry_it(hcas: tuple[Hca, ...], names: list[str]) -> None:
    assert [each.name for each in Fabric(hcas=hcas).fastest] == names


def with_hcas(*hcas: Hca, **fields: Any) -> list[Any]:
    machines = [node("h800", rank, **fields) for rank in (0, 1)]
    return [replace(each, fabric=replace(each.fabric, hcas=hcas)) for each in machines]


@pytest.mark.parametrize(
    ("hcas", "links", "floor"),
    [
        (tuple(map(hca, range(8))), "RoCE", 20.0),
        (INFINIBAND, "InfiniBand", 5.0),
        ((hca(0, gigabits=None),), "RoCE", None),
        ((), "sockets", None),
    ],
)
def test_a_floor_is_a_part_of_what_the_devices_carry(
    hcas: tuple[Hca, ...], links: str, floor: float | None
) -> None:
    found = group_of(planned(there=with_hcas(*hcas)))
    assert (found.links, found.floor) == (links, floor)
    assert (found.interface, found.mtu) == ("bond0", 9000)
    assert found.hcas == tuple(each.name for each in hcas)


def test_without_cards_no_rdma_is_asked_for() -> None:
    found = group_of(planned("cpu", model="qwen3-8b"))
    assert (found.links, found.hcas, found.floor) == ("sockets", (), None)


def test_how_devices_reach_the_memory_of_cards() -> None:
    # The driver that is installed has the open module, and the kernel is newer than 5.12.
    made = planned()
    assert group_of(made).peer_memory == "DMA-BUF"
    machines = [
        replace(each, fabric=replace(each.fabric, peer_memory=True)) for each in with_hcas(hca(0))
    ]
    assert group_of(planned(there=machines)).peer_memory == "nvidia_peermem"


def test_sockets_between_cards_are_warned_of() -> None:
    made = planned(there=with_hcas())
    assert any("talk through TCP" in each for each in made.warnings)
    assert not any("talk through TCP" in each for each in planned().warnings)
    assert not any("TCP" in each for each in planned("cpu", model="qwen3-8b").warnings)


@pytest.mark.parametrize(
    ("engine", "performance", "ports"),
    [
        ("vllm", "balanced", (8001, 8002, 8003, 8004)),
        ("sglang", "balanced", (8001, 8002, *range(8003, 8010), 8016)),
    ],
)
def test_ports_are_those_behind_the_services(
    engine: str, performance: str, ports: tuple[int, ...]
) -> None:
    assert group_of(planned(engine=engine, performance=performance)).ports == ports


def test_the_firewall_lets_in_the_other_machines_alone() -> None:
    wanted = profile("h800", served(), gateway=Gateway(host="ai.lab", keys=Path("keys.toml")))
    noble = {"os_version": "24.04", "python": "3.12.3"}
    machines = [replace(each, **noble) for each in with_hcas(hca(0))]
    made = planned(there=machines, wanted=wanted)
    assert made.firewall is not None
    assert made.firewall.openings[-1] == Opening(
        name="its group", ports=(), sources=("10.9.0.12",), udp=(4791,)
    )
    sockets = [replace(each, **noble) for each in with_hcas(*INFINIBAND)]
    made = planned(there=sockets, wanted=wanted)
    assert made.firewall is not None and made.firewall.openings[-1].udp == ()
