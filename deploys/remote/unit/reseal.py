"""Put a unit that was booted for its test back to what its image is, and switch it off.

    python3 reseal.py < {"remove": [patterns], "rewrite": {path: text}, "empty": [folders]}

Paths are relative to the root. Its next boot is a first one, which makes an identity of its own.
Prints {"removed": how many}; the unit is off a moment later, so that nothing writes any more.
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# What would write while all is taken away. Its sockets would start it again.
_WRITES = (
    *("systemd-journald.socket", "systemd-journald-dev-log.socket"),
    *("systemd-journald-audit.socket", "systemd-journald.service"),
    *("syslog.socket", "rsyslog.service"),
)
# Without a unit being stopped, as some keep things for the next boot then. The second time takes
# what the end of this connection has written.
_OFF = "sleep 2; {empty} sync; systemctl --force --force poweroff"


def main() -> int:
    told: dict[str, Any] = json.load(sys.stdin)
    if os.geteuid() != 0:
        print("only root can seal this unit", file=sys.stderr)
        return 1
    for unit in _WRITES:
        subprocess.run(["systemctl", "stop", unit], capture_output=True)
    try:
        removed = reseal(Path("/"), told)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    os.sync()
    print(json.dumps({"removed": removed}), flush=True)
    empty = "".join(f"find /{each} -type f -delete;" for each in told["empty"])
    subprocess.Popen(
        ["sh", "-c", _OFF.format(empty=empty)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return 0


def reseal(root: Path, told: dict[str, Any]) -> int:
    """Take all of it away; return how many files and folders were there."""
    removed = 0
    for pattern in told["remove"]:
        for path in _found(root, pattern):
            removed += _remove(path)
    for folder in told["empty"]:
        for path in (root / folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.unlink()
                removed += 1
    for name, text in told["rewrite"].items():
        (root / name).write_text(text)
    _unprove(root)
    return removed


def _remove(path: Path) -> int:
    """Remove a path, but nothing of another file system; return how much of it was there."""
    if path.lstat().st_dev != path.parent.stat().st_dev:
        return 0
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return 1
    removed = sum(_remove(child) for child in list(path.iterdir()))
    if any(path.iterdir()):
        return removed  # Something is mounted in it.
    path.rmdir()
    return removed + 1


def _unprove(root: Path) -> None:
    """Have the next boot read and prove all weights, as the first one did."""
    try:
        state = json.loads((root / "var/lib/modelrack/state.json").read_text())
    except OSError:
        return
    data_root = state["plan"]["site"]["data_root"].lstrip("/")
    for path in (root / data_root / "models").glob("*/manifest.json"):
        told = json.loads(path.read_text())
        for file in told["files"]:
            file["mtime_ns"], file["inode"] = 0, None
        path.write_text(json.dumps(told, indent=1) + "\n")


def _found(root: Path, pattern: str) -> list[Path]:
    return [Path(each) for each in glob.glob(f"{glob.escape(str(root))}/{pattern}")]


if __name__ == "__main__":
    raise SystemExit(main())
