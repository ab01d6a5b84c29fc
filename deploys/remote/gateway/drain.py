"""Have the running gateway ask some machines no longer, or again, without an answer being lost.

    python3 drain.py [--look] < wanted.json
        {"master": ..., "machines": [...], "away": true, "patience": 600}

`machines` are named as the servers of the configuration are. `patience` is how many seconds they
may take to end what they have begun, or to answer again. A copy of a service stays in use while no
other copy of it answers. It is so until the gateway is started anew or reads another configuration.
Prints {"due", "alone"}: whether there is something to do or to wait for, and the services that no
other copy answers. With --look nothing is changed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from .workers import Copy, Master, Unanswered, Worker

# Backends whose copies are this gateway's to choose from.
_OF_CLIENTS = "service-"
_PAUSE = 0.2


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    master = Master(wanted["master"])
    try:
        if "--look" not in sys.argv[1:]:
            return _put(master, wanted)
        due = any(_due(master, wanted)) or bool(_waited_for(master, wanted))
        alone = sorted({_service(copy) for copy in _alone(master, wanted)})
        print(json.dumps({"due": due, "alone": alone}))
    except Unanswered as problem:
        print(f"the gateway does not do it: {problem}", file=sys.stderr)
        return 1
    return 0


def _put(master: Master, wanted: dict[str, Any]) -> int:
    for worker, copy in _due(master, wanted):
        master.put(worker, copy, "drain" if wanted["away"] else "ready")
    end = time.monotonic() + wanted["patience"]
    while left := _waited_for(master, wanted):
        if time.monotonic() > end:
            what = "still has requests" if wanted["away"] else "does not answer"
            said = {f"{_service(copy)} of {copy.server} {what}" for copy in left}
            print(f"after {wanted['patience']} seconds {', '.join(sorted(said))}", file=sys.stderr)
            return 1
        time.sleep(_PAUSE)
    return 0


def _due(master: Master, wanted: dict[str, Any]) -> Iterator[tuple[Worker, Copy]]:
    """Yield the copies that are not as they are wanted."""
    kept = {(copy.backend, copy.server) for copy in _alone(master, wanted)}
    for worker, copy in _named(master, wanted):
        if copy.drained != wanted["away"] and (copy.backend, copy.server) not in kept:
            yield worker, copy


def _waited_for(master: Master, wanted: dict[str, Any]) -> list[Copy]:
    """Return the copies that still have requests, or that do not answer yet.

    Those of processes that only end what they have begun count as well.
    """
    if not wanted["away"]:
        return [copy for _, copy in _named(master, wanted) if not copy.up]
    kept = {(copy.backend, copy.server) for copy in _alone(master, wanted)}
    return [
        copy
        for _, copy in _named(master, wanted, old=True)
        if copy.requests and (copy.backend, copy.server) not in kept
    ]


def _alone(master: Master, wanted: dict[str, Any]) -> list[Copy]:
    """Return those of the machines' copies that nothing else would answer for."""
    if not wanted["away"]:
        return []
    found = []
    for worker in _young(master):
        copies = master.copies(worker)
        answered = {
            copy.backend
            for copy in copies
            if copy.up and not copy.drained and copy.server not in wanted["machines"]
        }
        found += [
            copy for copy in copies if _is_named(copy, wanted) and copy.backend not in answered
        ]
    return found


def _named(
    master: Master, wanted: dict[str, Any], *, old: bool = False
) -> Iterator[tuple[Worker, Copy]]:
    for worker in master.workers() if old else _young(master):
        for copy in master.copies(worker):
            if _is_named(copy, wanted):
                yield worker, copy


def _young(master: Master) -> list[Worker]:
    return [worker for worker in master.workers() if not worker.old]


def _is_named(copy: Copy, wanted: dict[str, Any]) -> bool:
    return copy.backend.startswith(_OF_CLIENTS) and copy.server in wanted["machines"]


def _service(copy: Copy) -> str:
    return copy.backend.removeprefix(_OF_CLIENTS)


if __name__ == "__main__":
    raise SystemExit(main())
