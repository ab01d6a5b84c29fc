"""A port of a machine's loopback address, brought to this computer through SSH."""

from __future__ import annotations

import logging
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paramiko import ChannelException, SSHException
from pyinfra import api
from pyinfra.api.exceptions import PyinfraError

from deploys.connection import transport
from deploys.planning.inputs.refusal import Refusal

# What sshd answers when it may not forward, and when nobody listens there (RFC 4254, 5.1).
_FORBIDDEN, _NOBODY_LISTENS = 1, 2
_CHUNK = 1 << 16


class NobodyListens(ConnectionError):
    """No program listens on the machine's port."""


@contextmanager
def opened(name: str, data: dict[str, Any], port: int) -> Iterator[int]:
    """Yield a local port that leads to `port` of the machine; close the connection afterwards.

    + name, data: a host of an inventory, with its SSH settings

    Raises NobodyListens if there is nothing to lead to. The local computer needs no tunnel.
    """
    # What it logs of a channel that was refused is said in a sentence here.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    inventory = api.Inventory(([(name, data)], {}))
    state = api.State(inventory, api.Config())
    (host,) = state.inventory
    if transport.is_local(host):
        with _as_refusal(name, port):
            socket.create_connection(("127.0.0.1", port)).close()
        yield port
        return
    try:
        host.connect(show_errors=False, raise_exceptions=True)
    except PyinfraError as error:
        raise Refusal(
            f"No connection to {name}: {error.args[0]}",
            f"Try: ssh {data.get('ssh_user') or 'root'}@{data.get('ssh_hostname') or name}",
        ) from error
    client = getattr(host.connector, "client", None)
    if client is None:
        raise Refusal(
            f"{name} is not reached through SSH, so there can be no tunnel",
            "Add --gateway to go through the gateway",
        )
    try:
        transport.harden(host)
        link = client.get_transport()
        with _as_refusal(name, port):
            _connect(link, port).close()
        with _Forwarding(link, port) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()
    finally:
        client.close()


@contextmanager
def _as_refusal(name: str, port: int) -> Iterator[None]:
    try:
        yield
    except ChannelException as error:
        if error.code == _FORBIDDEN:
            raise Refusal(
                f"sshd on {name} forwards no ports",
                "Set AllowTcpForwarding to local in /etc/ssh/sshd_config there, or add --gateway"
                " to go through the gateway",
            ) from error
        raise NobodyListens(f"nothing listens on port {port} of {name}") from error
    except ConnectionRefusedError as error:
        raise NobodyListens(f"nothing listens on port {port} of {name}") from error


def _connect(link: Any, port: int) -> Any:
    return link.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=10)


class _Forwarding(socketserver.ThreadingTCPServer):
    """Listen on a free local port and lead each connection through the link."""

    daemon_threads = True

    def __init__(self, link: Any, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.link = link
        self.port = port


class _Handler(socketserver.BaseRequestHandler):
    server: _Forwarding

    def handle(self) -> None:
        # Who asks sees a closed connection, which is what it is; there is nobody else to tell.
        try:
            channel = _connect(self.server.link, self.server.port)
        except (SSHException, OSError, EOFError):
            return
        with channel:
            ways = {self.request: channel, channel: self.request}
            try:
                while True:
                    for ready in select.select(list(ways), [], [])[0]:
                        if not (data := ready.recv(_CHUNK)):
                            return
                        ways[ready].sendall(data)
            except OSError:
                return
