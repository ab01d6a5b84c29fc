"""The chat page's unit and settings."""

from __future__ import annotations

from deploys.planning import unit_names
from deploys.planning.addresses import in_url
from deploys.planning.gateway import chat
from deploys.planning.gateway.plan import CHAT_ADDRESS, CHAT_KEY, CHAT_PORT, GatewayPlan
from deploys.planning.inputs.gateway import Chat
from deploys.planning.plan import HostPlan
from deploys.rendering.templates import Rendered, digest_of, file

FILES = (unit_names.file(unit_names.CHAT), chat.SETTINGS)
# Where it answers, to the gateway alone.
URL = f"http://{CHAT_ADDRESS}:{CHAT_PORT}"


def files(plan: HostPlan, gateway: GatewayPlan, page: Chat) -> tuple[tuple[Rendered, ...], str]:
    """Return the files of the page, and the digest that its process must be started with."""
    software = plan.software_of(chat.NAME)
    decides = [
        *(each.content for each in _files(plan, gateway, page, "")),
        software.directory,
    ]
    digest = digest_of(decides)
    return _files(plan, gateway, page, digest), digest


def _files(plan: HostPlan, gateway: GatewayPlan, page: Chat, digest: str) -> tuple[Rendered, ...]:
    assert gateway.host
    unit, settings = FILES
    vectors = chat.first(gateway.backends, "embed")
    return (
        file(
            f"webui/{unit_names.CHAT}",
            unit,
            nvidia=False,
            data_root=plan.site.data_root,
            gateway=unit_names.GATEWAY,
            user=chat.USER,
            reached=CHAT_ADDRESS,
            settings=settings,
            key=CHAT_KEY,
            password=chat.PASSWORD,
            data=chat.DATA,
            current=f"{chat.SOFTWARE}/current",
            port=chat.PORT,
            memory=chat.MEMORY,
            vectors=vectors,
        ),
        file(
            "webui/webui.env",
            settings,
            page=page,
            host=in_url(gateway.host),
            gateway=CHAT_ADDRESS,
            data=chat.DATA,
            user=chat.USER,
            api=f"{URL}/v1",
            model=chat.first(gateway.backends, "generate"),
            vectors=vectors,
            digest=digest,
        ),
    )
