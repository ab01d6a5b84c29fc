"""Record which versions of an engine have served, and restore one of them.

    python3 versions.py prove    < {"folder", "state", "text"}
    python3 versions.py withdraw < {"folder", "state"}
    python3 versions.py restore  < {"folder", "note": name, "failed": name, or "text"}
    python3 versions.py noted FOLDER

A folder is /var/lib/modelrack/engines/<engine>, and has notes: serving.json, previous.json for the
version before it, and withdrawn.json if the previous version was put back into service. A note
describes one version: "engine", "directory", "entries" (units, settings and the link `current`, for
put.py), "services", and "deployed", its part of state.json.

prove records the text of a note as the serving version. withdraw makes the previous version the
serving one. Both mark themselves as done in their last step, so that the next run completes what a
killed one left unfinished. Versions that no note names are removed, unless a process still uses
them.

restore writes whatever differs from a note, and prints {"version", "services", "stop"}: the
services to check, and the units of the failed version that are not among them. It prints null if
there is no such note, or if the note has the same entries as what failed.

noted prints the versions by engine and note, for all engines of a folder.
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

from ..lib import durable, processes, put

# A version, and what lies beside it under its name: a lock, a record, something half made.
_VERSION = re.compile(r"\.?(.+-[0-9a-f]{12})(?:\..*)?")
_NOTES = ("serving", "previous", "withdrawn")


def main() -> int:
    verb, *words = sys.argv[1:]
    if verb == "noted":
        print(json.dumps({path.name: _noted(path) for path in sorted(Path(words[0]).glob("*/"))}))
        return 0
    request: dict[str, Any] = json.load(sys.stdin)
    verbs = {"prove": _prove, "withdraw": _withdraw, "restore": _restore}
    try:
        return verbs[verb](Path(request["folder"]), request)
    except OSError as error:
        print(f"the versions could not be changed: {error}", file=sys.stderr)
        return 1


def _noted(folder: Path) -> dict[str, str]:
    notes = {name: _read(folder, name) for name in _NOTES}
    return {name: Path(note["directory"]).name for name, note in notes.items() if note}


def _prove(folder: Path, request: dict[str, Any]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    proven = json.loads(request["text"])
    before = _read(folder, "serving")
    if before and before["directory"] != proven["directory"]:
        _write(folder, "previous", (folder / "serving.json").read_bytes())
        (folder / "withdrawn.json").unlink(missing_ok=True)
    others = [_read(folder, name) for name in _NOTES[1:]]
    _remove_all_but([note["directory"] for note in (proven, *others) if note])
    _deploy(Path(request["state"]), proven)
    _write(folder, "serving", request["text"].encode())
    return 0


def _withdraw(folder: Path, request: dict[str, Any]) -> int:
    previous = (folder / "previous.json").read_bytes()
    _write(folder, "withdrawn", (folder / "serving.json").read_bytes())
    _deploy(Path(request["state"]), json.loads(previous))
    _write(folder, "serving", previous)
    (folder / "previous.json").unlink()
    return 0


def _remove_all_but(kept: list[str]) -> None:
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
    """Replace this engine's part of state.json by that of the note.

    Do nothing if there is no such file: the first deploy writes it as a whole.
    """
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


def _restore(folder: Path, request: dict[str, Any]) -> int:
    note = _read(folder, request["note"])
    failed = json.loads(request["text"]) if "text" in request else _read(folder, request["failed"])
    failed = failed or {"entries": [], "services": []}
    if note is None or note["entries"] == failed["entries"]:
        print("null")
        return 0
    directory = Path(note["directory"])
    if not directory.is_dir():
        print(f"{directory} is gone", file=sys.stderr)
        return 1
    if not put.write([entry for entry in note["entries"] if not _is_there(entry)]):
        return 1
    wanted = [service["name"] for service in note["services"]]
    stop = [each["name"] for each in failed["services"] if each["name"] not in wanted]
    print(json.dumps({"version": directory.name, "services": note["services"], "stop": stop}))
    return 0


def _is_there(entry: dict[str, Any]) -> bool:
    """Return whether the entry is on disk as it should be.

    Rewriting it would have its service restarted.
    """
    path = Path(entry["path"])
    try:
        if entry["kind"] == "link":
            return os.readlink(path) == str(entry["target"])
        content: bytes = base64.b64decode(entry["content"])
        return path.read_bytes() == content
    except OSError:
        return False


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return note


def _write(folder: Path, name: str, text: bytes) -> None:
    durable.replace(folder / f"{name}.json", text, mode=0o600)


if __name__ == "__main__":
    raise SystemExit(main())
