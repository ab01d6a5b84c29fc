"""The link to a machine: fast, bounded in time, and failing for that machine alone.

With tunnel.py the only module that touches pyinfra's connectors, gevent or paramiko; pyinfra 4
replaces all three.

What stock pyinfra 3.10 does and why it does not do:

- paramiko leaves Nagle's algorithm on, which costs 40 ms a command; TCP_NODELAY takes that away
- a link that drops packets silently hangs a run for ever; here it counts as dead after half a
  minute, and every command has a time limit besides
- a connection lost in the middle of an upload raises EOFError, which nothing catches and which ends
  the run of every machine; here it fails the one machine
- sudo that wants a password which nobody can type raises EOFError, too; here it is a refusal
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

import gevent
from gevent import subprocess
from gevent.lock import BoundedSemaphore
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import Host, State, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors import util as connector_util
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.fake import FakeConnector
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import (
    CommandOutput,
    clear_askpass_cache,
    make_unix_command_for_host,
)

from deploys.connection import password

# Seconds. Nothing we run in the foreground takes longer; what does is a job (operations/job.py).
COMMAND_TIMEOUT = 900
# What wraps a command in sudo and the like, as opposed to how it is run.
_SHELL_ARGUMENTS = set(CONNECTOR_ARGUMENT_KEYS) - {
    "_timeout",
    "_get_pty",
    "_stdin",
    "_success_exit_codes",
}
# Seconds between keepalive packets, and seconds without an answer to them after which the link
# counts as dead; a job on the machine goes on meanwhile.
_KEEPALIVE = 10
_DEAD_AFTER = 30


def harden(host: Host) -> None:
    """Apply the changes described above to the connection of `host`; later calls do nothing."""
    connector = host.connector
    if connector in _tuned:
        return
    _tuned.add(connector)
    connector_util.getpass = password.typed  # type: ignore[assignment]
    _tune_link(connector)
    for name in ("run_shell_command", "put_file", "get_file"):
        setattr(connector, name, _bounded(connector, getattr(connector, name)))


def _tune_link(connector: BaseConnector) -> None:
    if isinstance(connector, SSHConnector):
        transport = _client(connector).get_transport()
        # Through a ProxyCommand or a jump host this is a channel, and the first hop's own business.
        if isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                milliseconds = _DEAD_AFTER * 1000
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        transport.set_keepalive(_KEEPALIVE)


def stop(host: Host) -> NoReturn:
    """End the deploy on one host and count it as failed, without a prompt and before any change.

    pyinfra has no way to do this: an exception here would end the run for every host.
    """
    state = host.state
    state.failed_hosts.add(host)
    state.active_hosts.discard(host)
    if not state.active_hosts:
        # Nothing is left to do for anybody; without this the run would ask whether to go on.
        sys.exit(1)
    raise gevent.GreenletExit


def leave() -> NoReturn:
    """End the deploy code of one host, which what it has come to so far is all of."""
    raise gevent.GreenletExit


def is_simulated(host: Host) -> bool:
    """Return whether this is a scripted `@fake` host, which only a plan can be made for."""
    return isinstance(host.connector, FakeConnector)


def is_local(host: Host) -> bool:
    """Return whether this is the local computer, which cannot be watched while it reboots."""
    return isinstance(host.connector, LocalConnector)


_tuned: WeakSet[BaseConnector] = WeakSet()


def _client(connector: SSHConnector) -> Any:
    """Return the connected client, typed Any because paramiko's types allow None at every step."""
    return connector.client


