"""Machines that serve a model together, which the tests vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from deploys.control import locks as lock_files
from deploys.planning.group.members import HostOfClass, HostsOfClass
from deploys.planning.group.plan import GroupPlan
from deploys.planning.inputs.fabric import Fabric, Hca, Interface
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.resolve import resolve
from tests.plans.simulated import MACHINES

NETWORK = "10.9.0.0/16"
FABRIC = Site(fabric=NETWORK)
GPUS = {"h800": "H800", "h20": "H20", "rtx4090": "RTX 4090", "cpu": None}


def hca(number: int, **fields: Any) -> Hca:
    """A RoCE device of 400 Gb/s."""
    known = {"layer": "Ethernet", "active": True, "gigabits": 400}
    return Hca(name=f"mlx5_{number}:1", **{**known, **fields})


def node(name: str, rank: int, **fields: Any) -> Machine:
    """A machine of a host class, at 10.9.0.11 or the next of these."""
    address = f"10.9.0.{11 + rank}"
    bond = Interface(name="bond0", addresses=(address,), mtu=9000)
    fabric = Fabric(interfaces=(bond,), hcas=tuple(map(hca, range(8))))
    known = Machine.from_json(MACHINES[name])
    given = {"hostname": f"{name}-{rank + 1:02}", "addresses": (address,), "fabric": fabric}
    return replace(known, **{**given, **fields})


def served(**fields: Any) -> Service:
    known = {"engine": "vllm", "model": "deepseek-r1", "port": 8000, "machines": 2}
    return Service(**{"name": "r1", **known, **fields})


def profile(name: str, *services: Service, **fields: Any) -> HostProfile:
    gpu = GPUS[name]
    return HostProfile(gpu=gpu, gpus=8 if gpu else 0, services=services, **fields)


def planned(
    name: str = "h800",
    *,
    rank: int = 0,
    there: Sequence[Machine] | None = None,
    beside: Mapping[int, Mapping[str, Any]] | None = None,
    wanted: HostProfile | None = None,
    site: Site = FABRIC,
    serial: bool = False,
    **fields: Any,
) -> HostPlan:
    """What a machine of a class becomes, whatever speaks against it.

    + there: all machines of the class; as many as serve it together where none are given
    + beside: what the inventory says beside some of them, as HostOfClass has it
    """
    profiled = wanted or profile(name, served(**fields))
    count = profiled.services[0].machines
    there = [node(name, each) for each in range(count)] if there is None else there
    hosts = tuple(
        HostOfClass(
            **{
                "name": machine.hostname,
                "profile": profiled,
                "machine": machine,
                **(beside or {}).get(at, {}),
            }
        )
        for at, machine in enumerate(there)
    )
    members = HostsOfClass(me=hosts[rank].name, hosts=hosts, serial=serial)
    pins = lock_files.read(site.locks)
    return resolve(profiled, site, there[rank], pins, members=members)


def service_of(made: HostPlan) -> ServicePlan:
    """The one service of a plan that can be carried out."""
    assert not made.refusals, made.refusals
    (service,) = made.services
    return service


def group_of(made: HostPlan) -> GroupPlan:
    group = service_of(made).group
    assert group is not None
    return group
