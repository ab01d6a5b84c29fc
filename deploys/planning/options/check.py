"""The further settings of a service: `options`, by its engine's own names."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.options.record import Option, accepted, problem, replacements

# What neither an environment file nor systemd's splitting of words would give back as it is.
_UNWRITABLE = ("'", "\\", "\n", "\r", "\0")
# Names of what nobody else is to know.
_SECRET = re.compile(r"api[-_]key$|secret|password", re.IGNORECASE)


def settled(service: Service, version: str) -> tuple[tuple[Option, Any], ...]:
    """Return the options that a service sets, each with its value, in the order of their names.

    Raise Refusal at the first that this version of its engine does not take.
    """
    found = [_settled(service, version, *entry) for entry in (service.options or {}).items()]
    return tuple(sorted(found, key=lambda entry: entry[0].name))


def refusals(service: Service, version: str | None) -> Iterator[Refusal]:
    """Yield what is wrong with the options of a service, each for itself."""
    seen: dict[str, str] = {}
    for name, value in (service.options or {}).items():
        if version is None:
            continue
        try:
            option, _ = _settled(service, version, name, value)
        except Refusal as refusal:
            yield refusal
            continue
        if (first := seen.setdefault(option.name, name)) != name:
            yield Refusal(
                f"Service {service.name}: options names {first} and {name}, which are the same",
                "Take one of them out of options",
            )


def text(value: Any) -> str:
    """Return a value as it is written where there are texts alone."""
    return value if isinstance(value, str) else json.dumps(value)


def _settled(service: Service, version: str, name: str, value: Any) -> tuple[Option, Any]:
    engine = ENGINES[service.engine]
    known = accepted(engine.name, version)
    of, names = f"{engine.name} {version}", f"Service {service.name}: options names {name}"
    if not known:
        raise Refusal(f"{names}, and which {of} has was not recorded", "Leave options out")
    given = _given(name)
    option = known.get(name) or known.get(given)
    if option is None:
        raise Refusal(f"{names}, which {of} does not have", _instead(engine.name, given, known))
    if option.instead is not None:
        raise Refusal(f"{names}, which {of} has given up", _use(option.instead))
    if (field := engine.plans.get(option.key)) is not None:
        set_it = f"Set {field} of the service instead, and take it" if field else "Take it"
        raise Refusal(f"{names}, which the plan sets", f"{set_it} out of options")
    if _SECRET.search(name):
        raise Refusal(
            f"{names}, which would be in a file that everybody on the machine can read",
            "Take it out of options",
        )
    if option.command_line and not engine.options_on_command_line:
        raise Refusal(f"{names}, which {of} reads from no file", "Take it out of options")
    if wrong := problem(option, value):
        raise Refusal(f"{names}, which {wrong}", f"Give {name} another value in options")
    if not option.value:
        value = value != (given == option.negative)
        if not value and option.negative is None:
            raise Refusal(
                f"{names}, which {of} can only be told to do",
                f"Set {name} to True in options or take it out",
            )
    inline = option.is_variable or engine.options_on_command_line
    if inline and any(sign in text(value) for sign in _UNWRITABLE):
        raise Refusal(
            f"{names} with a quote, a backslash or a new line",
            f"Give {name} a value without in options",
        )
    return option, value


def _given(name: str) -> str:
    """Return a name as the record has it: with its dashes, unless it is a variable's."""
    if name.upper() == name:
        return name
    return f"--{name.lstrip('-').replace('_', '-')}"


def _instead(engine: str, name: str, known: Mapping[str, Option]) -> str:
    removed = replacements(engine).get(name)
    if removed is not None:
        return _use(removed)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    return _use(" or ".join(close))


def _use(instead: str) -> str:
    return f"Use {instead} in options instead" if instead else "Take it out of options"
