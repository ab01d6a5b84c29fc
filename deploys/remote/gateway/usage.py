"""Sum the gateway's log on the machine, so that a month of lines does not travel.

    python3 usage.py JOURNAL

JOURNAL is the namespace of the gateway's journal. Prints {"since": the first day that it still has,
"broken": lines that could not be read, "rows": [...]}; a row is what one user asked of one model in
one month, with the month as 2026-11, UTC. Counted are answers to clients: what was refused has no
tokens, and what this machine did for another's gateway is in that one's log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from ..lib.failure import Failure, exit_code

# Backends that a gateway asks for clients; those for other machines are called otherwise.
_FOR_CLIENTS = "service-"


def main() -> int:
    return exit_code(lambda: _run(sys.argv[1]))


def _run(journal: str) -> int:
    rows: dict[tuple[str, ...], dict[str, int]] = {}
    since, broken = None, 0
    for when, line in _lines(journal):
        since = since or when.strftime("%Y-%m-%d")
        try:
            entry = _entry(line)
            if entry is None:
                continue
            counted = {
                "answers": 1,
                "estimated": int(bool(entry["estimated"])),
                "tokens_in": int(entry["tokens_in"]),
                "tokens_out": int(entry["tokens_out"]),
                "ms": int(entry["ms"]),
            }
            who = (when.strftime("%Y-%m"), entry["user"], entry["team"], entry["model"])
        except (ValueError, KeyError, TypeError):
            broken += 1
            continue
        row = rows.setdefault(who, dict.fromkeys(counted, 0))
        for name, count in counted.items():
            row[name] += count
    names = ("month", "user", "team", "model")
    found = [{**dict(zip(names, who)), **row} for who, row in sorted(rows.items())]
    print(json.dumps({"since": since, "broken": broken, "rows": found}))
    return 0


def _entry(line: str) -> dict[str, Any] | None:
    """Return what a line says of an answer; None for all others, such as HAProxy's own messages."""
    if not line.startswith("{"):
        return None
    entry: dict[str, Any] = json.loads(line)
    answered = 200 <= entry["status"] < 300 and str(entry["to"]).startswith(_FOR_CLIENTS)
    return entry if answered else None


def _lines(journal: str) -> Iterator[tuple[datetime, str]]:
    if os.geteuid() != 0:
        raise Failure("Only root can read the gateway's journal. Add --sudo")
    command = [
        *("journalctl", f"--namespace={journal}", "--no-pager", "--quiet", "--all"),
        *("--output=json", "--output-fields=MESSAGE"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            entry = json.loads(line)
            # It is a list of bytes where it is not text.
            if isinstance(entry.get("MESSAGE"), str):
                seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000
                yield datetime.fromtimestamp(seconds, timezone.utc), entry["MESSAGE"]
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise Failure(f"journalctl cannot read {journal}: {said}")


if __name__ == "__main__":
    raise SystemExit(main())
