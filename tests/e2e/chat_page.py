"""A chat page on a machine of a lab, as a program that a person could have written sees it."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.rack import Rack
from tests.lab.machine import Machine

HOST, ADMIN = "ai.lab", "admin@ai.lab"
DATA = f"""
from deploys.planning.inputs.gateway import Chat, Gateway
site = replace(site, secrets=_folder / "secrets")
profile = replace(
    profile,
    # What is asked about a file is longer than a greeting.
    services=(replace(profile.services[0], context=2048),),
    gateway=Gateway(
        host="{HOST}",
        chat=Chat(admin="{ADMIN}", locale="zh-CN"),
        keys=_folder / "keys.toml",
    ),
)
"""
UNIT, PASSWORD = "modelrack-webui.service", "/etc/modelrack/secrets/webui.env"


def prepared(rack: Rack) -> Rack:
    """The rack, with a keys file: nobody but the page has a key."""
    (rack.folder / ".lab/sandbox/keys.toml").write_text("")
    return rack


@dataclass
class ChatPage:
    """The page of one machine, by the gateway of that machine."""

    rack: Rack
    machine: Machine

    @property
    def ca(self) -> Path:
        return self.rack.folder / ".lab/sandbox/secrets/site-ca.pem"

    @property
    def password(self) -> str:
        """The first administrator's, read as the run says."""
        return self.machine.ssh(f"grep PASSWORD= {PASSWORD}").stdout.strip().partition("=")[2]

    @contextmanager
    def visitor(self) -> Iterator[httpx2.Client]:
        """A client that reaches the page by its name."""
        with httpx2.Client(
            base_url=f"https://{self.machine.address}",
            headers={"host": HOST},
            verify=ssl.create_default_context(cafile=self.ca),
            timeout=120,
            trust_env=False,
        ) as client:
            # It is asked for by its address, and its certificate names it.
            client.event_hooks = {"request": [_named]}
            yield client

    @contextmanager
    def administrator(self, password: str | None = None) -> Iterator[httpx2.Client]:
        """The same, signed in."""
        with self.visitor() as client:
            login = {"email": ADMIN, "password": password or self.password}
            signed = client.post("/api/v1/auths/signin", json=login)
            assert signed.status_code == 200, signed.text
            assert signed.json()["role"] == "admin"
            client.headers["authorization"] = f"Bearer {signed.json()['token']}"
            yield client

    def log(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """What the gateway has counted for the page, of those that were asked there."""
        journal = "journalctl --namespace=modelrack-gateway"
        printed = self.machine.ssh(f"{journal} --sync; {journal} -q --no-pager --output=cat").stdout
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        return [line for line in lines if line["user"] == "open-webui" and line["path"] == path]

    @staticmethod
    def wait_for(reached: Callable[[], bool]) -> None:
        """Look until it is so."""
        deadline = time.monotonic() + 120
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def counted(self, answers: int) -> list[dict[str, Any]]:
        """The log, once it has this many answers: each is written when it has ended."""
        deadline = time.monotonic() + 60
        while len(self.log()) < answers:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)
        return self.log()

    def wait(self) -> None:
        """Return when it answers its visitors."""
        deadline = time.monotonic() + 120
        with self.visitor() as client:
            while client.get("/health").status_code != 200:
                assert time.monotonic() < deadline, self.machine.ssh(f"systemctl status {UNIT}")
                time.sleep(0.2)

    def main_pid(self) -> str:
        return self.machine.ssh(f"systemctl show --value --property=MainPID {UNIT}").stdout.strip()


def ask(client: httpx2.Client, question: str, model: str = "tiny", **more: Any) -> str:
    """What the model says, without a chat that is kept.

    + more: fields of the request, such as `files`
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "stream": False,
        "temperature": 0,
        **more,
    }
    reply = client.post("/api/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    said: str = reply.json()["choices"][0]["message"]["content"]
    return said


def keep(client: httpx2.Client, title: str) -> None:
    """A chat that is kept, with one question in it."""
    message = {"id": str(uuid.uuid4()), "role": "user", "content": title, "childrenIds": []}
    chat = {"title": title, "models": ["tiny"], "history": {"messages": {}}, "messages": [message]}
    reply = client.post("/api/v1/chats/new", json={"chat": chat})
    assert reply.status_code == 200, reply.text


def titles(client: httpx2.Client) -> list[str]:
    """Those of all chats that are kept."""
    return sorted(chat["title"] for chat in client.get("/api/v1/chats/").json())


def _named(request: httpx2.Request) -> None:
    request.extensions["sni_hostname"] = HOST
