"""What is held against the ways in: what is listed, what is open, who may ask how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, failed, not_run
from deploys.planning.acceptance.limits import Limits
from deploys.planning.gateway.firewall import FirewallPlan
from deploys.planning.gateway.plan import CHAT_USER, GatewayPlan
from deploys.planning.plan import ServicePlan


def of_service(plan: ServicePlan, seen: Mapping[str, Any]) -> Iterator[AcceptanceCheck]:
    """Yield what a service says of itself, as remote/acceptance/served.py has asked it."""
    if plan.served in seen["models"]:
        yield AcceptanceCheck(phase="api", name="model", subject=plan.name, measured=plan.served)
    else:
        found = ", ".join(seen["models"]) or "nothing"
        told = {"service": plan.name, "found": found, "planned": plan.served}
        yield failed("api", "model", "other model", plan.name, **told)
    context = seen["context"]
    if context is None:
        yield not_run("api", "context", "no limit known", plan.name, required=False)
    elif context < plan.context:
        yield failed(
            *("api", "context", "short context", plan.name),
            service=plan.name,
            measured=context,
            wanted=plan.context,
        )
    else:
        yield AcceptanceCheck(
            phase="api",
            name="context",
            subject=plan.name,
            measured=context,
            wanted=plan.context,
            unit="tokens",
            source="the plan",
        )


def ports(
    firewall: FirewallPlan | None, listening: Mapping[int, str], reached: Sequence[int] | None
) -> Iterator[AcceptanceCheck]:
    """Yield the ports that answer other machines and should not.

    + listening: ports that the machine listens on for others, and who does
    + reached: those of them that accepted a connection from here; None where this is the machine
    """
    if firewall is None:
        yield not_run("api", "ports", "port not closed", required=False)
        return
    if reached is None:
        yield not_run("api", "ports", "from itself", required=False)
        return
    for_all = {port for opening in firewall.openings for port in opening.ports}
    planned = ", ".join(map(str, sorted(for_all)))
    other = [port for port in reached if port not in for_all]
    if not other and not for_all & {*reached}:
        yield not_run("api", "ports", "none reached", required=True)
        return
    for port in other:
        told = {"port": port, "owner": listening[port] or "?", "planned": planned}
        yield failed("api", "ports", "port open", str(port), **told)
    if not other:
        there = ", ".join(map(str, sorted(reached)))
        yield AcceptanceCheck(
            phase="api", name="ports", measured=there, wanted=planned, source="the plan"
        )


def keys(
    gateway: GatewayPlan | None, seen: Mapping[str, Any] | None, limits: Limits
) -> Iterator[AcceptanceCheck]:
    """Yield what the gateway lets each user ask, as its process has it.

    + seen: {"users": {user: [requests a minute, at once]}, "error"}; None without a gateway there
    """
    if gateway is None or gateway.host is None:
        yield not_run("api", "keys", "no gateway", required=False)
        return
    if seen is None or seen["error"]:
        text = seen["error"] if seen else "it is not there"
        yield not_run("api", "keys", "gateway silent", required=True, text=text)
        return
    planned = {
        key.user: (key.rate or gateway.rate, key.at_once or gateway.at_once) for key in gateway.keys
    }
    for user, found in sorted(seen["users"].items()):
        if user != CHAT_USER:
            yield _key(user, tuple(found), planned.get(user), limits)


def _key(
    user: str, found: tuple[Any, ...], planned: tuple[int, int] | None, limits: Limits
) -> AcceptanceCheck:
    if planned is None:
        return failed("api", "keys", "unknown key", user, user=user)
    if found != planned:
        told = {"user": user, "found": _limit(found), "planned": _limit(planned)}
        return failed("api", "keys", "no limit", user, **told)
    if found[0] > limits.requests_a_minute or found[1] > limits.requests_at_once:
        return failed("api", "keys", "boundless", user, user=user, found=_limit(found))
    return AcceptanceCheck(
        phase="api",
        name="keys",
        subject=user,
        measured=_limit(found),
        wanted=_limit(planned),
        source="the plan",
    )


def _limit(limit: Sequence[Any]) -> str:
    a_minute, at_once = (each if each is not None else "any number of" for each in limit)
    return f"{a_minute} requests a minute, {at_once} at once"


def door(gateway: GatewayPlan | None, status: int | None, error: str) -> AcceptanceCheck:
    """Return whether the gateway turns away who has no key.

    + status: of the answer to such a request; None where there was none
    """
    if gateway is None or gateway.host is None:
        return not_run("api", "door", "no gateway", required=False)
    if status is None:
        return not_run("api", "door", "gateway silent", required=True, text=error)
    if status != 401:
        return failed("api", "door", "let in", status=status)
    return AcceptanceCheck(phase="api", name="door", measured=status, wanted=401)
