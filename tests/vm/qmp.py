"""Two sockets of a QEMU process that speak lines of JSON: its monitor, and the guest's agent."""

from __future__ import annotations

import base64
import json
import random
import socket
import time
from pathlib import Path
from typing import Any

from tests.lab.process import LabError


class Line:
    """One of them; each call opens it anew, as what answers may have been started anew."""

    def __init__(self, path: Path, *, greets: bool) -> None:
        self._path = path
        self._greets = greets

    def call(self, command: str, timeout: float = 60, **arguments: Any) -> Any:
        """Have it run one command and return what it returns; OSError: nobody answers in time."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(timeout)
            line.connect(str(self._path))
            with line.makefile("rw") as lines:
                self._begin(lines)
                return self._ask(lines, command, arguments)

    def _begin(self, lines: Any) -> None:
        if self._greets:
            lines.readline()
            self._ask(lines, "qmp_capabilities", {})
            return
        # What a call before us left unread is passed over.
        mark = random.randrange(1 << 30)
        answer = self._ask(lines, "guest-sync", {"id": mark})
        while answer != mark:
            answer = self._read(lines, "guest-sync")

    def _ask(self, lines: Any, command: str, arguments: dict[str, Any]) -> Any:
        lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        lines.flush()
        return self._read(lines, command)

    def _read(self, lines: Any, command: str) -> Any:
        while line := lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise OSError(f"{self._path} was closed")


class Agent:
    """qemu-guest-agent: commands inside, as long as no network leads there."""

    def __init__(self, path: Path) -> None:
        self._line = Line(path, greets=False)

    def answers(self, timeout: float = 2) -> bool:
        """Whether it does now."""
        try:
            self._line.call("guest-ping", timeout)
        except OSError:
            return False
        return True

    def run(self, script: str, data: bytes = b"", timeout: float = 120) -> str:
        """Run a shell script inside, with this as its standard input; return what it printed."""
        started = self._line.call(
            "guest-exec",
            timeout,
            path="/bin/sh",
            arg=["-c", script],
            **{"input-data": base64.b64encode(data).decode(), "capture-output": True},
        )
        deadline = time.monotonic() + timeout
        while True:
            state = self._line.call("guest-exec-status", timeout, pid=started["pid"])
            if state["exited"]:
                break
            if time.monotonic() > deadline:
                raise LabError(f"no end after {timeout} s inside: {script}")
            time.sleep(0.1)
        printed = [base64.b64decode(state.get(f"{name}-data", "")) for name in ("out", "err")]
        said = b"".join(printed).decode(errors="replace")
        if state.get("exitcode"):
            raise LabError(f"inside, with {state['exitcode']}: {script}\n{said}")
        return said
