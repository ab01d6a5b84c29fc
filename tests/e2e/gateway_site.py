"""A gateway on machines of a lab: its keys, its clients, its log, and engines that count."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI

from tests.e2e.rack import PROJECT, Rack, Run
from tests.lab.machine import Machine

ENGINE = PROJECT / "tests" / "lab" / "openai_engine.py"
# The planned service with another program in it, which stays away once it is killed.
SERVICE = "llama-server@tiny"
STAND_IN = f"""\
set -eu
cat > /usr/local/bin/openai_engine.py
mkdir -p /run/systemd/system/{SERVICE}.service.d
[ -e /etc/systemd/system/llama-server@.service ] ||
  printf '[Service]\\nExecStart=/bin/true\\n' > /run/systemd/system/llama-server@.service
cat > /run/systemd/system/{SERVICE}.service.d/stand-in.conf <<.
[Unit]
OnFailure=
[Service]
ExecStart=
ExecStart=/usr/bin/python3 /usr/local/bin/openai_engine.py 8080 tiny
Restart=no
.
systemctl daemon-reload
systemctl restart {SERVICE}
until curl -sf http://127.0.0.1:8080/ctl >/dev/null; do sleep 0.1; done
"""
METRICS = "http://127.0.0.1:8405"


@dataclass
class Site:
    """Two machines with a gateway each; the first answers with the model of the second, too.

    + client: a machine beside them, to which nothing is deployed
    + keys: the key of each user
    """

    rack: Rack
    first: Machine
    second: Machine
    client: Machine
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def keys_file(self) -> Path:
        return self.rack.folder / "keys.toml"

    @property
    def ca(self) -> Path:
        return self.rack.folder / "secrets" / "site-ca.pem"

    def new_key(self, user: str, *options: str) -> None:
        """Make a key as an operator does."""
        self.keys[user] = self.run_keys("new", user, "lab", *options).stdout.strip()

    def run_keys(self, *words: str) -> subprocess.CompletedProcess[str]:
        """python -m deploys.keys."""
        command = [sys.executable, "-m", "deploys.keys", *words, "--keys", str(self.keys_file)]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    def deploy(self, *options: str) -> Run:
        """deploys/full.py on both machines."""
        return self.rack.deploy("--json", *options)

    def start(self) -> Run:
        """The stage alone."""
        return self.rack.deploy("--json", deploy="deploys.stages.gateway.start")

    def trust(self) -> ssl.SSLContext:
        """Of a client that has been given the site's certificate."""
        return ssl.create_default_context(cafile=self.ca)

    def http(self, user: str, **options: Any) -> httpx2.Client:
        """A client that speaks HTTP/1.1 and keeps its connection."""
        return httpx2.Client(
            base_url=f"https://{self.first.address}",
            verify=self.trust(),
            headers={"authorization": f"Bearer {self.keys[user]}"},
            timeout=120,
            trust_env=False,
            **options,
        )

    def named(self, host: str, ca: Path | None) -> httpx2.Client:
        """A client without a key, which asks the first machine by a name.

        + ca: whom it trusts; None: everybody
        """

        def name(request: httpx2.Request) -> None:
            request.extensions["sni_hostname"] = host

        return httpx2.Client(
            base_url=f"https://{self.first.address}",
            headers={"host": host},
            verify=ssl.create_default_context(cafile=ca) if ca else False,
            timeout=120,
            trust_env=False,
            event_hooks={"request": [name]},
        )

    def openai(self, user: str, key: str | None = None) -> OpenAI:
        """openai-python; it does not try again, so that a test sees what came."""
        return OpenAI(
            base_url=f"https://{self.first.address}/v1",
            api_key=key or self.keys[user],
            max_retries=0,
            http_client=httpx2.Client(verify=self.trust(), trust_env=False, timeout=120),
        )

    def log(self, user: str | None = None) -> list[dict[str, Any]]:
        """The usage log of the first machine, of one user or all."""
        command = "journalctl --namespace=modelrack-gateway --sync; journalctl --output=cat -q"
        printed = self.first.ssh(f"{command} --namespace=modelrack-gateway --no-pager").stdout
        lines = [read(line) for line in printed.splitlines() if line.startswith("{")]
        return [line for line in lines if user in (None, line["user"])]

    def last(self, user: str) -> dict[str, Any]:
        """The newest line about a user; it is written when an answer has ended."""
        self.wait(lambda: bool(self.log(user)), f"no line about {user}")
        return self.log(user)[-1]

    @staticmethod
    def wait(reached: Callable[[], bool], otherwise: str) -> None:
        """Look until it is so."""
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.1)

    def stand_in(self, *machines: Machine) -> None:
        """Let engines that count take the place of the real ones."""
        for machine in machines:
            machine.ssh(STAND_IN, stdin=ENGINE.read_text())
        for machine in machines:
            self.wait(lambda there=machine: self.up(there), f"{machine.name} is not up")

    def kill(self, machine: Machine) -> None:
        """End the stand-in of a machine in the middle of what it does."""
        machine.ssh(f"systemctl kill --signal=KILL {SERVICE}")

    def up(self, of: Machine) -> bool:
        """Whether the first gateway finds that the engine of this machine answers.

        It asks the gateway of another machine, which has to have found the same before.
        """
        local = of is self.first or self.found(of, "local-tiny", of)
        return local and self.found(self.first, "service-tiny", of)

    @staticmethod
    def found(gateway: Machine, proxy: str, of: Machine) -> bool:
        """Whether the last check of this gateway was answered, and it uses the copy."""
        shown = gateway.ssh(f"curl -s {METRICS}/metrics | grep ^haproxy_server").stdout
        server = f'proxy="{proxy}",server="{of.name}",state='
        used = any(f'status{{{server}"{state}"}} 1' in shown for state in ("UP", "DRAIN"))
        return used and f'check_status{{{server}"L7OK"}} 1' in shown

    @staticmethod
    def answers(machine: Machine) -> bool:
        """Whether the stand-in itself answers."""
        return machine.ssh("curl -sf http://127.0.0.1:8080/ctl", check=False).returncode == 0

    def engine(self, machine: Machine, **settings: Any) -> dict[str, Any]:
        """What a stand-in has seen; the settings hold from now on."""
        query = "&".join(f"{name}={json.dumps(value)}" for name, value in settings.items())
        answer = machine.ssh(["curl", "-sg", f"http://127.0.0.1:8080/ctl?{query}"]).stdout
        state: dict[str, Any] = json.loads(answer)
        return state

    def served(self) -> int:
        """Requests that the stand-ins have had."""
        return sum(self.engine(each)["served"] for each in (self.first, self.second))


def read(line: str) -> dict[str, Any]:
    """A line of the usage log."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        raise AssertionError(f"this is no JSON: {line}") from None
    return entry


def chat(**fields: Any) -> dict[str, Any]:
    """A request body."""
    question = {"role": "user", "content": "Are you there?"}
    return {"model": "tiny", "messages": [question], "max_tokens": 8, **fields}
