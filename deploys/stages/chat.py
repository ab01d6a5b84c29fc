"""The chat page: Open WebUI behind the gateway, for people with a browser."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import users, venv
from deploys.operations.files import File
from deploys.operations.gateway import chat
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.operations.users import User
from deploys.planning import unit_names
from deploys.planning.engines.software import Environment
from deploys.planning.gateway import chat as planned
from deploys.planning.gateway.plan import CHAT_KEY
from deploys.rendering import chat as rendering


@deploy("Chat page")
def install() -> None:
    """Install the locked packages in a versioned directory; starts nothing, makes no password."""
    plan = current_plan()

    if plan.gateway and plan.gateway.chat:
        software = plan.software_of(planned.NAME)
        assert isinstance(software, Environment)
        users.present(
            name="Create the user that the chat page runs as",
            users=(User(name=planned.USER, home=planned.DATA),),
        )
        venv.installed(
            name="Install the locked packages of the chat page",
            environment=software,
            site=plan.site,
            systemd=plan.systemd,
        )


@deploy("Chat page")
def start() -> None:
    """Configure and start the page, and wait until it answers; or end it, and keep its data."""
    plan = current_plan()

    if plan.gateway and plan.gateway.chat:
        rendered, digest = rendering.files(plan, plan.gateway, plan.gateway.chat)
        chat.administrator(
            name="Make the password of the first administrator",
            path=planned.PASSWORD,
            admin=plan.gateway.chat.admin,
            systemd=plan.systemd,
        )
        service.running(
            name="Start the chat page, and wait until it answers",
            units=[
                Unit(
                    name=unit_names.CHAT,
                    files=tuple(map(File.of, rendered)),
                    digest=digest,
                    url=rendering.URL,
                    model=None,
                    # Which it has read as well, and has to read again when it is made anew.
                    weights=(CHAT_KEY,),
                    patience=600.0,
                )
            ],
            software=plan.software_of(planned.NAME),
            deployed=plan.deployed_of(planned.NAME),
            systemd=plan.systemd,
        )
    else:
        service.absent(
            name="Disable the chat page",
            unit=unit_names.CHAT,
            paths=rendering.FILES,
            systemd=plan.systemd,
        )
