"""The power fails during a fetch of weights: what was called safe is there, and not asked again."""

from __future__ import annotations

import hashlib

import pytest

from tests.e2e import sharing
from tests.lab.hub import Hub
from tests.vm import cuts
from tests.vm.fetching import DEPLOY, FOLDER, Fetching

# Shares of a model that have been sent when the power fails, and bytes a second and stream.
SHARES = (0.1, 0.3, 0.5, 0.7, 0.95)
RATE = 60_000
# Bytes: the headers of six shards, which are read anew by each run.
HEADS = 6 * 64 << 10


@pytest.mark.parametrize("share", SHARES)
def test_in_a_fetch_of_weights(fetching: Fetching, share: float) -> None:
    machine = fetching.machine(f"cut{100 * share:.0f}")
    fetching.hub.faults.add("slow", "*.gguf", rate=RATE)
    claimed: dict[str, list[list[int]]] = {}

    def due() -> bool:
        """Whether more was noted since a look, so that what was noted then is on the disk."""
        if sharing.sent(fetching.hub).share < share:
            return False
        noted = cuts.safe(machine, FOLDER)
        if not claimed:
            claimed.update(noted)
        return noted != claimed

    cuts.cut_when(fetching.rack, machine, due, DEPLOY)
    fetching.hub.faults.clear()
    machine.start()
    kept = cuts.safe(machine, FOLDER)
    assert claimed
    for key, ranges in claimed.items():
        for begin, end in ranges:
            there = kept.get(key, [])
            assert any(at <= begin and end <= to for at, to in there), (key, claimed, kept)
    assert cuts.hashes(machine, FOLDER, kept) == _true_hashes(fetching.hub, kept)
    fetching.hub.requests.clear()
    fetching.converges(machine)
    safe = sum(end - begin for ranges in kept.values() for begin, end in ranges)
    sent = sharing.sent(fetching.hub)
    print(f"cut at {share:.0%}: {safe} of {sent.size} bytes safe, {sent.bytes} sent again")
    assert sent.bytes <= sent.size - safe + HEADS
    fetching.lab.forget(machine)


def _true_hashes(hub: Hub, ranges: dict[str, list[list[int]]]) -> list[str]:
    found = []
    for key in sorted(ranges):
        content = (hub.root / sharing.MODEL / key.split(" ", 2)[2]).read_bytes()
        found += [hashlib.sha256(content[begin:end]).hexdigest() for begin, end in ranges[key]]
    return found
