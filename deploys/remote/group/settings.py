"""What a node of a group is told: a JSON file, and a secret that all nodes share.

    {"service", "rank", "nodes", "port", "digest", "secret", "gate", "question"}

`nodes` are addresses in the order of their ranks, the head's first; the head listens on `port`.
`digest` is of what all nodes have to have alike. `secret` is the path of the secret; the credential
of its name that systemd has handed over counts first. `gate` and `question` may be null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..lib.failure import Failure

# Bytes; what is shorter could be guessed.
_SHORTEST = 16


@dataclass(frozen=True)
class GateSettings:
    """What is measured between the nodes before the engine starts.

    + python: the engine's own interpreter
    + port: TCP port of the head at which the cards meet
    + cards: of each node; 0 measures between processors
    + floor: GB/s that each card has to reach; None for no opinion
    + rdma: there are adapters for it, so that a socket in their stead is wrong
    """

    python: str
    port: int
    cards: int = 0
    floor: float | None = None
    rdma: bool = False


@dataclass(frozen=True)
class Question:
    """What the head's server is asked while the group serves.

    + vector: numbers of a vector, where it makes them
    """

    url: str
    model: str
    task: str = "generate"
    vector: int | None = None


@dataclass(frozen=True)
class GroupSettings:
    """One node and the group that it is of; rank 0 is the head."""

    service: str
    rank: int
    nodes: tuple[str, ...]
    port: int
    digest: str
    secret: bytes = field(repr=False)
    gate: GateSettings | None = None
    question: Question | None = None

    @property
    def me(self) -> str:
        return self.nodes[self.rank]

    @property
    def head(self) -> str:
        return self.nodes[0]

    def named(self, rank: int) -> str:
        """Return what a node is called in the log."""
        return f"rank {rank} ({self.nodes[rank]})"


def read(file: Path) -> GroupSettings:
    """Return what the file says; raise Failure if it, or the secret, is not to be had."""
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        group = GroupSettings(
            service=str(told["service"]),
            rank=int(told["rank"]),
            nodes=tuple(map(str, told["nodes"])),
            port=int(told["port"]),
            digest=str(told["digest"]),
            secret=_secret(Path(told["secret"]), os.environ),
            gate=GateSettings(**told["gate"]) if told.get("gate") else None,
            question=Question(**told["question"]) if told.get("question") else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"{file} does not say what group this machine is in ({error!r}): run deploys/full.py,"
            " which writes it"
        ) from error
    if len(group.nodes) < 2 or not 0 <= group.rank < len(group.nodes):
        raise Failure(f"{file} says rank {group.rank} of a group of {len(group.nodes)}")
    if len({*group.nodes}) < len(group.nodes):
        raise Failure(f"{file} names a node twice: {', '.join(group.nodes)}")
    return group


def _secret(file: Path, environment: Mapping[str, str]) -> bytes:
    """Return the secret, which a unit without privileges is handed as a credential."""
    handed = environment.get("CREDENTIALS_DIRECTORY")
    if handed and (there := Path(handed, file.name)).exists():
        file = there
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise Failure(
            f"the secret of the group cannot be read from {file}: {error.strerror}. Run"
            " deploys/full.py, which puts it there"
        ) from error
    if len(secret) < _SHORTEST:
        raise Failure(
            f"{file} holds no secret of a group: run deploys/full.py, which puts it there"
        )
    return secret