def _bounded(connector: BaseConnector, call: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(*args: Any, **kwargs: Any) -> Any:
        limit = kwargs.get("_timeout") or COMMAND_TIMEOUT
        try:
            # pyinfra's own limit covers the output of a command, not the opening of its channel.
            with gevent.Timeout(limit + 5, TimeoutError(f"no answer for {limit} seconds")):
                result = call(*args, **{**kwargs, "_timeout": limit})
        except TimeoutError:
            raise
        except ConnectError as error:
            # Of a machine without SFTP; pyinfra expects it while connecting alone.
            hint = "Or set ssh_file_transfer_protocol = 'scp' beside ssh_user in the inventory."
            raise OSError(f"{error} {hint}") from error
        except (EOFError, OSError, SSHException) as error:
            broken = isinstance(error, (EOFError, ConnectionError))
            if (broken and not isinstance(connector, LocalConnector)) or not _is_alive(connector):
                raise ConnectionError(_LOST) from error
            raise
        # A command that a broken link cut off looks like one that failed with exit code -1.
        if not _is_alive(connector):
            raise ConnectionError(_LOST)
        return result

    return bounded


_LOST = "the connection was lost"


def _is_alive(connector: BaseConnector) -> bool:
    if not isinstance(connector, SSHConnector):
        return True
    transport = _client(connector).get_transport()
    return transport is not None and transport.is_active()


class HostCommand(PyinfraCommand):
    """A step of an operation that runs several commands, or none, and decides while it runs.

    + function: called with the state, the host, the connector arguments and `args`; returning False
      fails the host, and so does a lost connection or an exceeded time limit
    """

    def __init__(self, function: Callable[..., bool], *args: Any) -> None:
        super().__init__()
        self.function = function
        self.args = args

    def __repr__(self) -> str:
        return f"{self.function.__name__}{self.args}"

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        return self.function(state, host, connector_arguments, *self.args)


def fail(message: str) -> HostCommand:
    """Return a command that fails one host with a message; raising would end the run for all."""
    return HostCommand(_fail, message)


def _fail(state: State, host: Host, arguments: Any, message: str) -> bool:
    logger.error(f"{host.print_prefix}{message}")
    return False


def run(host: Host, arguments: Any, *words: Any, **overrides: Any) -> tuple[bool, CommandOutput]:
    """Run one command with the operation's own arguments (_sudo and the like)."""
    ok, output = host.run_shell_command(StringCommand(*words), **{**arguments, **overrides})
    return ok, output


def try_command(host: Host, arguments: Any, *words: Any, limit: int) -> str | None:
    """Return the output of a command on a host that may be rebooting; None without an answer.

    + limit: seconds it may take

    A lost connection is opened again by the next call.
    """
    if not host.connected:
        host.connect(show_errors=False)
        if not host.connected:
            return None
        _tune_link(host.connector)
    try:
        ok, output = run(host, arguments, *words, _timeout=limit)
        return output.stdout if ok else None
    except (OSError, EOFError, SSHException):
        _hang_up(host)
        return None


def _hang_up(host: Host) -> None:
    # What it would clean up on the machine is gone with the link.
    clear_askpass_cache(host)
    host.connector_data.pop("modelrack_held", None)
    if isinstance(host.connector, SSHConnector):
        _client(host.connector).close()
    host.disconnect()


def connects_anew(host: Host) -> str | None:
    """Open one more connection to this machine and close it; return why that fails, if it does."""
    if not isinstance(host.connector, SSHConnector):
        return None  # No SSH leads there, so nothing can be in its way.
    another = SSHConnector(host.state, host)
    try:
        with gevent.Timeout(_DEAD_AFTER, TimeoutError(f"no answer for {_DEAD_AFTER} seconds")):
            another.connect()
            ok, _ = another.run_shell_command(StringCommand("true"))
            return None if ok else "it opens and runs no command"
    except (ConnectError, EOFError, OSError, SSHException) as error:
        return str(error) or type(error).__name__
    finally:
        if another.client:
            another.client.close()


_turns: dict[str, BoundedSemaphore] = {}


@contextmanager
def exclusive(what: str) -> Generator[None, None, None]:
    """Hold a named lock, so that one host at a time does this; other work is not blocked."""
    with _turns.setdefault(what, BoundedSemaphore(1)):
        yield


def pause(seconds: float) -> None:
    """Sleep without blocking the other hosts."""
    gevent.sleep(seconds)


class KeptAlive:
    """A program on the machine that this run keeps alive."""

    def __init__(self, first_line: str, write: Callable[[bytes], Any] | None, every: float) -> None:
        self.first_line = first_line
        if write is not None:
            gevent.spawn(self._beat, write, every)

    @staticmethod
    def _beat(write: Callable[[bytes], Any], every: float) -> None:
        try:
            while True:
                gevent.sleep(every)
                write(b"\n")
        except (OSError, EOFError):
            pass  # The link is gone; the next command on it says so.


def keep_alive(host: Host, arguments: Any, command: StringCommand, *, every: float) -> KeptAlive:
    """Start `command`, wait for its first line and keep its standard input open.

    It reads a newline every `every` seconds, and end of file when this process ends, however it
    ends.
    """
    connector: BaseConnector = host.connector
    if isinstance(connector, FakeConnector):
        return KeptAlive("held", None, every)
    shell = {key: arguments[key] for key in _SHELL_ARGUMENTS if key in arguments}
    words = make_unix_command_for_host(host.state, host, command, **shell).get_raw_value()
    if isinstance(connector, SSHConnector):
        try:
            stdin, stdout, _ = _client(connector).exec_command(words, timeout=30)
            line = stdout.readline()
        except (OSError, EOFError, SSHException) as error:
            return KeptAlive(f"no connection: {error}", None, every)
        stdout.channel.settimeout(None)
        host.connector_data.setdefault("modelrack_held", []).append((stdin, stdout))
        return KeptAlive(line.strip(), stdin.channel.sendall, every)
    if isinstance(connector, LocalConnector):
        process = subprocess.Popen(
            words, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        host.connector_data.setdefault("modelrack_held", []).append(process)
        return KeptAlive(process.stdout.readline().decode().strip(), process.stdin.write, every)
    return KeptAlive("held", None, every)
