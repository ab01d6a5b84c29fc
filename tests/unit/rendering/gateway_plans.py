"""Every form of a gateway: what HAProxy is given to read, in unit tests and on machines."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.inputs.gateway import Acme, Chat
from deploys.planning.plan import HostPlan
from tests.unit.planning.gateway.gateway_examples import BESIDE, GATEWAY, around, planned
from tests.unit.planning.monitoring import examples
from tests.unit.planning.plan_examples import MACHINE, service

CA = "-----BEGIN CERTIFICATE-----\n"
_MUTUAL = around(others=(replace(BESIDE, asks=True),))
_ALSO = replace(GATEWAY, also=("gpu-02",), drained=("large",))


def _of(made: HostPlan) -> GatewayPlan:
    assert made.gateway and not made.refusals, made.refusals
    return made.gateway


PLANS = {
    "one machine": _of(planned()),
    "nothing served": _of(planned(services=())),
    "several models": _of(
        planned(services=(service(name="tiny"), service(name="b.c", port=8081, parallel=1)))
    ),
    "with a chat page": _of(planned(replace(GATEWAY, chat=Chat(admin="a@ai.lab")))),
    "by ACME": _of(planned(replace(GATEWAY, certificate=Acme(email="a@ai.lab")))),
    "several machines": _of(planned(replace(_ALSO, chat=Chat(admin="a@ai.lab")), _MUTUAL)),
    "drained itself": _of(planned(replace(_ALSO, drained=("gpu-01",)), _MUTUAL)),
    "for machines alone": _of(planned(None, replace(_MUTUAL, keys=()))),
    "with a page of what is watched": _of(examples.EXAMPLES["watches"]),
    "watched by another": _of(examples.EXAMPLES["watched"]),
    "over IPv6, too": _of(
        planned(
            _ALSO,
            around(others=(replace(BESIDE, address="fd00::2", asks=True),)),
            machine=replace(MACHINE, addresses=("10.8.0.1", "fd00::1")),
        )
    ),
}
