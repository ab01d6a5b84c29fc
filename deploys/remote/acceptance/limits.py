"""What the running gateway lets each user ask, by its process and not by its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..gateway.workers import Master, Unanswered
from ..lib.probe import number, read


def seen(socket: str, folder: str) -> dict[str, Any]:
    """Return requests a minute and at once of each user; None for what nothing limits.

    + socket: of the gateway's master; folder: its configuration and maps
    """
    master = Master(socket)
    found: dict[str, Any] = {"users": {}, "error": ""}
    try:
        workers = [worker for worker in master.workers() if not worker.old]
        if not workers:
            raise Unanswered("it does not run")
        (worker, *_) = workers
        users = master.map(worker, f"{folder}/keys.map").values()
        rates, at_once = (master.map(worker, f"{folder}/{name}.map") for name in _MAPS)
    except Unanswered as error:
        found["error"] = str(error)
        return found
    text = read(Path(folder) / "haproxy.cfg")
    for user in sorted(set(users)):
        found["users"][user] = [
            number(rates[user]) if user in rates else _default(text, "rates"),
            number(at_once[user]) if user in at_once else _default(text, "at-once"),
        ]
    return found


_MAPS = ("rates", "at-once")


def _default(text: str, name: str) -> int | None:
    """Return what a user gets whom a map does not name; None where that is not limited."""
    found = re.search(rf"map_str_int\(\S*/{name}\.map,(\d+)\)", text)
    return int(found[1]) if found else None
