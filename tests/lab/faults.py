"""The faults that a stand-in server can be told to have, set from Python or over HTTP."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

KINDS = {
    # instead of an answer
    "status": "answer with status `code`, with a Retry-After of `seconds` if given",
    "redirect": "answer 302 to `to`, or to the same file under another path",
    "page": "answer 200 with an HTML page, as a login wall does",
    "pointer": "answer 200 with the Git LFS pointer of the file",
    # in a file's content
    "truncate": "the file ends at byte `at` (default: its middle) and all headers agree with that",
    "corrupt": "the byte at `at` (default: the middle one) is another; size and headers stay",
    "changed": "other content of the same size, other ETag and commit than the listing has",
    "close": "close the connection at byte `at` of the body (default: its middle)",
    "reset": "reset the connection at byte `at` of the body (default: its middle)",
    "stall": "no more from byte `at` of the body on (default: its middle) for `seconds` (an hour)",
    "slow": "send `rate` bytes a second",
    "no_range": "ignore Range and send everything with 200",
    "wrong_range": "answer a Range with the bytes that follow it, and say so",
    # in a listing
    "wrong_sha256": "list a sha256 that is not the file's",
    "upper_sha256": "list the sha256 in upper case",
    "no_sha256": "list no sha256",
    "escape": "list the file a second time under a path that leads out of the folder (`../`)",
    "wrong_size": "list a size that is one byte too large",
}


@dataclass
class Fault:
    """One fault. ``paths`` is a glob on ``<owner>/<name>/<path>``; a listing's path is empty.

    ``skip`` requests go well first; then it happens ``count`` times (``None``: always).
    """

    kind: str
    paths: str = "*"
    count: int | None = None
    skip: int = 0
    code: int = 500
    seconds: float | None = None
    at: int | None = None
    rate: int = 100_000
    to: str = ""
    happened: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind}, only {', '.join(KINDS)}")


class Faults:
    """The faults in force, safe to change while requests are served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, kind: str, paths: str = "*", **settings: Any) -> Fault:
        """Put a fault in force and return it; its ``happened`` counts."""
        known = {field.name for field in fields(Fault)} - {"happened"}
        if unknown := set(settings) - known:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = Fault(kind, paths, **settings)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """From now on everything goes well."""
        with self._lock:
            self._faults.clear()

    def take(self, kind: str, name: str) -> Fault | None:
        """The fault of this kind that is due for ``name`` now; taking it counts it."""
        with self._lock:
            for fault in self._faults:
                if fault.kind != kind or not fnmatchcase(name, fault.paths):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.count is None or fault.happened < fault.count:
                    fault.happened += 1
                    return fault
        return None

    def to_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]
