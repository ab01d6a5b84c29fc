"""Kill a deploy after any of its operations and run it again: nothing tells it happened."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploys.control import keys
from deploys.planning.gateway.key import Key
from tests.e2e.digest import difference, digest
from tests.e2e.rack import Rack, run
from tests.lab import Lab
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.tree import cache_root

SAMPLE = 5
# With a gateway and a firewall.
DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets")
profile = replace(profile, gateway=Gateway(host="ai.lab", keys=_here / "keys.toml"))
"""
# The chat page is most of a gigabyte for each machine: too much for a sample of every day.
CHAT = """
from deploys.planning.inputs.gateway import Chat
profile = replace(
    profile, gateway=replace(profile.gateway, chat=Chat(admin="admin@ai.lab"))
)
"""


@dataclass
class Undisturbed:
    """What a machine becomes when nobody interferes, and by how many operations."""

    state: dict[str, object]
    operations: int


@pytest.fixture(scope="module")
def place(
    lab_hub: Hub,
    lab_github: GitHub,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Lab, Rack]]:
    data: str = DATA
    binds: list[str] = []
    if request.config.getoption("--every-operation"):
        data += CHAT
        # What was fetched of the package index once is there for the next machine.
        kept = cache_root().parent / "uv"
        kept.mkdir(exist_ok=True)
        binds = [f"{kept}:/var/cache/modelrack/uv"]
    # All machines share one name, so that nothing but the disturbance can make a difference.
    with Lab(["killed"], name="killed", binds=binds, in_memory=bool(binds)) as lab:
        hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
        folder = tmp_path_factory.mktemp("killed")
        keys.add(folder / "keys.toml", Key(user="alice", team="lab", sha256="a" * 64))
        yield lab, Rack(lab, hub, github, folder, data)


@pytest.fixture(scope="module")
def undisturbed(place: tuple[Lab, Rack]) -> Undisturbed:
    lab, rack = place
    done = rack.deploy("--json")
    assert done.code == 0, done.output
    (machine,) = lab.machines
    found = Undisturbed(digest(machine), len(done.operations))
    lab.forget(machine)
    return found


def test_killed_after_an_operation(
    place: tuple[Lab, Rack],
    undisturbed: Undisturbed,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    lab, rack = place
    every = range(1, undisturbed.operations + 1)
    if request.config.getoption("--every-operation"):
        chosen = list(every)
    else:
        sample = random.Random(request.config.getoption("--kill-seed"))
        chosen = sorted(sample.sample(every, min(SAMPLE, len(every))))
    hub, github = rack.told["hub"], rack.told["github"]
    for nth in chosen:
        (machine,) = lab.add(f"killed{nth}")
        # As the inventory has it, which the gateway writes into its configuration.
        rack.point_to([replace(machine, name="killed")], hub, github)
        killing = [sys.executable, "-m", "tests.e2e.kill_after", str(nth), *rack.command()[3:]]
        killed = run(["env", f"TMPDIR={tmp_path}", *killing])
        assert killed.code == -signal.SIGKILL, killed.output
        assert [*tmp_path.iterdir()] == []
        again = rack.deploy("--json")
        assert again.code == 0, f"after operation {nth}: {again.output}"
        found = difference(undisturbed.state, digest(machine))
        assert not found, f"after operation {nth} of {undisturbed.operations}: {found}"
        print(f"killed after operation {nth} of {undisturbed.operations}: the same", flush=True)
        lab.forget(machine)
