"""Takes the inventory that the machines were deployed from, so both see the same data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import testinfra
from testinfra.host import Host

from deploys.planning.engines.registry import ENGINES

PROJECT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--inventory", help="pyinfra inventory, such as inventories/h800.py")
    parser.addoption("--limit", help="only this host of the inventory")
    parser.addoption("--ssh-user", help="as whom to log in, as for pyinfra; --sudo goes with it")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These tests are about machines; without an inventory there are none."""
    inventory = config.getoption("--inventory", default=None)
    return True if inventory is None and collection_path.name.startswith("test_") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    hosts = _hosts(metafunc.config)
    if "service" in metafunc.fixturenames:
        pairs = [
            (host, service) for host in hosts for service in host["data"]["profile"]["services"]
        ]
        ids = [f"{host['name']}-{service['name']}" for host, service in pairs]
        metafunc.parametrize(("deployed", "service"), pairs, ids=ids, scope="session")
    elif "chat" in metafunc.fixturenames:
        gateways = [(host, host["data"]["profile"]["gateway"]) for host in hosts]
        pages = [
            (host, gateway["chat"]) for host, gateway in gateways if gateway and gateway["chat"]
        ]
        ids = [host["name"] for host, _ in pages]
        metafunc.parametrize(("deployed", "chat"), pages, ids=ids, scope="session")
    elif "deployed" in metafunc.fixturenames:
        ids = [host["name"] for host in hosts]
        metafunc.parametrize("deployed", hosts, ids=ids, scope="session")


@pytest.fixture(scope="session")
def machine(deployed: dict[str, Any], pytestconfig: pytest.Config) -> Host:
    """The machine, over the connection that its inventory names."""
    name, data = deployed["name"], deployed["data"]
    # The option is one of testinfra's, for hosts that it finds itself.
    sudo = pytestconfig.getoption("--sudo") or bool(data.get("_sudo"))
    if name.startswith("@local"):
        return testinfra.get_host("local://", sudo=sudo)
    address = data.get("ssh_hostname") or name
    options = {"timeout": 30, "controlpersist": 60}
    if data.get("ssh_key"):
        options["ssh_identity_file"] = data["ssh_key"]
    port = f":{data['ssh_port']}" if data.get("ssh_port") else ""
    extra = "-o StrictHostKeyChecking=accept-new"
    if data.get("ssh_known_hosts_file"):
        extra += f" -o UserKnownHostsFile={data['ssh_known_hosts_file']}"
    user = pytestconfig.getoption("--ssh-user") or data.get("ssh_user", "root")
    return testinfra.get_host(
        f"ssh://{user}@{address}{port}?{urlencode(options)}",
        ssh_extra_args=extra,
        sudo=sudo,
    )


@pytest.fixture(autouse=True)
def journal_of_what_failed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Shows the end of the service's journal beside a failure."""
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before and "service" in request.fixturenames:
        machine = request.getfixturevalue("machine")
        unit = unit_of(request.getfixturevalue("service"))
        print(machine.run("journalctl --no-pager --lines=20 --unit %s", unit).stdout)


def unit_of(service: dict[str, Any]) -> str:
    """The unit that serves it; some engines have one for all their models."""
    return ENGINES[service["engine"]].unit.format(service["name"])


_inventories: dict[str, list[dict[str, Any]]] = {}


def _hosts(config: pytest.Config) -> list[dict[str, Any]]:
    inventory = config.getoption("--inventory")
    if inventory not in _inventories:
        # In a program of its own: loading it here would put gevent under all of pytest.
        listing = subprocess.run(
            [sys.executable, "-m", "pyinfra", inventory, "debug-inventory", "--json"],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            check=False,
        )
        hosts = json.loads(listing.stdout) if listing.returncode == 0 and listing.stdout else []
        if not hosts:
            raise pytest.UsageError(f"{inventory} names no host:\n{listing.stderr}")
        _inventories[inventory] = hosts
    limit = config.getoption("--limit")
    hosts = [host for host in _inventories[inventory] if limit in (None, host["name"])]
    if not hosts:
        raise pytest.UsageError(f"no host of {inventory} is called {limit}")
    return hosts
