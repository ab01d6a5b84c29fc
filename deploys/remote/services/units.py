"""Print the state of systemd units and what answers on their ports, as one JSON object.

    python3 services.py < units.json   [{"unit", "url", "model", "context", "files", "measured",
                                         "ask", "vector"}]

Prints {unit: {"load", "active", "enabled", "reload", "pid", "restarts", "digest", "stale",
"answer", "wrong", "measured"}}. `stale`: one of the `files` was written after the process started.
`digest` is the MODELRACK_DIGEST that the running process was started with. `answer` is "ok", or
what is wrong with the server's answer, and `wrong` is true if waiting cannot change that; a unit
that is listed once per model gets the problem of any of them. "ask" is the task of which a question
is asked, or null if only the models are to be listed; "vector" says how many numbers a vector has,
if that is asked for. If "model" is null, any HTTP response that is not an error will do, and if
"url" is null, that the unit is active. With "sampling", values by their names, it must draw answers
with these, if it says how it does. Each of "adapters", further names of models, is asked a
question, too. With "cards", PCI addresses, and "layers", so many must be on these, which is looked
for where a question is asked.
`measured` is the content of the files of that name, by name.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import questions, start_log
from .model_server import ModelServer, RequestFailed, RequestRejected

_PROPERTIES = {
    "LoadState": "load",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "reload",
    "MainPID": "pid",
    "NRestarts": "restarts",
    "ExecMainStartTimestampMonotonic": "started",
}


def main() -> int:
    wanted: list[dict[str, Any]] = json.load(sys.stdin)
    states: dict[str, dict[str, Any]] = {}
    for entry in wanted:
        state, before = _state(entry), states.get(entry["unit"])
        if before:
            state["measured"].update(before["measured"])
            if before["answer"] != "ok":
                state["answer"], state["wrong"] = before["answer"], before["wrong"]
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
    state["measured"] = _measured(entry["measured"])
    state["answer"], state["wrong"] = "the unit is not active", False
    if state["active"] == "active":
        state["answer"], state["wrong"] = _answer(entry)
    return state


def _stale(started: str, files: list[str]) -> bool:
    """Return whether any of the files was written after the process started.

    Ages are compared, not times: the wall clock may have been set since the start.
    """
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


def _measured(path: str | None) -> dict[str, Any]:
    try:
        return {path: json.loads(Path(path).read_bytes())} if path else {}
    except (OSError, ValueError):
        return {}


def _answer(entry: dict[str, Any]) -> tuple[str, bool]:
    """Return "ok" or what is wrong with the answer, and whether waiting cannot change that."""
    try:
        wrong = _wrong(entry)
    except RequestRejected as refusal:
        return f"it refuses a question: {refusal}", True
    except (RequestFailed, KeyError, IndexError, TypeError) as error:
        return f"no answer: {error}", False
    return wrong or "ok", wrong is not None


def _wrong(entry: dict[str, Any]) -> str | None:
    """Return what is wrong with the server's answer, or None if nothing is."""
    if entry["url"] is None:
        return None
    server = ModelServer(entry["url"])
    try:
        if entry["model"] is None:
            server.greet()
            return None
        models = server.models()
        if entry["model"] not in models:
            return f"it serves {', '.join(models)} instead of {entry['model']}"
        context = server.context(models[entry["model"]])
        if context is not None and context < entry["context"]:
            return f"a request may take {context} tokens instead of {entry['context']}"
        if entry.get("sampling"):
            drawn = server.sampling(models[entry["model"]]) or start_log.sampling(entry["unit"])
            wrong = _other_sampling(drawn, entry["sampling"])
            if wrong:
                return wrong
        if entry["ask"]:
            if entry.get("cards"):
                wrong = start_log.other_cards(entry["unit"], entry["cards"], entry["layers"])
                if wrong:
                    return wrong
            wrong = questions.wrong(server, entry["ask"], entry["model"], entry["vector"])
            return wrong or _wrong_adapter(server, entry)
    finally:
        server.close()
    return None


def _wrong_adapter(server: ModelServer, entry: dict[str, Any]) -> str | None:
    """Return which adapter gives no right answer, where the model beside it has given one."""
    for name in entry.get("adapters", ()):
        try:
            wrong = questions.wrong(server, entry["ask"], name, entry["vector"])
        except (RequestFailed, RequestRejected) as error:
            wrong = str(error)
        if wrong:
            return f"asked as {name}: {wrong}"
    return None


def _other_sampling(found: dict[str, float] | None, wanted: dict[str, float]) -> str | None:
    """Return what is other in how answers are drawn, or None; servers count in 32 bits."""
    if found is None:
        return None
    for name, value in wanted.items():
        drawn = found.get(name)
        if drawn is None or not math.isclose(drawn, value, rel_tol=1e-5, abs_tol=1e-6):
            with_what = f"{name} {drawn:g}" if drawn is not None else f"no {name}"
            return f"it draws answers with {with_what} instead of {value:g}"
    return None


if __name__ == "__main__":
    raise SystemExit(main())
