"""Have the running gateway do what its files say, without an answer being lost.

    python3 apply.py [--look] < wanted.json
        {"unit": ..., "master": ..., "digest": ..., "maps": [...], "certificates": [...]}

`master` is the socket of HAProxy's master process. Maps are replaced in all its processes, those
too that only end what they have begun: a revoked key is refused on connections that are open. Only
another configuration or certificate needs a reload.
Prints {"running", "maps", "reload"}: whether it runs, the maps that differ from their files in any
process, and whether a reload is due. With --look nothing is changed.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .workers import Master, Unanswered, Worker, lines_digest

_PATIENCE = 30.0


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    master = Master(wanted["master"])
    found = _look(master, wanted)
    if "--look" in sys.argv[1:]:
        print(json.dumps(found))
        return 0
    try:
        # Before a reload: a process that ends what it has begun does not read its files again.
        for path in found["maps"]:
            for worker in master.workers():
                if master.map_digest(worker, path):
                    master.replace_map(worker, path, _lines(path))
    except Unanswered as problem:
        print(f"{wanted['unit']} does not take {path}: {problem}", file=sys.stderr)
        return 1
    if found["reload"]:
        return _reload(master, wanted)
    return 0


def _look(master: Master, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return how the running processes differ from what is wanted."""
    found = master.workers()
    young = [worker for worker in found if not worker.old]
    try:
        return {
            "running": bool(young),
            "maps": [path for path in wanted["maps"] if _differs(master, path, found)],
            "reload": any(_is_other(master, worker, wanted) for worker in young),
        }
    except Unanswered:
        # It ended while it was looked at.
        return {"running": False, "maps": [], "reload": False}


def _differs(master: Master, path: str, found: list[Worker]) -> bool:
    of_file = lines_digest(_lines(path))
    return any(master.map_digest(worker, path) not in ("", of_file) for worker in found)


def _is_other(master: Master, worker: Worker, wanted: dict[str, Any]) -> bool:
    return master.digest(worker) != wanted["digest"] or any(
        master.fingerprint(worker, path) != _fingerprint(path) for path in wanted["certificates"]
    )


def _fingerprint(path: str) -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        return ""
    begin, end = text.find("-----BEGIN CERTIFICATE"), text.find("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(text[begin:end] + "-----END CERTIFICATE-----")
    return hashlib.sha1(der).hexdigest()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _reload(master: Master, wanted: dict[str, Any]) -> int:
    """Reload it, and wait for the process that has read the new files."""
    done = subprocess.run(
        ["systemctl", "reload", wanted["unit"]], capture_output=True, text=True, check=False
    )
    end = time.monotonic() + _PATIENCE
    while done.returncode == 0 and time.monotonic() < end:
        found = _look(master, wanted)
        if found["running"] and not found["reload"]:
            return 0
        time.sleep(0.1)
    print(
        f"{done.stderr}{wanted['unit']} does not reload, and goes on as it was. Its journal:"
        f" journalctl '--namespace=*' -u {wanted['unit']}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
