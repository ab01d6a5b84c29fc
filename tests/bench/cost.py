"""What a command takes, by the kernel's own counters: time, bytes written, memory, disk."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.temporary import DIES_WITH_US


class CommandError(Exception):
    """A command did not do what it should."""


@dataclass
class Cost:
    """What one run took: seconds, bytes written as the kernel counts them, peaks of the rest."""

    seconds: float = 0.0
    processor: float = 0.0
    written: int = 0
    memory: int = 0
    disk: int = 0


def measure(
    work: Path,
    served: Path,
    commands: Sequence[Sequence[str]],
    environment: dict[str, str] | None = None,
) -> Cost:
    """What the commands take, one after the other; what is in ``served`` is in memory before."""
    settle(served)
    cost, ended = Cost(), threading.Event()
    watched: list[int] = []
    watcher = threading.Thread(target=_watch, args=(work / "target", watched, cost, ended))
    watcher.start()
    start = time.monotonic()
    try:
        for command in commands:
            with (work / "output").open("wb") as output:
                process = subprocess.Popen(
                    [*DIES_WITH_US, *command],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                )
                watched[:] = [process.pid]
                try:
                    # Not reaped yet: its counters can still be read.
                    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                except KeyboardInterrupt:
                    # Nobody writes any more into what is about to be removed.
                    process.kill()
                    process.wait()
                    raise
                counters = Path(f"/proc/{process.pid}/io").read_text()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said = (work / "output").read_text(errors="replace")
                raise CommandError(f"{command[0]} ended with {process.returncode}: {said[-500:]}")
            cost.written += int(counters.split("\nwrite_bytes: ")[1].split("\n")[0])
            cost.processor += usage.ru_utime + usage.ru_stime
        cost.seconds = time.monotonic() - start
    finally:
        ended.set()
        watcher.join()
    return cost


def _watch(folder: Path, watched: list[int], cost: Cost, ended: threading.Event) -> None:
    # Not the memory that wait4 tells: a process inherits the peak of the one that started it.
    peak = re.compile(r"VmHWM:\s+(\d+) kB")
    while True:
        done = ended.wait(0.1)
        used = 0
        for path in [folder, *folder.rglob("*")]:
            try:
                used += path.stat().st_blocks * 512
            except OSError:
                continue
        cost.disk = max(cost.disk, used)
        for number in watched:
            with contextlib.suppress(OSError):
                if found := peak.search(Path(f"/proc/{number}/status").read_text()):
                    cost.memory = max(cost.memory, int(found[1]) * 1024)
        if done:
            return


def settle(root: Path) -> None:
    """Nothing waits to be written, no old file is in memory, the served ones are.

    A virtual machine's host takes back memory that is free for some seconds, and who uses it next
    waits for every page of it; that is done here, before anybody is measured.
    """
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        print("  the caches cannot be dropped here", file=sys.stderr, flush=True)
    served = list(root.rglob("*.gguf"))
    for path in served:
        with path.open("rb", buffering=0) as file:
            while file.read(8 << 20):
                pass
    size = sum(path.stat().st_size for path in served) * 5 // 4
    with mmap.mmap(-1, min(size, _free() * 9 // 10)) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1


def _free() -> int:
    """Bytes of memory that nobody uses."""
    words = Path("/proc/meminfo").read_text().split("MemFree:")[1].split()
    return int(words[0]) * 1024
