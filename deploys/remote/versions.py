"""Note which version of an engine serves, or put back what a note says.

    python3 versions.py prove < {"note": path of serving.json, "content": text, "state": path}
    python3 versions.py restore < {"note": path of a note, "failed": text of another, or null}

A note says of one version: "engine", "version", "directory", "entries" (units, settings and the
link `current`, for put.py), "services", and "deployed", its part of state.json.

prove writes the note last, so that what a killed run left undone is done by the next one. The note
of another version becomes previous.json beside it. Versions that neither of the two names are
removed, unless a process still uses them.

restore writes what is not as the note says, and prints {"version", "services", "stop"}: what is to
be asked, and the units of what failed, else of what serves, that are not among them. null when
nothing is noted, or nothing else than what failed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from . import durable, processes, put

# A version, and what lies beside it under its name: a lock, a record, something half made.
_VERSION = re.compile(r"\.?(.+-[0-9a-f]{12})(?:\..*)?")


def main() -> int:
    request: dict[str, Any] = json.load(sys.stdin)
    try:
        return {"prove": _prove, "restore": _restore}[sys.argv[1]](request)
    except OSError as error:
        print(f"the versions could not be changed: {error}", file=sys.stderr)
        return 1


def _prove(request: dict[str, Any]) -> int:
    path = Path(request["note"])
    path.parent.mkdir(parents=True, exist_ok=True)
    proven = json.loads(request["content"])
    before = _read(path)
    if before and before["directory"] != proven["directory"]:
        durable.replace(path.with_name("previous.json"), path.read_bytes(), mode=0o600)
    previous = _read(path.with_name("previous.json"))
    _remove_others([note["directory"] for note in (proven, previous) if note])
    _deploy(Path(request["state"]), proven)
    durable.replace(path, request["content"].encode(), mode=0o600)
    return 0


def _remove_others(kept: list[str]) -> None:
    folder = Path(kept[0]).parent
    found = {
        path: match[1] for path in folder.iterdir() if (match := _VERSION.fullmatch(path.name))
    }
    others = {folder / version for version in found.values()} - {Path(each) for each in kept}
    others -= processes.in_use(others)
    for path, version in found.items():
        if folder / version not in others:
            continue
        if path.is_dir():
            # What is half removed must not look whole.
            gone = folder / f".{version}.removed"
            path.rename(gone)
            shutil.rmtree(gone)
        else:
            path.unlink()


def _deploy(path: Path, note: dict[str, Any]) -> None:
    """state.json says of this engine what the note says; the first deploy writes it as a whole."""
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return
    plan = state["plan"]
    for part, key in (("software", "name"), ("services", "engine")):
        others = [each for each in plan[part] if each[key] != note["engine"]]
        plan[part] = others + note["deployed"][part]
    state["digest"] = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    durable.replace(path, (json.dumps(state, indent=2) + "\n").encode())


def _restore(request: dict[str, Any]) -> int:
    path = Path(request["note"])
    note = _read(path)
    failed = json.loads(request["failed"] or "null") or _read(path.with_name("serving.json")) or {}
    if note is None or note["entries"] == failed.get("entries"):
        print("null")
        return 0
    if not Path(note["directory"]).is_dir():
        print(f"{note['directory']} is gone", file=sys.stderr)
        return 1
    if not put.write([entry for entry in note["entries"] if not _is_there(entry)]):
        return 1
    wanted = [service["name"] for service in note["services"]]
    others = [service["name"] for service in failed.get("services", ())]
    stop = [name for name in others if name not in wanted]
    print(json.dumps({"version": note["version"], "services": note["services"], "stop": stop}))
    return 0


def _is_there(entry: dict[str, Any]) -> bool:
    """Rewriting what is so already would have its service restarted."""
    path = Path(entry["path"])
    try:
        if entry["kind"] == "link":
            return os.readlink(path) == str(entry["target"])
        content: bytes = base64.b64decode(entry["content"])
        return path.read_bytes() == content
    except OSError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return note


if __name__ == "__main__":
    raise SystemExit(main())
