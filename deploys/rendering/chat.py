"""The chat page's unit and settings."""

from __future__ import annotations

import hashlib
import json

from deploys.planning import unit_names
from deploys.planning.gateway import chat
from deploys.planning.gateway.plan import CHAT_KEY, GatewayPlan
from deploys.planning.inputs.gateway import Chat
from deploys.planning.plan import HostPlan
from deploys.rendering.templates import Rendered, file

FILES = (unit_names.file(unit_names.CHAT), chat.SETTINGS)
# The page itself, and where a machine answers about it.
URL = f"http://127.0.0.1:{chat.PORT}"


def files(plan: HostPlan, gateway: GatewayPlan, page: Chat) -> tuple[tuple[Rendered, ...], str]:
    """Return the files of the page, and the digest that its process must be started with."""
    software = plan.software_of(chat.NAME)
    decides = [
        *(each.content for each in _files(plan, gateway, page, "")),
        software.directory,
    ]
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    return _files(plan, gateway, page, digest), digest


def _files(plan: HostPlan, gateway: GatewayPlan, page: Chat, digest: str) -> tuple[Rendered, ...]:
    unit, settings = FILES
    software = plan.software_of(chat.NAME)
    return (
        file(
            f"chat/{unit_names.CHAT}",
            unit,
            nvidia=False,
            data_root=plan.site.data_root,
            gateway=unit_names.GATEWAY,
            user=chat.USER,
            settings=settings,
            key=CHAT_KEY,
            password=chat.PASSWORD,
            data=chat.DATA,
            current=software.directory.rpartition("/")[0] + "/current",
            port=chat.PORT,
            memory=chat.MEMORY,
        ),
        file(
            "chat/webui.env",
            settings,
            page=page,
            host=gateway.host,
            data=chat.DATA,
            user=chat.USER,
            api_port=chat.API_PORT,
            models=[backend.service for backend in gateway.backends],
            digest=digest,
        ),
    )
