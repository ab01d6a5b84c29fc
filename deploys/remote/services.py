"""Print how systemd units stand and what answers on their ports, as one JSON object.

    python3 services.py < units.json        [{"unit", "url", "model", "files", "chat"}]

Prints {unit: {"load", "active", "enabled", "reload", "pid", "restarts", "digest", "stale",
"answer"}}. `stale`: one of the `files` was written after the process started.
`digest` is the MODELRACK_DIGEST that the running process was started with; `answer` is "ok", or
what is wrong with what the port says: about any model, where a unit is named once for each of them.
With "chat" a question is asked, else only the models listed; where "model" is null, any answer to
HTTP will do.
Standard library only, and no import of ours: it runs as the text of `python3 -c`.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PROPERTIES = {
    "LoadState": "load",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "reload",
    "MainPID": "pid",
    "NRestarts": "restarts",
    "ExecMainStartTimestampMonotonic": "started",
}
_SAID = ("content", "reasoning_content", "reasoning")
# Seconds; a busy server answers a short question within this.
_TIMEOUT = 60


def main() -> int:
    wanted: list[dict[str, Any]] = json.load(sys.stdin)
    states: dict[str, dict[str, Any]] = {}
    for entry in wanted:
        state, before = _state(entry), states.get(entry["unit"])
        if before and before["answer"] != "ok":
            state["answer"] = before["answer"]
        states[entry["unit"]] = state
    print(json.dumps(states))
    return 0


def _state(entry: dict[str, Any]) -> dict[str, Any]:
    show = subprocess.run(
        [
            *("systemctl", "show", "--property", ",".join(_PROPERTIES), "--", entry["unit"]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    state: dict[str, Any] = dict.fromkeys(_PROPERTIES.values(), "")
    for line in show.stdout.splitlines():
        key, _, value = line.partition("=")
        state[_PROPERTIES[key]] = value
    state["digest"] = _digest(state["pid"])
    state["stale"] = _stale(state.pop("started"), entry["files"])
    state["answer"] = _answer(entry) if state["active"] == "active" else "the unit is not active"
    return state


def _stale(started: str, files: list[str]) -> bool:
    """Ages are compared, not times: a wall clock may have been set since the start."""
    if not started.isdecimal() or started == "0":
        return False
    process = time.clock_gettime(time.CLOCK_MONOTONIC) - int(started) / 1e6
    try:
        ages = [time.time() - os.stat(file).st_mtime for file in files]
    except OSError:
        return False
    # A file from the future says nothing, and one of the last second before the start is not newer.
    return any(0 <= age < process - 1 for age in ages)


def _digest(pid: str) -> str | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for variable in environment.split(b"\0"):
        if variable.startswith(b"MODELRACK_DIGEST="):
            return variable.partition(b"=")[2].decode()
    return None


def _answer(entry: dict[str, Any]) -> str:
    address = urlsplit(entry["url"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT)
    try:
        if entry["model"] is None:
            connection.request("GET", "/")
            status = connection.getresponse().status
            return "ok" if status < 400 else f"no answer: HTTP status {status}"
        models = _call(connection, "GET", "/v1/models")
        names = [model["id"] for model in models["data"]]
        if entry["model"] not in names:
            return f"it serves {', '.join(names)} instead of {entry['model']}"
        if entry["chat"]:
            question = {
                "model": entry["model"],
                "messages": [{"role": "user", "content": "Hello"}],
                "max_tokens": 8,
                "temperature": 0,
            }
            reply = _call(connection, "POST", "/v1/chat/completions", question)
            message = reply["choices"][0]["message"]
            # vLLM and SGLang put what is thought apart, each under a name of its own.
            if not any(message.get(part) for part in _SAID):
                return "it answers a question with nothing"
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return "ok"


def _call(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None
) -> dict[str, Any]:
    data = json.dumps(body) if body is not None else None
    connection.request(method, path, data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise ValueError(f"HTTP status {response.status}")
    parsed: dict[str, Any] = json.loads(content)
    return parsed


if __name__ == "__main__":
    raise SystemExit(main())
