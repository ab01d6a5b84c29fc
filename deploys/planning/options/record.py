"""What the pinned version of each engine accepts, as recorded/ has it.

recorded/<engine>-<version>.json is written by tests/unit/planning/engines/update_options.py;
beside them, written by hand, removed.yaml has what went away and what is used instead, and
nearest.yaml which version stands for one that could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

RECORDED = Path(__file__).resolve().parent / "recorded"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of an engine, or a variable of its environment.

    + name: as on a command line, with its dashes; a variable's is the variable
    + aliases: other names; those with --no- switch a flag off
    + value: it takes one; a flag does not
    + type: of the value; "text" where anything is taken, or where it is not known
    + many: it takes several values
    + choices: the values that there are; () where there are more
    + env: the variable that says the same; None where there is none
    + instead: what is to be used now, "" for nothing; None unless the engine gave it up
    + command_line: it is not read from a file
    """

    name: str
    aliases: tuple[str, ...] = ()
    value: bool
    type: Literal["text", "int", "float", "json"] = "text"
    many: bool = False
    choices: tuple[str, ...] = ()
    env: str | None = None
    instead: str | None = None
    command_line: bool = False

    @property
    def is_variable(self) -> bool:
        return self.name == self.env

    @property
    def negative(self) -> str | None:
        """The name that switches this flag off; None where there is none."""
        return next((each for each in self.aliases if each.startswith("--no-")), None)

    @property
    def key(self) -> str:
        """The name as files have it: without dashes in front."""
        return self.name.removeprefix("--")

    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.name, *self.aliases, self.env)))


@cache
def accepted(engine: str, version: str) -> Mapping[str, Option]:
    """Return the options of a version by each of their names; none if it was not recorded."""
    path = RECORDED / f"{engine}-{nearest().get(engine, {}).get(version, version)}.json"
    if not path.exists():
        return {}
    options = [_option(entry) for entry in json.loads(path.read_text())]
    return {name: option for option in options for name in option.names()}


@cache
def replacements(engine: str) -> Mapping[str, str]:
    """Return what to use instead of options that went away; "" is nothing."""
    return _read("removed").get(engine, {})


@cache
def nearest() -> dict[str, dict[str, str]]:
    """Return, by engine and version, the version that was recorded in its place."""
    return _read("nearest")


def _read(name: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load((RECORDED / f"{name}.yaml").read_text())
    return found


def problem(option: Option, value: Any) -> str:
    """Return what is wrong with a value, as a clause that follows the option's name; "" if nothing.

    A flag's value says whether it is set.
    """
    if not option.value:
        return "" if isinstance(value, bool) else f"takes no value, and got {value!r}"
    if isinstance(value, list | tuple) and option.type != "json":
        if not option.many:
            return f"takes one value, and got {len(value)}"
        return next((found for each in value if (found := problem(option, each))), "")
    if isinstance(value, bool) or value is None:
        return f"wants a value, and got {value}"
    if option.choices and str(value) not in option.choices:
        return f"is one of {', '.join(option.choices)}, and not {value}"
    if option.type == "json":
        return "" if _is_json(value) else f"wants JSON, and got {value!r}"
    if isinstance(value, Mapping):
        return f"wants {_A[option.type]}, and got {value!r}"
    return "" if _fits(option.type, value) else f"wants {_A[option.type]}, and got {value!r}"


_A = {"text": "a text or a number", "int": "a whole number", "float": "a number"}


def _fits(kind: str, value: Any) -> bool:
    if kind == "text":
        return isinstance(value, str | int | float)
    try:
        int(str(value)) if kind == "int" else float(str(value))
    except ValueError:
        return False
    return True


def _is_json(value: Any) -> bool:
    try:
        json.loads(value) if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str | Mapping | list)


def _option(entry: Mapping[str, Any]) -> Option:
    """Return an entry of the record as what it is."""
    return Option(**{name: _LISTS.get(name, _same)(value) for name, value in entry.items()})


def _same(value: Any) -> Any:
    return value


_LISTS: Mapping[str, Callable[[Any], Any]] = {"aliases": tuple, "choices": tuple}
