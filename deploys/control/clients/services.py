"""The services of an inventory and its gateways, for programs that pyinfra does not run.

The inventory is read by `pyinfra ... debug-inventory` in a process of its own: loading it here
would put gevent under everything that this process does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploys.planning.addresses import in_url
from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.shapes import Task

# A host of the inventory as `debug-inventory` prints it: its name, and what is said of it as data.
ListedHost = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OfferedService:
    """A service of one host.

    + model: the id that the engine's own API knows it by
    + task: what it is asked
    + data: what the inventory says of the host
    """

    host: str
    name: str
    model: str
    port: int
    unit: str
    task: Task
    data: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class Door:
    """The gateway that leads to a service.

    + url: of its API
    + trusted: PEM file of those who sign its certificate, or of that itself; None: of known ones
    """

    url: str
    trusted: Path | None


def listed(inventory: str, *options: str) -> list[ListedHost]:
    """Return the hosts of an inventory; raise Refusal if it cannot be read.

    + options: of pyinfra, such as --ssh-user
    """
    command = [sys.executable, "-m", "pyinfra", inventory, "debug-inventory", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        *_, last = done.stderr.strip().splitlines() or [f"{inventory} names no host"]
        said = re.sub(r"^--> (pyinfra error in .* line \d+: )?", "", last)
        raise Refusal(said.rstrip("."), "Give an inventory, such as inventories/h800.py")
    found: list[ListedHost] = json.loads(done.stdout)
    return found


def offered(hosts: Sequence[ListedHost]) -> list[OfferedService]:
    """Return the services of these hosts, in their order."""
    offers = []
    for host in hosts:
        for service in (host["data"].get("profile") or {}).get("services", ()):
            engine, name = ENGINES[service["engine"]], service["name"]
            offers.append(
                OfferedService(
                    host=host["name"],
                    name=name,
                    model=engine.model_id.format(name),
                    port=service["port"],
                    unit=engine.unit.format(name),
                    task=_task(service),
                    data=host["data"],
                )
            )
    return offers


def _task(service: dict[str, Any]) -> Task:
    """Return what a service is asked, as far as the inventory says it."""
    task, model = service.get("task"), service["model"]
    if task is None and isinstance(model, dict):
        task = model["network"]["task"]
    elif task is None and model in CATALOGUE:
        task = CATALOGUE[model].network.task
    return task or "generate"


def chosen(
    offers: Sequence[OfferedService], name: str | None, host: str | None = None
) -> OfferedService:
    """Return the first offer of this name; without a name, the only service that there is."""
    there = ", ".join(map(str, offers)) or "none"
    fitting = [offer for offer in offers if host in (None, offer.host)]
    if not fitting:
        where = f"on {host}" if host else "in this inventory"
        raise Refusal(f"There is no service {where}", f"There are: {there}")
    if name is None:
        # Of several, one that is asked something else is none to choose from.
        fitting = [offer for offer in fitting if offer.task == "generate"] or fitting
    if name is None and len({offer.name for offer in fitting}) > 1:
        names = ", ".join(dict.fromkeys(offer.name for offer in fitting))
        raise Refusal("There are several services", f"Name one of them: {names}")
    fitting = [offer for offer in fitting if name in (None, offer.name)]
    if not fitting:
        raise Refusal(f"There is no service {name!r}", f"There are: {there}")
    return fitting[0]


def door(hosts: Sequence[ListedHost], offer: OfferedService) -> Door:
    """Return the gateway of this service's host, or one that answers for it, too."""
    for host in sorted(hosts, key=lambda host: host["name"] != offer.host):
        gateway = (host["data"].get("profile") or {}).get("gateway")
        if gateway and offer.host in (host["name"], *gateway["also"]):
            other = gateway["certificate"]
            secrets = Path(host["data"]["site"]["secrets"])
            # Of an operator's own certificate the chain is named, of one by ACME who signs it.
            path = (other.get("chain") or other.get("ca")) if other else secrets / "site-ca.pem"
            trusted = Path(path).expanduser() if path else None
            return Door(url=f"https://{in_url(gateway['host'])}/v1", trusted=trusted)
    raise Refusal(
        f"No gateway leads to {offer}",
        "Leave --gateway out to go through SSH, or give the profile a gateway",
    )
