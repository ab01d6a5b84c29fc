"""Write files, folders and links, each atomically; write none of them if systemd refuses a unit.

    python3 put.py < entries.json

The entries come on standard input, because arguments can be read by everybody on the machine:

    {"entries": [
        {"kind": "directory", "path": ..., "mode": "755", "user": "root", "group": "root"},
        {"kind": "file", "path": ..., "mode": "644", "user": ..., "group": ..., "content": base64},
        {"kind": "link", "path": ..., "target": ...}],
     "units": ["/etc/systemd/system/x@.service", "/etc/systemd/system/x@a.service.d/y.conf"]}

Those named in "units", and additions to units, are checked by `systemd-analyze verify` first. Uses
the standard library only and imports nothing from this package: it also runs as the text of
`python3 -c`.
"""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_UNITS = "/etc/systemd/system"
# What others have at a place of ours is kept here when it is written to first, for uninstalling.
_REPLACED = "/var/lib/modelrack/before"
_OURS = ("/etc/modelrack/", "/opt/modelrack/", "/var/lib/modelrack", "/var/cache/modelrack")
_MARK = b"Written by modelrack"


def main() -> int:
    request = json.load(sys.stdin)
    entries: list[dict[str, Any]] = request["entries"]
    units = [entry for entry in entries if entry["path"] in request.get("units", ())]
    refused = _refused(units, [entry for entry in entries if entry["kind"] == "link"])
    if refused:
        print(f"systemd refuses the unit, nothing was written:\n{refused}", file=sys.stderr)
        return 1
    return 0 if write(entries) else 1


def write(entries: list[dict[str, Any]]) -> bool:
    """Write all entries and return True; at the first error, print it and return False."""
    try:
        for entry in entries:
            _WRITERS[entry["kind"]](entry)
    except (OSError, KeyError) as error:
        print(f"{entry['path']} could not be written: {error}", file=sys.stderr)
        return False
    return True


def _refused(units: list[dict[str, Any]], links: list[dict[str, Any]]) -> str:
    """Return what systemd objects to in the units, or "" if it accepts them.

    + links: not written yet, where the units name programs behind them
    """
    if not units or shutil.which("systemd-analyze") is None:
        return ""
    texts = {Path(each["path"]): base64.b64decode(each["content"]).decode() for each in units}
    checked = []
    for path in list(texts):
        # What is added to an instance is checked as that instance, with its unit as it is.
        added = path.parent.suffix == ".d"
        checked.append(path.parent.with_suffix("") if added else path)
        unit = path.parent.with_name(re.sub("@.*?[.]d$", "@.service", path.parent.name))
        if added and unit not in texts and unit.is_file():
            texts[unit] = unit.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for path, content in texts.items():
            for link in links:
                content = content.replace(f"{link['path']}/", f"{link['target']}/")
            copy = Path(folder, path.relative_to(_UNITS))
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(content)
        paths = [os.path.join(folder, path.name) for path in dict.fromkeys(checked)]
        check = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *paths],
            capture_output=True,
            text=True,
            check=False,
        )
        return check.stderr.replace(f"{folder}/", "").strip() if check.returncode else ""


def _directory(entry: dict[str, Any]) -> None:
    os.makedirs(entry["path"], exist_ok=True)
    _own(entry["path"], entry)


def _file(entry: dict[str, Any]) -> None:
    folder, name = os.path.split(entry["path"])
    os.makedirs(folder, exist_ok=True)
    _keep(entry["path"])
    # Readable by nobody else until its owner and mode are set; in the same folder, so that the
    # rename is atomic.
    temporary = _beside(folder, name)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(entry["content"]))
            file.flush()
            _own(file.fileno(), entry)
            os.fsync(file.fileno())
        os.rename(temporary, entry["path"])
    except BaseException:
        os.unlink(temporary)
        raise
    _sync(folder)


def _keep(path: str) -> None:
    """Keep a file that somebody else has written, once."""
    copy = f"{_REPLACED}{path}"
    if path.startswith(_OURS) or not os.path.isfile(path) or os.path.exists(copy):
        return
    with open(path, "rb") as file:
        if _MARK in file.read(200):
            return
    os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
    shutil.copy2(path, copy)
    status = os.stat(path)
    os.chown(copy, status.st_uid, status.st_gid)


def _link(entry: dict[str, Any]) -> None:
    folder, name = os.path.split(entry["path"])
    temporary = _beside(folder, name)
    os.symlink(entry["target"], temporary)
    os.rename(temporary, entry["path"])
    _sync(folder)


def _beside(folder: str, name: str) -> str:
    # Always the same name: what a power cut left there is not left for ever.
    path = os.path.join(folder, f".{name}.new")
    if os.path.lexists(path):
        os.unlink(path)
    return path


def _own(path: str | int, entry: dict[str, Any]) -> None:
    os.chown(path, pwd.getpwnam(entry["user"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid)
    os.chmod(path, int(entry["mode"], 8))


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_WRITERS = {"directory": _directory, "file": _file, "link": _link}

if __name__ == "__main__":
    raise SystemExit(main())
