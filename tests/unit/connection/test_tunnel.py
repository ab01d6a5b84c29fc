"""A tunnel to the local computer, which needs none, and to where there is nothing."""

from __future__ import annotations

import socket

import pytest

from deploys.connection import tunnel
from deploys.planning.inputs.refusal import Refusal


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_local_computer_is_reached_without_a_tunnel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with tunnel.opened("@local", {}, port) as local:
            assert local == port


def test_a_port_that_nobody_listens_on_is_said(free_port: int) -> None:
    with (
        pytest.raises(tunnel.NobodyListens, match=f"nothing listens on port {free_port} of @local"),
        tunnel.opened("@local", {}, free_port),
    ):
        pass


def test_a_machine_that_cannot_be_reached_is_refused_with_what_to_try(free_port: int) -> None:
    data = {"ssh_hostname": "127.0.0.1", "ssh_port": free_port, "ssh_user": "op"}
    with (
        pytest.raises(Refusal, match=r"No connection to gpu-01: No such private key file: /none"),
        tunnel.opened("gpu-01", {**data, "ssh_key": "/none"}, 8080),
    ):
        pass
    with (
        pytest.raises(Refusal, match=r"No connection to gpu-01: .* Try: ssh op@127.0.0.1"),
        tunnel.opened("gpu-01", data, 8080),
    ):
        pass
