"""Nodes of a group as processes on loopback addresses; their engine is a shell script."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.unit import ROOT

SECRET = "4f" * 32
# Seconds; what is waited for comes much sooner, but the machine may be busy.
PATIENCE = 90
ENGINE = 'echo $$ >> "$0"; sleep 600 & echo $! >> "$0"; wait'


class Nodes:
    """The nodes of one group, which are ended with `end`.

    + network: two numbers in 127.0.0.0/8 that no other test has now
    """

    def __init__(self, folder: Path, count: int, network: tuple[int, int]) -> None:
        self.folder = folder
        self.addresses = [f"127.{network[0]}.{network[1]}.{10 + rank}" for rank in range(count)]
        with socket.create_server((self.addresses[0], 0)) as free:
            self.port = int(free.getsockname()[1])
        self.secret = folder / "secret"
        self.secret.write_text(SECRET)
        self.started: dict[int, subprocess.Popen[bytes]] = {}
        self._all: list[subprocess.Popen[bytes]] = []
        # By which what is ended is known to be of this group, whoever has its number by now.
        self._mark = {"MODELRACK_TEST_GROUP": str(folder)}

    def start(self, *ranks: int, engine: Sequence[str] = (), **changes: Any) -> None:
        """Start these nodes, with what their file says otherwise."""
        for rank in ranks:
            told = {
                "service": "large",
                "rank": rank,
                "nodes": self.addresses,
                "port": self.port,
                "digest": "0123456789abcdef",
                "secret": str(self.secret),
                **changes,
            }
            file = self.folder / f"{rank}.json"
            file.write_text(json.dumps(told))
            command = engine or ("sh", "-c", ENGINE, str(self._engines(rank)))
            with self._log(rank).open("ab") as log:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "deploys.remote", "together"),
                        *("--group", str(file), "--", *command),
                    ],
                    cwd=ROOT,
                    env={**os.environ, **self._mark},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.started[rank] = process
            self._all.append(process)

    def said(self, rank: int) -> str:
        return self._log(rank).read_text()

    def engine(self, rank: int) -> int:
        """The engine that runs on a node, or 0."""
        return next(iter(self.processes(rank)), 0)

    def processes(self, rank: int) -> list[int]:
        """What runs of all engines that a node has had."""
        return [pid for pid in self.had(rank) if self._is_ours(pid)]

    def had(self, rank: int) -> list[int]:
        """The processes of all engines that a node has had."""
        file = self._engines(rank)
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def kill(self, rank: int) -> None:
        """Kill what runs of its engines, as systemd does with what a killed node leaves behind."""
        for pid in self.processes(rank):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def serve(self) -> None:
        """Wait until the engine of every node runs, and its helper."""
        for rank in self.started:
            wait(lambda rank=rank: len(self.processes(rank)) == 2, f"no engine of {rank} runs")

    def ended(self, *ranks: int) -> None:
        """Wait until these have ended for the others' sake, and nothing of theirs is left."""
        for rank in ranks:
            assert self.started[rank].wait(PATIENCE) == 1, self.said(rank)
            wait(lambda rank=rank: not self.processes(rank), f"the engine of {rank} runs on")

    def end(self) -> None:
        """Kill all that there is."""
        for process in self._all:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for rank in range(len(self.addresses)):
            self.kill(rank)

    def _is_ours(self, pid: int) -> bool:
        try:
            # The dead that nobody has asked about have none.
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return all(f"{name}={value}".encode() in environment for name, value in self._mark.items())

    def _log(self, rank: int) -> Path:
        return self.folder / f"{rank}.log"

    def _engines(self, rank: int) -> Path:
        return self.folder / f"{rank}.engines"


def wait(reached: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
