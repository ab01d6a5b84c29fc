"""What is made cheap in pyinfra gives the same as before, and pyinfra still goes through it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import Inventory, arguments, connectors, facts, host, inventory, util
from pyinfra.api.host import HostData

from deploys.connection import speed

REPLACED = [
    (util, "stack"),
    (util, "getframeinfo"),
    (arguments, "all_global_arguments"),
    (facts, "all_global_arguments"),
    (connectors, "get_all_connectors"),
    (inventory, "get_all_connectors"),
    (host.HostData, "__getattr__"),
    (Inventory, "get_groups_data"),
]
DEPLOY = "deploys/full.py"
# What pyinfra asks of its stack, from a function of a function of a deploy.
PROGRAM = """
def operation():
    return (
        util.get_call_location(),
        util.get_caller_frameinfo().filename,
        util.get_operation_order_from_stack(state),
    )


def stage():
    return operation()


found = (
    stage(),
    stage(),
)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes pyinfra quick, until the end of the test."""
    for where, name in REPLACED:
        monkeypatch.setattr(where, name, getattr(where, name))
    return speed.quicken


def _located() -> Any:
    names = {"util": util, "state": SimpleNamespace(current_deploy_filename=DEPLOY)}
    exec(compile(PROGRAM, DEPLOY, "exec"), names)
    return names["found"]


def test_operations_are_told_apart_as_before_without_reading_sources(
    quick: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _located()
    quick()
    monkeypatch.setattr(inspect, "getouterframes", _never)
    monkeypatch.setattr(inspect, "getframeinfo", _never)
    assert _located() == before
    assert before[0] != before[1]


def test_global_arguments_and_connectors_are_looked_up_once(
    quick: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hints, found = arguments.all_global_arguments(), connectors.get_all_connectors()
    quick()
    asked: list[str] = []
    for where, name in ((arguments, "get_type_hints"), (connectors, "entry_points")):
        real = getattr(where, name)
        monkeypatch.setattr(where, name, lambda *a, _=(name, real), **k: _note(asked, *_, *a, **k))
    for _ in range(3):
        assert arguments.all_global_arguments() == facts.all_global_arguments() == hints
        assert connectors.get_all_connectors() == inventory.get_all_connectors() == found
        assert connectors.get_execution_connectors().keys() <= found.keys()
    Inventory((["@fake/one", "@fake/two"], {}))
    assert sorted(asked) == ["entry_points", "get_type_hints"]


def test_data_of_a_host_is_found_as_before(quick: Callable[[], None]) -> None:
    def look() -> list[Any]:
        made = Inventory(
            (["@fake/one", "@fake/two"], {"everywhere": "all", "both": "all"}),
            override_data={"given": [1]},
            first=(["@fake/one"], {"both": "first", "mine": {"a": 1}}),
            second=(["@fake/one", "@fake/two"], {"both": "second"}),
        )
        said: list[Any] = []
        for name in ("@fake/one", "@fake/two"):
            data = made.get_host(name).data
            data.own = "own"
            keys = ("everywhere", "both", "mine", "given", "own", "_sudo")
            said += [data.get(key, "nothing") for key in keys]
            said.append(data.dict())
            with pytest.raises(AttributeError) as error:
                _ = data.missing
            said.append(str(error.value))
        # What somebody does to a value stays with him.
        made.get_host("@fake/one").data.mine["a"] = 2
        said.append(made.get_host("@fake/one").data.given is made.get_host("@fake/one").data.given)
        return said

    before = look()
    quick()
    assert look() == before == look()


def test_it_is_done_once(quick: Callable[[], None]) -> None:
    quick()
    once = [getattr(where, name) for where, name in REPLACED]
    quick()
    assert [getattr(where, name) for where, name in REPLACED] == once
    assert HostData.__getattr__ is speed._datum


def _never(*arguments: Any, **more: Any) -> Any:
    raise AssertionError("pyinfra reads the sources of its callers again")


def _note(asked: list[str], name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    asked.append(name)
    return real(*args, **kwargs)
