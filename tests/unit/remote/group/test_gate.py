"""No engine starts before the cards of all nodes have shown that they can talk, and fast enough.

What stands for the engine's interpreter prints what NCCL and all_reduce.py do; tests/group runs the
real ones.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.remote.group.nodes import Nodes, wait

Make = Callable[[int], Nodes]

READ = "import sys; compile(sys.stdin.read(), 'all_reduce.py', 'exec')"
SOCKET = """\
node1:7990:8056 [0] NCCL INFO NET/IB : No device found.
node1:7990:8056 [0] NCCL INFO NET/Socket : Using [0]eno3:10.12.3.162<0>
node1:7990:8056 [0] NCCL INFO Using network Socket
"""
IB = """\
node1:695832:695887 [1] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_2:1/IB [RO]; OOB eth0
node1:695832:695887 [1] NCCL INFO Using network IB
"""


@pytest.fixture
def measured(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`measured(says="...")` is the part of a node's file that has an interpreter say that."""

    def make(says: str = "", speed: float = 40.0, then: str = "", **more: Any) -> dict[str, Any]:
        figures = json.dumps({"gigabytes_per_second": speed, "microseconds": 38.0})
        number = len([*tmp_path.glob("python-*")])
        script = tmp_path / f"python-{number}"
        lines = [
            "#!/bin/sh",
            f"{shlex.quote(sys.executable)} -c {shlex.quote(READ)} || exit 9",
            f"echo $$ >> {shlex.quote(str(tmp_path / 'measuring'))}",
            f"printf %s {shlex.quote(says)}",
            then or f"echo {shlex.quote(figures)}",
        ]
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o755)
        return {"python": str(script), "port": 9, **more}

    return make


def test_what_is_measured_is_said_and_then_the_engine_starts(
    group: Make, measured: Callable[..., dict[str, Any]]
) -> None:
    nodes = group(2)
    gate = measured(IB, cards=4, floor=20.0, rdma=True)
    nodes.start(0, 1, gate=gate)
    nodes.serve()
    for rank in (0, 1):
        said = nodes.said(rank)
        assert "all-reduce over 8 cards over IB: 40 GB/s, 38 us" in said
        assert said.index("measuring") < said.index("all-reduce") < said.index("starting")
    assert len((nodes.folder / "measuring").read_text().split()) == 8


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"says": SOCKET, "rdma": True}, "goes over sockets, though there are adapters for RDMA"),
        ({"says": IB, "floor": 50.0}, "over IB reaches 40 GB/s of 50: look at ibv_devinfo"),
        (
            {"says": "RuntimeError: Connection refused\n", "then": "exit 1"},
            "failed on card 0 with 1 (RuntimeError: Connection refused): look at ibv_devinfo",
        ),
        ({"then": "kill -9 $$"}, "failed on card 0 with -9 (): look at"),
    ],
)
def test_what_is_wrong_is_one_line_on_all_nodes_and_nothing_starts(
    group: Make,
    measured: Callable[..., dict[str, Any]],
    rank: int,
    gate: dict[str, Any],
    said: str,
) -> None:
    nodes = group(2)
    # The other one would wait for it for ever.
    nodes.start(1 - rank, gate=measured(then="sleep 600"))
    nodes.start(rank, gate=measured(**gate))
    nodes.ended(0, 1)
    for each in (0, 1):
        (line,) = [line for line in nodes.said(each).splitlines() if "the gate: " in line]
        assert f"rank {rank} ({nodes.addresses[rank]}): the gate: all-reduce over 2 nodes" in line
        assert said in line and "NCCL_SOCKET_IFNAME" in line
        assert "starting the engine" not in nodes.said(each)
    assert not nodes.had(0) + nodes.had(1)


def test_sockets_are_right_where_there_is_nothing_else(
    group: Make, measured: Callable[..., dict[str, Any]]
) -> None:
    nodes = group(2)
    nodes.start(0, 1, gate=measured(SOCKET, cards=1, floor=None))
    nodes.serve()
    assert "all-reduce over 2 cards over Socket: 40 GB/s" in nodes.said(0)


def test_a_node_that_goes_while_it_is_measured_ends_the_others_measurement(
    group: Make, measured: Callable[..., dict[str, Any]]
) -> None:
    nodes = group(2)
    nodes.start(0, 1, gate=measured(then="exec sleep 600"))
    file = nodes.folder / "measuring"
    wait(lambda: file.exists() and len(file.read_text().split()) == 2, "nothing is measured")
    nodes.started[1].kill()
    nodes.ended(0)
    assert "closed the connection" in nodes.said(0)


def test_an_interpreter_that_is_not_there_is_reported(
    group: Make, measured: Callable[..., dict[str, Any]]
) -> None:
    nodes = group(2)
    nodes.start(0, gate=measured(then="sleep 600"))
    nodes.start(1, gate={"python": "/no/such/python", "port": 9})
    nodes.ended(0, 1)
    assert "/no/such/python cannot be started" in nodes.said(0)
