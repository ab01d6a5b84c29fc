"""Plans with a gateway, which the tests of choice and rendering vary."""

from __future__ import annotations

from typing import Any

from deploys.planning.gateway.choice import OtherMachine, ServedElsewhere, Surroundings
from deploys.planning.gateway.key import Key
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.unit.planning.plan_examples import MACHINE, locks, service

GATEWAY = Gateway(host="ai.lab")
BESIDE = OtherMachine(
    name="gpu-02",
    address="10.8.0.2",
    offers=(
        ServedElsewhere(service="tiny", model="tiny", served="tiny"),
        ServedElsewhere(service="large", model="large", served="large"),
    ),
)


def key(user: str = "alice", **fields: Any) -> Key:
    """A key of a user; its digest is made of the name."""
    return Key(
        **{"user": user, "team": "research", "sha256": user.encode().hex().ljust(64, "0"), **fields}
    )


def around(**fields: Any) -> Surroundings:
    """What is beside the machine gpu-01."""
    return Surroundings(**{"name": "gpu-01", "keys": (key(),), **fields})


def planned(
    gateway: Gateway | None = GATEWAY,
    beside: Surroundings | None = None,
    *,
    machine: Any = MACHINE,
    services: Any = None,
    site: Site | None = None,
) -> HostPlan:
    """The plan of gpu-01, which serves the model tiny as tiny, two requests at a time."""
    served = services if services is not None else (service(name="tiny", parallel=2),)
    profile = HostProfile(services=served, gateway=gateway)
    return resolve(profile, site or Site(), machine, locks(), (), beside or around())
