"""A service as systemd runs it on this machine: asked, killed, started again, and its journal."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploys.remote.services.model_server import ModelServer, RequestFailed

# Seconds that a start may take, and between two looks at it.
PATIENCE, LOOK_EVERY = 900, 0.5
# systemd's own message of a unit that it has started. Source: systemd's sd-messages.h.
_STARTED = "39f53479d3a045ac8e11786248231fbf"
# The engines' last word of a start: uvicorn's, llama-server's.
_READY = re.compile(r"Application startup complete|server is listening on")


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

    def kill(self) -> float:
        """End its main process as a crash would; seconds until it answers again by itself."""
        return self._after("kill", "--signal=KILL", "--kill-whom=main")

    def restart(self) -> float:
        """Seconds until it answers again."""
        return self._after("restart")

    def journal(self) -> str:
        """All of it, an entry a line, as JSON."""
        return _run("journalctl", "--output=json", "--all", "--unit", self.name)

    def _after(self, *words: str) -> float:
        before, begun = self._pid(), time.monotonic()
        _run("systemctl", *words, self.name)
        while time.monotonic() - begun < PATIENCE:
            time.sleep(LOOK_EVERY)
            try:
                if self._pid() not in ("0", before) and self.ask():
                    return round(time.monotonic() - begun, 1)
            except RequestFailed:
                continue
        raise RequestFailed(f"{self.name} does not answer {PATIENCE} s after systemctl {words[0]}")

    def _pid(self) -> str:
        return _run("systemctl", "show", "--value", "--property=MainPID", self.name).strip()


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


def text(journal: Iterable[str]) -> str:
    """The same journal to be read: seconds of the day, and what was said."""
    entries = map(json.loads, journal)
    return "".join(f"{_clock(entry)} {entry.get('MESSAGE')}\n" for entry in entries)


def _clock(entry: Mapping[str, Any]) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(int(entry["__REALTIME_TIMESTAMP"]) / 1e6))


def _run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
