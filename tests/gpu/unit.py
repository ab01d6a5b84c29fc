"""A service as systemd runs it on this machine: asked, killed, started again, and its journal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploys.remote.services.model_server import ModelServer, RequestFailed
from tests.e2e import alive
from tests.e2e.alive import Killed
from tests.gpu import vllm_speed

# Seconds that a start may take, and between two looks at it.
PATIENCE, LOOK_EVERY = 900, 0.5
# systemd's own message of a unit that it has started. Source: systemd's sd-messages.h.
_STARTED = "39f53479d3a045ac8e11786248231fbf"
# When a server takes requests: uvicorn's word for it, and llama-server's.
_READY = re.compile(r"Application startup complete|server is listening on")
# SGLang's, and so KTransformers'.
_TOKENS = re.compile(r"max_total_num_tokens=(\d+)")
_WEIGHTS = re.compile(r"Load weight end.*mem usage=([\d.]+) GB")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """+ name: of the unit; model: what it serves, and under which name; port: on loopback."""

    name: str
    model: str
    port: int

    def ask(self, question: str = "Hello", tokens: int = 64) -> str:
        """What it answers to a question."""
        server = ModelServer(f"http://127.0.0.1:{self.port}")
        try:
            return server.chat(self.model, question, tokens)
        finally:
            server.close()

    def kill(self) -> list[Killed]:
        """End each of its processes in turn, as a crash would; it answers again by itself."""
        try:
            return alive.survives(_Here(), self.name, self._answers)
        except AssertionError as error:
            raise RequestFailed(str(error)) from error

    def restart(self) -> float:
        """Seconds until it answers again."""
        begun = time.monotonic()
        _run("systemctl", "restart", self.name)
        self._wait("systemctl restart")
        return round(time.monotonic() - begun, 1)

    def boot(self) -> float:
        """Seconds from the machine's start until it answers, or has answered by now."""
        self._wait("the machine's start")
        return round(time.clock_gettime(time.CLOCK_BOOTTIME) - _booted(), 1)

    def journal(self) -> str:
        """All of it, an entry a line, as JSON."""
        return _run("journalctl", "--output=json", "--all", "--unit", self.name)

    def _wait(self, since: str) -> None:
        begun = time.monotonic()
        while not self._answers():
            if time.monotonic() - begun > PATIENCE:
                raise RequestFailed(f"{self.name} does not answer {PATIENCE} s after {since}")
            time.sleep(LOOK_EVERY)

    def _answers(self) -> bool:
        try:
            return bool(self.ask())
        except RequestFailed:
            return False


class _Here:
    """This machine, as the lab's are reached."""

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = ["sh", "-c", command]
        return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=check)


def _booted() -> float:
    """When the first process was started, in a container, too; in seconds of the kernel's clock."""
    fields = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def starts(journal: Iterable[str]) -> list[float | None]:
    """Seconds of each start until its server was ready; None for one that came to nothing."""
    found: list[float | None] = []
    begun = 0.0
    for line in journal:
        entry: Mapping[str, Any] = json.loads(line)
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        if entry.get("MESSAGE_ID") == _STARTED:
            begun = at
            found.append(None)
        elif found and found[-1] is None and _READY.search(str(entry.get("MESSAGE"))):
            found[-1] = round(at - begun, 1)
    return found


def memory(log: str, engine: str) -> dict[str, Any]:
    """What the engine says of memory: tokens that its cache holds, GiB of weights."""
    if engine == "vllm":
        return vllm_speed.reported(log)
    tokens, weights = _TOKENS.findall(log), _WEIGHTS.findall(log)
    return {
        "kv_tokens": int(tokens[-1]) if tokens else None,
        "weights_gib": float(weights[-1]) if weights else None,
    }


def text(journal: Iterable[str]) -> str:
    """The same journal to be read: seconds of the day, and what was said."""
    entries = map(json.loads, journal)
    return "".join(f"{_clock(entry)} {entry.get('MESSAGE')}\n" for entry in entries)


def _clock(entry: Mapping[str, Any]) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(int(entry["__REALTIME_TIMESTAMP"]) / 1e6))


def _run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
