"""Plans with monitoring: a machine alone, one that watches another, and one that is watched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deploys.planning.gateway.choice import Surroundings
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.monitoring import Mail, Monitoring, Webhook
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site
from deploys.planning.monitoring.targets import targets_of
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.unit.planning.gateway.gateway_examples import BESIDE, GATEWAY, around
from tests.unit.planning.plan_examples import MACHINE, locks, service

MAIL = Mail(
    to="ops@ai.lab",
    sender="rack@ai.lab",
    smarthost="smtp.ai.lab:587",
    user="rack",
    password=Path("/nowhere/password"),
)
TOLD = Monitoring(
    viewers=("alice",),
    webhooks=(Webhook(url=Path("/nowhere/url"), form="feishu"),),
    mail=MAIL,
)
WATCHED = replace(BESIDE, targets=targets_of((service(name="large"),), gateway=True))
WATCHES = replace(BESIDE, watches=True)


def planned(
    monitoring: Monitoring | None = TOLD,
    beside: Surroundings | None = None,
    *,
    gateway: Gateway | None = GATEWAY,
    machine: Any = MACHINE,
) -> HostPlan:
    """The plan of gpu-01, which serves the model tiny."""
    served = (service(name="tiny", parallel=2),)
    profile = HostProfile(services=served, gateway=gateway, monitoring=monitoring)
    return resolve(profile, Site(), machine, locks(), (), beside or around())


EXAMPLES = {
    "alone": planned(Monitoring(), gateway=None),
    "told": planned(),
    "watches": planned(beside=around(others=(WATCHED,))),
    "watched": planned(Monitoring(by="gpu-02"), around(others=(WATCHES,)), gateway=None),
}
