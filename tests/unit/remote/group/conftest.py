"""Fixtures of the tests of groups."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.unit.remote.group.nodes import Nodes

_groups = count()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Callable[[int], Nodes]]:
    """`group(3)` makes the nodes of a group, none of which is started."""
    made: list[Nodes] = []

    def make(nodes: int) -> Nodes:
        # Other processes run other tests meanwhile, on the same loopback interface.
        own = (1 + os.getpid() % 200, next(_groups) % 256)
        made.append(Nodes(tmp_path, nodes, own))
        return made[-1]

    yield make
    for each in made:
        each.end()
