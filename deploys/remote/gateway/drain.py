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


# Every process of the gateway, with the copies that it may ask.
_GatewayCopies = list[tuple[Worker, list[Copy]]]


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    master = Master(wanted["master"])
    try:
        if "--look" not in sys.argv[1:]:
            return _put(master, wanted)
        seen = _look(master)
        due = any(_due(seen, wanted)) or bool(_waited_for(seen, wanted))
        alone = sorted({_service(backend) for backend, _ in _alone(seen, wanted)})
        print(json.dumps({"due": due, "alone": alone}))
    except Unanswered as problem:
        print(f"the gateway does not do it: {problem}", file=sys.stderr)
        return 1
    return 0


def _put(master: Master, wanted: dict[str, Any]) -> int:
    for worker, copy in _due(_look(master), wanted):
        master.put(worker, copy, "drain" if wanted["away"] else "ready")
    end = time.monotonic() + wanted["patience"]
    while left := _waited_for(_look(master), wanted):
        if time.monotonic() > end:
            what = "still has requests" if wanted["away"] else "does not answer"
            said = {f"{_service(copy.backend)} of {copy.server} {what}" for copy in left}
            print(f"after {wanted['patience']} seconds {', '.join(sorted(said))}", file=sys.stderr)
            return 1
        time.sleep(_PAUSE)
    return 0


def _look(master: Master) -> _GatewayCopies:
    return [(worker, master.copies(worker)) for worker in master.workers()]


def _due(seen: _GatewayCopies, wanted: dict[str, Any]) -> Iterator[tuple[Worker, Copy]]:
    """Yield the copies that are not as they are wanted."""
    for worker, copy in _changed(seen, wanted):
        if not worker.old and copy.drained != wanted["away"]:
            yield worker, copy


def _waited_for(seen: _GatewayCopies, wanted: dict[str, Any]) -> list[Copy]:
    """Return the copies that still have requests, or that do not answer yet.

    Requests of processes that only end what they have begun count as well.
    """
    if wanted["away"]:
        return [copy for _, copy in _changed(seen, wanted) if copy.requests]
    return [copy for worker, copy in _changed(seen, wanted) if not worker.old and not copy.up]


def _changed(seen: _GatewayCopies, wanted: dict[str, Any]) -> Iterator[tuple[Worker, Copy]]:
    """Yield the machines' copies, but for those that nothing else would answer for."""
    kept = _alone(seen, wanted)
    for worker, copies in seen:
        for copy in copies:
            if _is_named(copy, wanted) and (copy.backend, copy.server) not in kept:
                yield worker, copy


def _alone(seen: _GatewayCopies, wanted: dict[str, Any]) -> set[tuple[str, str]]:
    """Return backend and server of the copies that stay in use, as no other copy answers."""
    found: set[tuple[str, str]] = set()
    for worker, copies in seen if wanted["away"] else []:
        if worker.old:
            continue
        answered = {
            copy.backend
            for copy in copies
            if copy.up and not copy.drained and copy.server not in wanted["machines"]
        }
        found |= {
            (copy.backend, copy.server)
            for copy in copies
            if _is_named(copy, wanted) and copy.backend not in answered
        }
    return found


def _is_named(copy: Copy, wanted: dict[str, Any]) -> bool:
    return copy.backend.startswith(_OF_CLIENTS) and copy.server in wanted["machines"]


def _service(backend: str) -> str:
    return backend.removeprefix(_OF_CLIENTS)


if __name__ == "__main__":
    raise SystemExit(main())
