"""kill -9 at any moment, again and again: the same bytes in the end, and few are sent twice."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from deploys.remote.lib import journal
from deploys.remote.model_dir import manifest, verify
from tests.unit import ROOT
from tests.unit.remote import support
from tests.unit.remote.hub_fetch import MODEL, hubs, sent, source, wanted

KILLS = 50
# What a restart may cost, at most.
AGAIN = 64 << 20


def start(spec: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deploys.remote", "weights", "fetch", str(spec)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_fifty_times_in_a_row(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    groups = [
        [(f"blk.{shard}.{row}", chance.randbytes(3_000_001)) for row in range(3)]
        for shard in range(3)
    ]
    files = {**support.split(groups), "config.json": b"{}"}
    with hubs(tmp_path, 1, files) as (hub,):
        hub.faults.add("slow", f"{MODEL}/*.gguf", rate=150_000)
        value = wanted(tmp_path / "m", [source(hub)], files, merge={"output": "merged.gguf"})
        (tmp_path / "spec").write_text(json.dumps(value))
        lives = 0
        for _ in range(KILLS):
            process = start(tmp_path / "spec")
            time.sleep(chance.uniform(0.05, 0.8))
            lives += process.poll() is None
            process.kill()
            process.wait()
            # Nothing that could be loaded, whenever it happened.
            assert not (tmp_path / "m" / "merged.gguf").exists()
            part = tmp_path / "m" / "merged.gguf.part"
            if part.exists() and part.stat().st_size:
                with part.open("rb") as file:
                    assert file.read(4) == bytes(4)
        assert lives == KILLS
        hub.faults.clear()
        assert start(tmp_path / "spec").wait() == 0
    assert (tmp_path / "m" / "merged.gguf").read_bytes() == support.merged(groups)
    found = manifest.load(tmp_path / "m" / "manifest.json")
    assert found and not verify.problems(found, tmp_path / "m", lambda _: None)


def test_little_is_sent_again_after_each_kill(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    size, lost = 320 << 20, [0]
    content = chance.randbytes(1 << 20) * (size >> 20)
    with hubs(tmp_path, 1, {"big.bin": content}) as (hub,):
        hub.faults.add("slow", f"{MODEL}/*", rate=20_000_000)
        value = wanted(tmp_path / "m", [source(hub)], {"big.bin": content})
        (tmp_path / "spec").write_text(json.dumps(value))
        while True:
            process = start(tmp_path / "spec")
            goal = sent(hub) + chance.randint(0, 2 * size // KILLS)
            while process.poll() is None and sent(hub) < goal:
                time.sleep(0.002)
            if process.poll() is not None or len(lost) > KILLS:
                break
            process.kill()
            process.wait()
            # What came and is not known to be here will have to come again.
            entries = journal.load(tmp_path / "m" / ".fetch" / "journal").values()
            known = sum(stop - start for entry in entries for start, stop in entry.ranges)
            lost.append(sent(hub) - known)
        assert process.wait() == 0
    each = [after - before for before, after in itertools.pairwise(lost)]
    print(f"{len(each)} kills, at most {max(each)} bytes sent again after one")
    assert len(each) > KILLS // 2 and max(each) <= AGAIN
    assert sent(hub) <= size + lost[-1] + AGAIN
    assert (tmp_path / "m" / "big.bin").read_bytes() == content
