"""What pyinfra-testing 0.2.1 lacks for our cases, replaced by name:

- facts of an operation case: the harness hands out the case's data as it stands, where our
  operations get typed objects. Here a case gives what the machine prints, and the fact's own code
  reads it; {"a=1, b=2": output} instead of output if the question matters, too
- arguments: it builds dataclasses and lists of them, not sequences, tuples and unions of them;
  pydantic, which pyinfra brings along, does
- local files: its stand-ins replace os.stat for everybody and know nothing of pathlib; the cases
  have real files, in data/
- commands: it knows neither `_stdin` nor our HostCommand, and a program that travels packed would
  make every case depend on its source. `python3 -c '<lib.put>'` stands for remote/lib/put.py, and
  `<the note>` for all that a machine notes of a version, `<now>` for the time of a run
"""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from dataclasses import is_dataclass
from inspect import getcallargs
from pathlib import Path
from typing import Any, get_type_hints
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter
from pyinfra.api import StringCommand
from pyinfra.api.util import get_kwargs_str

from deploys.connection import programs
from deploys.connection.transport import HostCommand
from deploys.operations.services.versions import Version
from deploys.planning.engines.software import PROGRAMS

# The harness imports pyinfra's command line, which would turn the threads of all tests into
# greenlets.
with patch("gevent.monkey.patch_all"):
    import pyinfra_testing.facts as fact_harness
    import pyinfra_testing.operations as harness
    from pyinfra_testing.util import FakeHost

make_fact_tests = fact_harness.make_fact_tests
make_operation_tests = harness.make_operation_tests
_parse_commands = harness.parse_commands
_json_default = fact_harness._json_default


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the harness understand our cases."""
    name_programs(monkeypatch)
    monkeypatch.setattr(Version, "text", "<the note>")
    monkeypatch.setattr(harness, "create_host", _Machine)
    monkeypatch.setattr(harness, "coerce_operation_arguments", _typed)
    monkeypatch.setattr(harness, "patch_files", nullcontext)
    monkeypatch.setattr(harness, "parse_commands", lambda commands: [*map(_written, commands)])


def install_for_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the harness of facts understand our cases; it has no notion of a frozenset."""
    name_programs(monkeypatch)
    monkeypatch.setattr(fact_harness, "_json_default", _jsonable)


def name_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands carry the name of a program where its source would be."""
    monkeypatch.setattr(programs, "_UNPACK", "<%s>")
    monkeypatch.setattr(programs, "_packed", str)
    monkeypatch.setattr(programs, "path", lambda: PROGRAMS)


class _Machine(FakeHost):
    def __init__(self, state: Any, facts: dict[str, Any]) -> None:
        super().__init__(state, "machine", {}, {})
        self.outputs = facts

    def get_fact(self, fact_cls: Any, **kwargs: Any) -> Any:
        fact = fact_cls()
        # A question that the fact does not take is a mistake.
        arguments = getcallargs(fact.command, **kwargs)
        output = self.outputs[self._get_fact_key(fact_cls)]
        if isinstance(output, dict):
            output = output[get_kwargs_str(arguments)]
        # As pyinfra does: without any output the fact's code is not asked.
        return fact.process(output.splitlines()) if output else fact.default()


def _jsonable(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else _json_default(value)


def _typed(operation: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    hints = get_type_hints(operation._inner)
    return args, {
        name: TypeAdapter(hints[name]).validate_python(value) for name, value in kwargs.items()
    }


def _written(command: Any) -> Any:
    if isinstance(command, HostCommand):
        return [command.function.__name__, *map(_argument, command.args)]
    if isinstance(command, StringCommand) and "_stdin" in command.connector_arguments:
        request = json.loads(command.connector_arguments["_stdin"])
        for entry in request.get("entries", ()):
            if "content" in entry:
                entry["content"] = _content(entry)
        return {"command": command.get_raw_value(), "stdin": request}
    return _parse_commands([command])[0]


def _content(entry: dict[str, str]) -> Any:
    text = base64.b64decode(entry["content"]).decode()
    return json.loads(text) if entry["path"].endswith(".json") else text


def _argument(value: Any) -> Any:
    if isinstance(value, StringCommand):
        return value.get_raw_value()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Version):
        return f"{value.engine} {value.software.version}"
    if isinstance(value, float):
        return "<now>"
    if callable(value):
        return value.__name__
    return getattr(value, "name", type(value).__name__.lower()) if is_dataclass(value) else value
