"""How people reach the sandbox of `make demo`: its chat page, its address for programs, a key."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2
from openai import OpenAI, OpenAIError

from deploys.planning.gateway import chat
from tests.lab.machine import Machine
from tests.lab.process import LabError


def entrance(machine: Machine, folder: Path) -> str:
    """Return what to open and with what, after the gateway has answered; raise LabError if not.

    + folder: with the key of the demo, and with the certificate authority of the site
    """
    authority = folder / "secrets" / "site-ca.pem"
    try:
        key = (folder / "key").read_text().strip()
        trust = ssl.create_default_context(cafile=str(authority))
    except FileNotFoundError as error:
        raise LabError(f"no gateway is up, as {error.filename} is missing: make demo") from None
    client = OpenAI(
        base_url=f"https://{machine.address}/v1",
        api_key=key,
        max_retries=0,
        http_client=httpx2.Client(verify=trust),
    )
    try:
        models = [model.id for model in client.models.list()]
    except OpenAIError as error:
        raise LabError(f"the gateway does not answer: {error}") from error
    return f"""
chat page    https://{machine.address}/
             as {_setting(machine, chat.SETTINGS, "WEBUI_ADMIN_EMAIL")}
             password {_setting(machine, chat.PASSWORD, "WEBUI_ADMIN_PASSWORD")}
programs     https://{machine.address}/v1
             key {key}
             models {", ".join(models)}
certificate  {authority}: import it into the browser, or accept its warning

Your browser is elsewhere: ssh -D 1080 root@this-computer, and localhost:1080 as its SOCKS proxy"""


def _setting(machine: Machine, path: str, name: str) -> str:
    return machine.ssh(f"sed -n 's/^{name}=//p' {path}").stdout.strip().strip('"')
