"""A run that only looks: operations are compared with the machine, and none is carried out.

pyinfra tells which operations would change something. What it is that differs is told here by the
operations themselves, and so is what they know of the machine: what they do not name is not ours,
or is there although no plan knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyinfra import host, state
from pyinfra.api import Host

_NOTED = "modelrack_looking"


@dataclass(kw_only=True)
class Compared:
    """What a run that only looks was told by the operations of one machine.

    + differs: sentences, by the operation that told them
    + known: paths that are to be there
    + hashes: paths whose names say what they hold, with who knows the sha256 of that
    + users: accounts that are to be there
    """

    differs: dict[str, list[str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    hashes: dict[str, Callable[[], str]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)


def begin(this: Host) -> None:
    """Have operations compared, whether or not -y is given, and told apart by what they tell."""
    this.state.check_for_changes = True
    this.connector_data[_NOTED] = Compared()


def script(path: Path) -> None:
    """Read an entry script for the current host: its operations are compared, in its order."""
    exec(compile(path.read_text(), str(path), "exec"), {"__file__": str(path), "__name__": "audit"})


def end(this: Host) -> tuple[Compared, list[tuple[str, list[str]]]]:
    """Return what was told, and the operations that would change something with what differs.

    They are taken out of this run: nothing of them is carried out.
    """
    told: Compared = this.connector_data.pop(_NOTED)
    found = []
    for each in this.op_hash_order:
        if this.state.get_op_data_for_host(this, each).operation_meta.will_change:
            (name,) = this.state.get_op_meta(each).names
            found.append((name, told.differs.get(each, [])))
    this.op_hash_order.clear()
    this.state.ops[this].clear()
    return told, found


def differs(sentences: Iterable[str]) -> None:
    """Tell what it is that the current operation would change, before its first command."""
    if (told := _told()) is not None:
        told.differs.setdefault(host.current_op_hash or "", []).extend(sentences)


def knows(
    paths: Iterable[str] = (),
    users: Iterable[str] = (),
    hashes: Mapping[str, Callable[[], str]] | None = None,
) -> None:
    """Tell what the current operation wants to be there."""
    if (told := _told()) is not None:
        told.known |= {*paths, *(hashes or {})}
        told.users |= {*users}
        told.hashes.update(hashes or {})


def _told() -> Compared | None:
    if state.is_executing:
        return None
    told: Compared | None = host.connector_data.get(_NOTED)
    return told
