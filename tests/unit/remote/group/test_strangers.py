"""Who is no node, has another secret or other settings, or says nothing: out, and named in the log.

None of them keeps a group from starting, or ends one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from deploys.remote.group.link import proof
from deploys.remote.group.settings import GroupSettings
from tests.unit.remote.group.nodes import PATIENCE, SECRET, Nodes, wait

Make = Callable[[int], Nodes]
DIGEST = "0123456789abcdef"


@contextmanager
def connected(nodes: Nodes, address: str) -> Iterator[socket.socket]:
    """A connection to the head from this address."""
    where = (nodes.addresses[0], nodes.port)
    with socket.create_connection(where, PATIENCE, source_address=(address, 0)) as connection:
        yield connection


def line(connection: socket.socket) -> bytes:
    """What the other end says next; nothing where it has closed."""
    said = b""
    with suppress(ConnectionError):
        while not said.endswith(b"\n") and (piece := connection.recv(1)):
            said += piece
    return said


def introduction(nodes: Nodes, asked: str, rank: int = 1, secret: str = SECRET) -> bytes:
    """What a node with this secret says to a nonce."""
    group = GroupSettings(
        "large", rank, tuple(nodes.addresses), nodes.port, DIGEST, secret.encode()
    )
    own = "1" * 64
    right = proof(group, "member", rank, DIGEST, asked, own).hex()
    return json.dumps({"rank": rank, "digest": DIGEST, "nonce": own, "proof": right}).encode()


def test_other_settings_are_refused_and_named_until_they_are_alike(group: Make) -> None:
    nodes = group(2)
    nodes.start(0)
    nodes.start(1, digest="fedcba9876543210")
    wait(lambda: "refuses this node" in nodes.said(1), "it is not refused")
    assert "it has another engine, settings or weights (fedcba987654, the head" in nodes.said(0)
    assert "the head has 0123456789ab; this node has fedcba987654" in nodes.said(1)
    assert not nodes.had(0) + nodes.had(1)
    assert nodes.started[1].poll() is None
    nodes.started[1].kill()
    nodes.start(1)
    nodes.serve()


@pytest.mark.parametrize("changes", [{"service": "other"}, {"secret": None}])
def test_another_secret_or_service_is_refused_by_both_sides(
    group: Make, changes: dict[str, str | None]
) -> None:
    nodes = group(2)
    other = nodes.folder / "other"
    other.write_text("5a" * 32)
    nodes.start(0)
    nodes.start(1, **{name: value or str(other) for name, value in changes.items()})
    wait(lambda: "it does not know the secret" in nodes.said(0), "the head does not refuse it")
    wait(lambda: "it has another secret" in nodes.said(1), "the node does not refuse the head")
    assert not nodes.had(0) + nodes.had(1)
    for rank in (0, 1):
        assert SECRET not in nodes.said(rank) and "5a5a" not in nodes.said(rank)


def test_a_machine_that_was_not_asked_is_named_and_disturbs_nobody(group: Make) -> None:
    nodes = group(2)
    stranger = nodes.addresses[0].rpartition(".")[0] + ".99"
    nodes.start(0)
    wait(lambda: _listens(nodes), "the head does not listen")
    with connected(nodes, stranger) as connection:
        assert line(connection) == b""
    nodes.start(1)
    nodes.serve()
    with connected(nodes, stranger) as connection:
        assert line(connection) == b""
    said = f"refused {stranger}: it is no node of this group"
    # Once, however often it knocks.
    assert nodes.said(0).count(said) == 1
    assert nodes.started[0].poll() is None and nodes.engine(0) and nodes.engine(1)


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: head\r\n\r\n",
        b"\xff\x00\n",
        b"[]\n",
        b"{}\n",
        b"[" * 1900 + b"\n",
        b'{"rank": 1}\n',
        b'{"rank": true, "digest": "x", "nonce": "y", "proof": "z"}\n',
        b'{"rank": 9, "digest": "x", "nonce": "y", "proof": "z"}\n',
        '{"rank": 1, "digest": "\\ud800", "nonce": "\\n\\u0000", "proof": "ä"}\n'.encode(),
        b"x" * 100_000,
    ],
)
def test_garbage_from_a_node_is_refused_and_the_node_gets_in(group: Make, words: bytes) -> None:
    nodes = group(2)
    nodes.start(0)
    wait(lambda: _listens(nodes), "the head does not listen")
    with connected(nodes, nodes.addresses[1]) as connection:
        assert b"nonce" in line(connection)
        with suppress(ConnectionError):
            connection.sendall(words)
        while line(connection):
            pass
    wait(lambda: f"refused {nodes.addresses[1]}: " in nodes.said(0), "it is not named")
    nodes.start(1)
    nodes.serve()


def test_who_says_nothing_holds_nobody_up(group: Make) -> None:
    nodes = group(3)
    nodes.start(0)
    wait(lambda: _listens(nodes), "the head does not listen")
    with ExitStack() as stack:
        silent = [
            stack.enter_context(connected(nodes, nodes.addresses[1 + number % 2]))
            for number in range(40)
        ]
        for connection in silent:
            with suppress(ConnectionError):
                connection.sendall(b'{"ra')
        # At most two of each are kept, and those not for long.
        assert sum(b"nonce" in line(connection) for connection in silent)
        nodes.start(1, 2)
        nodes.serve()
        for connection in silent:
            while line(connection):
                pass


def test_what_was_heard_is_no_use_again(group: Make) -> None:
    nodes = group(2)
    nodes.start(0)
    wait(lambda: _listens(nodes), "the head does not listen")
    with connected(nodes, nodes.addresses[1]) as connection:
        words = introduction(nodes, json.loads(line(connection))["nonce"]) + b"\n"
        with connected(nodes, nodes.addresses[1]) as later:
            line(later)
            later.sendall(words)
            # One answer, sealed, that says no.
            assert b'"refused"' in line(later) and line(later) == b""
        connection.sendall(words)
        assert b'"welcome"' in line(connection)
        assert b'"begin"' in line(connection)
        # Nor is a line without a seal, from one who has been let in.
        connection.sendall(b'0123 {"word": "passed"}\n')
        while line(connection):
            pass
    nodes.ended(0)
    assert "what it says is not sealed" in nodes.said(0)
    assert not nodes.had(0)


def test_no_node_is_another(group: Make) -> None:
    nodes = group(3)
    nodes.start(0)
    wait(lambda: _listens(nodes), "the head does not listen")
    with connected(nodes, nodes.addresses[1]) as connection:
        asked = json.loads(line(connection))["nonce"]
        connection.sendall(introduction(nodes, asked, rank=2) + b"\n")
        assert b'"refused"' in line(connection)
    wait(lambda: f"rank 2 is {nodes.addresses[2]}, and not" in nodes.said(0), "it is not named")


def _listens(nodes: Nodes) -> bool:
    try:
        socket.create_connection((nodes.addresses[0], nodes.port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True
