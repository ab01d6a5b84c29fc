"""A group starts when all are there, and ends everywhere when one is gone, whatever ended it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.unit.remote.group.nodes import PATIENCE, Nodes, wait

Make = Callable[[int], Nodes]


def test_no_engine_starts_before_all_are_there(group: Make) -> None:
    nodes = group(3)
    nodes.start(0, 2)
    wait(lambda: "rank 2 (" in nodes.said(0), "rank 2 does not come")
    assert "all nodes are there" not in nodes.said(0) + nodes.said(2)
    assert not nodes.had(0) + nodes.had(2)
    nodes.start(1)
    nodes.serve()


def test_a_node_that_goes_before_all_are_there_is_waited_for_again(group: Make) -> None:
    nodes = group(3)
    nodes.start(1, 0)
    wait(lambda: "rank 1 (" in nodes.said(0), "rank 1 does not come")
    nodes.started[1].kill()
    wait(lambda: "has gone again" in nodes.said(0), "its end is not noticed")
    nodes.start(1, 2)
    nodes.serve()
    assert nodes.started[0].poll() is None


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("engine", "the engine was ended by SIGKILL"),
        ("node", "closed the connection"),
        ("stopped", "was told to stop"),
    ],
)
def test_whatever_ends_on_one_node_ends_all(group: Make, rank: int, how: str, said: str) -> None:
    nodes = group(3)
    nodes.start(0, 1, 2)
    nodes.serve()
    number = signal.SIGTERM if how == "stopped" else signal.SIGKILL
    os.kill(nodes.engine(rank) if how == "engine" else nodes.started[rank].pid, number)
    others = [other for other in (0, 1, 2) if other != rank]
    nodes.ended(*others)
    if how == "engine":
        nodes.ended(rank)
    else:
        # systemd takes SIGTERM for an end in order; who has been killed ends nothing.
        assert nodes.started[rank].wait(PATIENCE) == -number
    for other in others:
        assert said in nodes.said(other) and f"rank {rank} (" in nodes.said(other)


@pytest.mark.parametrize(("code", "rank"), [(0, 0), (0, 1), (3, 1)])
def test_an_engine_that_ends_by_itself_ends_the_group_as_a_failure(
    group: Make, code: int, rank: int
) -> None:
    nodes = group(2)
    nodes.start(1 - rank)
    nodes.start(rank, engine=("sh", "-c", f"sleep 1; exit {code}"))
    nodes.ended(0, 1)
    for each in (0, 1):
        assert f"the engine has ended with status {code}" in nodes.said(each)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_node_that_is_silent_is_gone(group: Make, rank: int) -> None:
    nodes = group(3)
    nodes.start(0, 1, 2)
    nodes.serve()
    os.kill(nodes.started[rank].pid, signal.SIGSTOP)
    nodes.ended(*(other for other in (0, 1, 2) if other != rank))
    assert f"rank {rank} ({nodes.addresses[rank]}) is gone: nothing was heard" in nodes.said(2)
    # It sees at once what it has missed.
    os.kill(nodes.started[rank].pid, signal.SIGCONT)
    nodes.ended(rank)


def test_a_node_that_comes_back_before_it_is_missed_ends_the_group(group: Make) -> None:
    nodes = group(2)
    nodes.start(0, 1)
    nodes.serve()
    before = nodes.started[1]
    os.kill(before.pid, signal.SIGSTOP)
    nodes.start(1)
    nodes.ended(0)
    assert "rank 1 (" in nodes.said(0) and "has come back" in nodes.said(0)
    os.kill(before.pid, signal.SIGKILL)
    nodes.kill(1)
    nodes.start(0)
    wait(lambda: nodes.engine(0) and nodes.engine(1), "the group does not serve again")


def test_what_does_not_end_is_killed_with_all_that_it_started(group: Make) -> None:
    nodes = group(2)
    file = nodes.folder / "1.engines"
    stubborn = 'trap "" TERM; echo $$ >> "$0"; sh -c "while :; do sleep 1; done" & '
    engine = ("sh", "-c", stubborn + 'echo $! >> "$0"; while :; do sleep 1; done', str(file))
    nodes.start(0)
    nodes.start(1, engine=engine)
    nodes.serve()
    nodes.started[0].kill()
    nodes.ended(1)


def test_an_engine_that_cannot_be_started_ends_all(group: Make) -> None:
    nodes = group(2)
    nodes.start(0)
    nodes.start(1, engine=("/no/such/program",))
    nodes.ended(0, 1)
    for each in (0, 1):
        assert "/no/such/program cannot be started" in nodes.said(each)


def test_a_file_that_says_nothing_is_reported(group: Make) -> None:
    nodes = group(2)
    nodes.start(0, nodes=["127.0.0.1"])
    assert nodes.started[0].wait(PATIENCE) == 1
    assert "rank 0 of a group of 1" in nodes.said(0)
    nodes.start(1, secret=str(nodes.folder / "nowhere"))
    assert nodes.started[1].wait(PATIENCE) == 1
    assert "nowhere: No such file or directory. Run deploys/full.py" in nodes.said(1)


def test_a_storm_of_restarts_ends_in_one_group(group: Make) -> None:
    """Nodes are killed at random and started again at once, as systemd does; then all serve."""
    nodes, dice = group(4), random.Random(7)
    nodes.start(*range(4))
    for _ in range(12):
        time.sleep(dice.random())
        victim = dice.choice([*nodes.started])
        nodes.started[victim].send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
        _start_again(nodes)

    def serve() -> bool:
        _start_again(nodes)
        return all(nodes.engine(rank) for rank in range(4))

    wait(serve, "the group does not serve after the storm")
    # None of it is of an earlier group: all have begun, and gone, at one time.
    begun = [nodes.said(rank).count("starting the engine") for rank in range(4)]
    assert all(begun)
    time.sleep(2)
    assert [nodes.started[rank].poll() for rank in range(4)] == [None] * 4


def _start_again(nodes: Nodes) -> None:
    for rank, process in [*nodes.started.items()]:
        if process.poll() is not None:
            nodes.kill(rank)
            nodes.start(rank)
