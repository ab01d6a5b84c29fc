"""Fixtures of the tier of monitoring: a machine that watches, and one with scripted cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.browser.desk import playwright
from tests.e2e.gateway_site import Site
from tests.e2e.rack import Rack
from tests.lab import Lab
from tests.lab.classes import HARDWARE
from tests.lab.fixtures import lab_factory, lab_github, lab_hub, lab_nvidia
from tests.lab.github import GitHub
from tests.lab.hardware import Hardware, fit
from tests.lab.hub import Hub
from tests.lab.machine import Machine
from tests.lab.nvidia_repository import NvidiaRepository, connect
from tests.monitoring.told import SECRET, Told

__all__ = ["lab_factory", "lab_github", "lab_hub", "lab_nvidia"]

# Seconds between two looks. Alerts are told of after some of them, so the tests need not wait long.
INTERVAL = 2
CARDS = replace(HARDWARE["a100"], system=None)
DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.monitoring import Monitoring, Webhook
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets", mirrors=replace(site.mirrors, cuda={cuda!r}))
profile = replace(
    profile,
    services=(*profile.services, replace(profile.services[0], name="spare", port=8081)),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml", rate=6000, at_once=64),
    monitoring=Monitoring(
        viewers=("alice",),
        interval={interval},
        # A disk of the lab is that of all its machines.
        days=1,
        first_token=0.3,
        webhooks=tuple(
            Webhook(
                url=_here / form,
                form=form,
                secret=_here / "robot.secret" if form in ("dingtalk", "feishu") else None,
            )
            for form in ("alertmanager", "dingtalk", "feishu", "wecom")
        ),
    ),
)
"""
# The second machine has cards, and serves nothing.
HOSTS = """
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.profile import HostProfile
hosts[1][1]["profile"] = HostProfile(
    gpu="A100 PCIe", gpus=2, monitoring=Monitoring(by=hosts[0][0], interval={interval})
)
"""


@dataclass
class Watch:
    """What watches, what is watched, and who is told.

    + hardware: of the machine with cards, as it was at first
    """

    lab: Lab
    site: Site
    told: Told
    hardware: Hardware

    @property
    def watching(self) -> Machine:
        return self.site.first

    @property
    def cards(self) -> Machine:
        return self.site.second


@pytest.fixture(scope="session")
def watch(
    lab_factory: Callable[..., Lab],
    lab_hub: Hub,
    lab_github: GitHub,
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watch]:
    binds = (f"{playwright()}:/opt/playwright",)
    lab = lab_factory(["watch", "cards"], name="watch", binds=binds)
    watching, cards = lab.machines
    hub, github, cuda = (each.listen(lab.host) for each in (lab_hub, lab_github, lab_nvidia))
    connect(cards, cuda, "debian", alone=False)
    fit(cards, CARDS)
    told = Told(lab.host)
    data = DATA.format(host=watching.address, cuda=cuda, interval=INTERVAL)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("watch"), data)
    with Path(rack.inventory).open("a") as inventory:
        inventory.write(HOSTS.format(interval=INTERVAL))
    lab_nvidia.pin(rack.folder / ".lab/sandbox/locks")
    for form in ("alertmanager", "dingtalk", "feishu", "wecom"):
        (rack.folder / form).write_text(f"{told.url}/{form}\n")
    (rack.folder / "robot.secret").write_text(SECRET)
    site = Site(rack, watching, cards, client=cards)
    for user in ("alice", "bob"):
        site.new_key(user)
    run = site.deploy()
    assert run.code == 0, run.output
    yield Watch(lab, site, told, CARDS)
    lab.down()
