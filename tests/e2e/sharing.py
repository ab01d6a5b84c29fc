"""A lab whose machines share one large model: what they are told, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab import Lab, Machine
from tests.lab.hub import Hub

DEPLOY = "tests/e2e/deploys/weights.py"
MODEL = "modelrack-lab/large"
# What a machine must lose to fetch the model again.
LEFT_BEHIND = "/data/models/large /data/models/.by-sha256/* /var/lib/modelrack/jobs/fetch-*"


def network_of(lab: Lab) -> str:
    """The network that the machines of a lab are in."""
    return lab.host.rpartition(".")[0] + ".0/24"


def group_data(network: str | None, *, merge: bool = True) -> str:
    """Lines for a rack: its machines serve the large model, and share it in this network."""
    return f"""
_model = replace(
    profile.services[0].model,
    key="large", modelscope="{MODEL}", huggingface="{MODEL}", files=("*.gguf",), size=1 << 20,
)
_large = replace(profile.services[0], name="large", model=_model, merge={merge})
profile = replace(profile, services=(_large,))
site = replace(site, peers={network!r})
"""


@dataclass(frozen=True)
class Sent:
    """What a hub has sent of the model, in bytes, and the model's size."""

    bytes: int
    size: int

    @property
    def share(self) -> float:
        return self.bytes / self.size


def sent(hub: Hub) -> Sent:
    """Since its log was emptied."""
    size = sum(entry.size for entry in hub.entries(MODEL))
    count = sum(each.bytes for each in hub.requests if each.name.endswith(".gguf"))
    return Sent(count, size)


@dataclass(frozen=True)
class Fetched:
    """One machine's part: when its job began and ended (seconds, one clock for all machines)."""

    began: float
    ended: float
    files: tuple[tuple[str, str], ...]


def fetched(machine: Machine) -> Fetched:
    """What the job says, and what the machine itself reads of every file on its disk."""
    jobs = "/var/lib/modelrack/jobs/fetch-large-*"
    times = machine.ssh(f"stat -c %.9Y {jobs}/started {jobs}/exit").stdout.split()
    manifest = json.loads(machine.ssh("cat /data/models/large/manifest.json").stdout)
    recorded = {each["path"]: each["sha256"] for each in manifest["files"]}
    read = machine.ssh(["sh", "-c", f"cd /data/models/large && sha256sum {' '.join(recorded)}"])
    found = {line.split()[1]: line.split()[0] for line in read.stdout.splitlines()}
    assert found == recorded
    return Fetched(float(times[0]), float(times[1]), tuple(sorted(found.items())))


def seconds(parts: Sequence[Fetched]) -> float:
    """From the first beginning to the last end."""
    return max(part.ended for part in parts) - min(part.began for part in parts)
