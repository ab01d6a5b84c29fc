"""What a machine has that cannot be made again, and what of that a plan uses."""

from __future__ import annotations

from deploys.planning.gateway import chat, plan
from deploys.planning.plan import HostPlan

# By which people and machines know it, and what people keep.
KEPT = (
    plan.CERTIFICATE,
    plan.MACHINE_CERTIFICATE,
    plan.ACME_KEY,
    plan.ACME_MAP,
    plan.CHAT_KEY,
    plan.CHAT_MAP,
    chat.PASSWORD,
    chat.DATA,
)
# It tells what the machine was; a deploy writes that of another anew.
STATE = "/var/lib/modelrack/state.json"


def used(wanted: HostPlan) -> tuple[str, ...]:
    """Return what of it the plan's own services would otherwise be made anew by."""
    gateway = wanted.gateway
    if gateway is None:
        return ()
    found = []
    if gateway.host and not gateway.own:
        found.append(plan.CERTIFICATE)
    if gateway.between_machines:
        found.append(plan.MACHINE_CERTIFICATE)
    if gateway.acme:
        found += [plan.ACME_KEY, plan.ACME_MAP]
    if gateway.chat:
        found += [plan.CHAT_KEY, plan.CHAT_MAP, chat.PASSWORD, chat.DATA]
    return tuple(found)
