"""The gate: can the cards of all nodes talk, and how fast, before minutes go into loading a model.

One process a card, of the engine's own interpreter and in its environment, runs all_reduce.py.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import signal
import subprocess
import tempfile
import time
from typing import IO, Any

from ..lib.failure import Failure
from .engine import environment
from .settings import GateSettings, GroupSettings

# Seconds that the nodes have to find each other, and to have measured.
_MEET, _LIMIT = 60, 300
# What NCCL and RCCL say of the way that they have taken; plugins for it have names of their own.
_NETWORK = re.compile(r"NCCL INFO Using network (.+)$", re.MULTILINE)
# Read now: the archive that this is in may be another one by the time of the gate.
_PROGRAM = pkgutil.get_data(__package__ or "", "all_reduce.py") or b""
_WHERE_TO_LOOK = (
    "look at ibv_devinfo and ip -br link on all nodes, at NCCL_IB_HCA and NCCL_SOCKET_IFNAME in"
    " the service's .env, and whether its unit has the devices of /dev/infiniband and memlock"
)


class Gate:
    """The measurement on one node, which runs until it is judged.

    + figures: what was measured, once it is judged
    """

    def __init__(self, group: GroupSettings, settings: GateSettings) -> None:
        self._group, self._settings = group, settings
        self._until = time.monotonic() + _LIMIT
        self.figures = ""
        self._outputs: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        for card in range(max(settings.cards, 1)):
            self._start(card)

    @property
    def _world(self) -> int:
        return len(self._group.nodes) * max(self._settings.cards, 1)

    def is_over(self) -> bool:
        """Return whether there is something to judge."""
        codes = [process.poll() for process in self._processes]
        # The others would wait for the one that has failed.
        return None not in codes or any(codes) or time.monotonic() > self._until

    def wrong(self) -> str | None:
        """Return what is wrong, and where to look, in one line; None if nothing is."""
        codes = [process.poll() for process in self._processes]
        self.end()
        said = [self._said(output) for output in self._outputs]
        what = f"all-reduce over {self._world} {'cards' if self._settings.cards else 'nodes'}"
        networks = {name.strip() for text in said for name in _NETWORK.findall(text)}
        if self._settings.rdma and "Socket" in networks:
            return f"{what} goes over sockets, though there are adapters for RDMA: {_WHERE_TO_LOOK}"
        for card, (code, text) in enumerate(zip(codes, said)):
            if code is None or code:
                last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
                how = "has not ended" if code is None else f"failed on card {card} with {code}"
                return f"{what} {how} ({last.strip()[:300]}): {_WHERE_TO_LOOK}"
        measured: dict[str, Any] = json.loads(said[0].splitlines()[-1])
        speed, floor = measured["gigabytes_per_second"], self._settings.floor
        over = f" over {', '.join(sorted(networks))}" if networks else ""
        self.figures = f"{what}{over}: {speed:.3g} GB/s, {measured['microseconds']:.0f} us"
        if floor is not None and speed < floor:
            return f"{what}{over} reaches {speed:.3g} GB/s of {floor:g}: {_WHERE_TO_LOOK}"
        return None

    def end(self) -> None:
        """Kill what still runs of it."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, card: int) -> None:
        settings, group = self._settings, self._group
        told = {
            "rank": group.rank * max(settings.cards, 1) + card,
            "world": self._world,
            "card": card if settings.cards else None,
            "head": f"[{group.head}]" if ":" in group.head else group.head,
            "port": settings.port,
            "meet": _MEET,
        }
        output = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when all is over.
        self._outputs.append(output)
        variables = {**environment(), "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET"}
        # What it says is read here.
        variables.pop("NCCL_DEBUG_FILE", None)
        try:
            process = subprocess.Popen(
                [settings.python, "-", json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            self.end()
            raise Failure(f"{settings.python} cannot be started: {error.strerror}") from error
        self._processes.append(process)
        assert process.stdin
        try:
            process.stdin.write(_PROGRAM)
            process.stdin.close()
        except BrokenPipeError:
            pass  # Its exit code says why.

    @staticmethod
    def _said(output: IO[bytes]) -> str:
        output.seek(0)
        return output.read().decode(errors="replace")
