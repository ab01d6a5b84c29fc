"""The chat page of a machine's gateway: Open WebUI, what it takes, and why it cannot be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deploys.planning import unit_names
from deploys.planning.engines.software import ENGINES
from deploys.planning.gateway.plan import CHAT_PORT, Backend
from deploys.planning.inputs.gateway import Chat
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.shapes import Task
from deploys.planning.weights.weights import task_of

NAME = "open-webui"
# Of the loopback address.
PORT = 3000
# Bytes that it takes at most, and that services of the machine leave to it.
MEMORY = 2 << 30
# Who it runs as; its folder has all that people keep there.
USER = "modelrack-webui"
DATA = f"/var/lib/{USER}"
SOFTWARE = f"{ENGINES}/{NAME}"
SETTINGS = "/etc/modelrack/webui.env"
# The first administrator's password, made on the machine, 0600, of root.
PASSWORD = "/etc/modelrack/secrets/webui.env"
# End users above which its licence forbids to change the name and the looks of Open WebUI.
LICENSED_USERS = 50


def chat_of(profile: HostProfile) -> Chat | None:
    """Return the chat page that a profile asks for."""
    return profile.gateway.chat if profile.gateway else None


def first(backends: Iterable[Backend], task: Task) -> str | None:
    """Return the first model that is asked this."""
    return next((each.service for each in backends if each.task == task), None)


def reserved(profile: HostProfile) -> int:
    """Return the bytes of host memory that services leave to the page."""
    return MEMORY if chat_of(profile) else 0


def refusals(
    profile: HostProfile, services: Sequence[Service], machine: Machine
) -> Iterator[Refusal]:
    """Yield why the machine cannot have the page that its profile asks for.

    + services: those of the profile whose models are known
    """
    if not chat_of(profile):
        return
    # A model that is unknown is refused for that, and may be one that writes answers.
    writing = len(services) < len(profile.services) or any(
        task_of(service) == "generate" for service in services
    )
    if not writing and profile.gateway and not profile.gateway.also:
        yield Refusal(
            "The chat page has no model to ask, as this machine serves none that writes answers",
            "Add a service to the profile, name machines that have one in also, or take chat out",
        )
    for port, ours in ((PORT, unit_names.CHAT), (CHAT_PORT, unit_names.GATEWAY)):
        for service in profile.services:
            if service.port == port:
                yield Refusal(
                    f"Service {service.name} and the chat page both want port {port}",
                    f"Give {service.name} another port",
                )
        owner = machine.ports.get(port)
        if owner is not None and owner != ours:
            yield Refusal(
                f"Port {port} of the chat page is taken by {owner or 'a process'}",
                "Stop that process and keep it from starting again, or take chat out of the"
                " gateway",
            )


def warnings(profile: HostProfile) -> Iterator[str]:
    """Yield what whoever offers the page to others must know."""
    if chat_of(profile):
        yield (
            "the chat page is Open WebUI, whose licence keeps its name and looks as they are for"
            f" more than {LICENSED_USERS} users in a month: to sell it under a name of your own,"
            " ask its makers"
        )
