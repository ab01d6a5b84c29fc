"""The link to a machine and the lock on it: one machine fails alone, with one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors import util as connector_util
from pyinfra.connectors.local import LocalConnector
from pyinfra.context import ctx_host, ctx_state

from deploys.connection import password, transport
from deploys.connection.transport import HostCommand
from deploys.operations import host_lock
from deploys.planning.inputs.refusal import Refusal


class _Connector:
    """Notes how it is called; can be told what a call comes to."""

    def __init__(self, outcome: Callable[[], Any] = lambda: True) -> None:
        self.outcome = outcome
        self.limits: list[int] = []

    def run_shell_command(self, *words: Any, **arguments: Any) -> Any:
        self.limits.append(arguments["_timeout"])
        return self.outcome()

    put_file = get_file = run_shell_command


def _tuned(connector: _Connector) -> Any:
    host: Any = SimpleNamespace(connector=connector)
    transport.harden(host)
    transport.harden(host)
    return host.connector


def _raise(error: Exception) -> Any:
    raise error


def test_every_command_has_a_time_limit() -> None:
    connector = _tuned(_Connector())
    connector.run_shell_command("true")
    connector.run_shell_command("true", _timeout=7)
    connector.run_shell_command("true", _timeout=None)
    assert connector.limits == [transport.COMMAND_TIMEOUT, 7, transport.COMMAND_TIMEOUT]


@pytest.mark.parametrize("name", ["run_shell_command", "put_file", "get_file"])
def test_a_connection_that_is_lost_is_an_error_that_pyinfra_knows(name: str) -> None:
    connector = _tuned(_Connector(lambda: _raise(EOFError())))
    with pytest.raises(OSError, match="the connection was lost"):
        getattr(connector, name)()


def test_a_password_that_nobody_can_type_is_no_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(password, "has_terminal", lambda: False)
    connector = _tuned(_Connector(lambda: connector_util.getpass("sudo password: ")))
    with pytest.raises(Refusal, match=r"no terminal to type it at.*--same-sudo-password"):
        connector.run_shell_command("true")
    # Then, a refusal would end the run of every machine.
    monkeypatch.setattr(password, "_in_operation", lambda: True)
    with pytest.raises(PermissionError, match="no terminal to type it at"):
        connector.run_shell_command("true")


def test_a_password_that_does_not_arrive_is_not_asked_for_again() -> None:
    state: Any = SimpleNamespace(config=SimpleNamespace(SUDO_PASSWORD="secret"))
    connector = _tuned(_Connector(lambda: connector_util.getpass("sudo password: ")))
    noexec = pytest.raises(Refusal, match="noexec, add --data _temp_dir=/var/tmp")
    with ctx_state.use(state), noexec:
        connector.run_shell_command("true")


def test_a_machine_without_sftp_fails_alone() -> None:
    connector = _tuned(_Connector(lambda: _raise(ConnectError("Unable to establish SFTP"))))
    with pytest.raises(OSError, match=r"Unable to establish SFTP.*'scp'"):
        connector.put_file()


def test_a_broken_pipe_on_this_computer_is_no_lost_connection() -> None:
    class Here(_Connector, LocalConnector):
        """This computer, which no link leads to."""

    connector = _tuned(Here(lambda: _raise(BrokenPipeError("the command reads nothing"))))
    with pytest.raises(BrokenPipeError, match="the command reads nothing"):
        connector.run_shell_command("true")


def test_a_link_without_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    timeout = gevent.Timeout
    monkeypatch.setattr(gevent, "Timeout", lambda seconds, error: timeout(seconds / 1000, error))
    connector = _tuned(_Connector(lambda: gevent.sleep(1)))
    with pytest.raises(TimeoutError, match="no answer for 7 seconds"):
        connector.run_shell_command("true", _timeout=7)


def test_a_host_command_is_what_its_function_says() -> None:
    def step(state: Any, host: Any, arguments: Any, *words: str) -> bool:
        return words == ("one", "two")

    nothing: Any = None
    assert HostCommand(step, "one", "two").execute(nothing, nothing, {})
    assert not HostCommand(step, "one").execute(nothing, nothing, {})
    assert repr(HostCommand(step, "one")) == "step('one',)"


def test_one_machine_at_a_time() -> None:
    order = []

    def work(name: str) -> None:
        with transport.exclusive("test"):
            order.append(name)
            gevent.sleep(0)
            order.append(name)

    def fail() -> None:
        with transport.exclusive("test"):
            raise ValueError

    gevent.joinall([gevent.spawn(work, name) for name in "abc"])
    assert order == [*"aabbcc"]
    with pytest.raises(ValueError):
        fail()
    work("d")  # The turn of one that failed is over, too.


OTHER = {"user": "li", "host": "desk", "pid": 7, "since": 0, "command": "pyinfra inventories/a.py"}


def _acquire(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> tuple[list[Any], str | None]:
    """What the operation yields and notes, the machine answering as told."""
    left, now = iter(answers), [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    def hold(host: Any, arguments: Any, command: Any, *, every: float) -> Any:
        return transport.KeptAlive(next(left), None, every)

    monkeypatch.setattr(transport, "keep_alive", hold)
    monkeypatch.setattr(transport, "pause", pause)
    monkeypatch.setattr(host_lock.time, "monotonic", lambda: now[0])
    noted: list[str] = []
    host = SimpleNamespace(noop=noted.append, current_op_global_arguments=None, connector_data={})
    with ctx_state.use(SimpleNamespace(is_executing=True)), ctx_host.use(host):
        commands = list(host_lock.acquire._inner())  # type: ignore[attr-defined]
    return commands, noted[0] if noted else None


def test_a_free_lock_is_taken_and_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _acquire(monkeypatch, ["held"]) == ([], "the lock is ours")


def test_a_run_that_has_just_ended_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _acquire(monkeypatch, [json.dumps(OTHER)] * 5 + ["held"]) == ([], "the lock is ours")


def test_the_second_operator_is_told_who_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,), noted = _acquire(monkeypatch, [json.dumps(OTHER)] * 20)
    assert command.function is transport._fail and noted is None
    (message,) = command.args
    assert message.startswith("li on desk (process 7) is at work on this machine since 19")
    assert "pyinfra inventories/a.py. Nothing was changed; run this again" in message


def test_after_a_reboot_the_lock_is_taken_again_by_a_run_that_had_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = iter(["held", json.dumps(OTHER)])
    monkeypatch.setattr(host_lock, "_GRACE", -1)
    monkeypatch.setattr(
        transport, "keep_alive", lambda *_, every: transport.KeptAlive(next(lines), None, every)
    )
    host = SimpleNamespace(current_op_global_arguments=None, connector_data={})
    with ctx_host.use(host):
        assert host_lock.reacquire() is None
        host.connector_data[host_lock._OURS] = True
        assert host_lock.reacquire() is None
        assert str(host_lock.reacquire()).startswith("after the reboot, li on desk (process 7)")
    assert next(lines, None) is None


def test_a_link_that_is_gone_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host: Any = SimpleNamespace(connector=_Connector(), connector_data={"modelrack_held": [1]})
    answers = iter([ConnectionError("the connection was lost"), (True, "back"), (False, "no")])

    def run(*_: Any, **__: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer[0], SimpleNamespace(stdout=answer[1])

    reachable = iter([False, True])
    host.connected = True
    host.disconnect = lambda: setattr(host, "connected", False)
    host.connect = lambda show_errors: setattr(host, "connected", next(reachable))
    monkeypatch.setattr(transport, "run", run)
    monkeypatch.setattr(transport, "clear_askpass_cache", lambda host: None)
    assert transport.try_command(host, {}, "true", limit=5) is None
    assert not host.connected and host.connector_data == {}
    assert transport.try_command(host, {}, "true", limit=5) is None
    assert transport.try_command(host, {}, "true", limit=5) == "back"
    assert transport.try_command(host, {}, "false", limit=5) is None


@pytest.mark.parametrize("line", ["", "Killed", "{}", "[]", "no connection: timed out"])
def test_what_is_no_answer_is_reported(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,), _ = _acquire(monkeypatch, [line] * 20)
    assert f"could not be taken: {line or 'no answer'}" in command.args[0] or line == "{}"
    assert "Nothing was changed" in command.args[0]


class _AnotherConnector:
    """Stands for the connector of SSH: what comes of a new connection is said beforehand."""

    outcome: Callable[[], Any] = staticmethod(lambda: None)
    closed: list[bool]

    def __init__(self, state: Any, host: Any) -> None:
        self.client = SimpleNamespace(close=lambda: self.closed.append(True))

    def connect(self) -> None:
        type(self).outcome()

    def run_shell_command(self, command: Any) -> tuple[bool, None]:
        return True, None


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (lambda: None, None),
        (lambda: _raise(ConnectError("Could not connect (timed out)")), "timed out"),
        (lambda: _raise(EOFError()), "EOFError"),
        (lambda: gevent.sleep(1), "no answer for 30 seconds"),
    ],
)
def test_one_more_connection_is_tried_and_closed(
    outcome: Callable[[], Any], problem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = gevent.Timeout
    monkeypatch.setattr(gevent, "Timeout", lambda seconds, error: timeout(seconds / 300, error))
    monkeypatch.setattr(_AnotherConnector, "outcome", staticmethod(outcome))
    monkeypatch.setattr(_AnotherConnector, "closed", [], raising=False)
    monkeypatch.setattr(transport, "SSHConnector", _AnotherConnector)
    host: Any = SimpleNamespace(connector=_AnotherConnector(None, None), state=None)
    found = transport.connects_anew(host)
    assert found is None if problem is None else problem in str(found)
    assert _AnotherConnector.closed == [True]


def test_where_no_ssh_leads_no_connection_can_fail() -> None:
    host: Any = SimpleNamespace(connector=_Connector(lambda: pytest.fail("it is not asked")))
    assert transport.connects_anew(host) is None
