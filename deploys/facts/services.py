"""The state of services, from systemd and from their ports."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


@dataclass(frozen=True)
class UnitHealth:
    """The state of one unit: the properties that `systemctl show` prints, and:

    + digest: of the configuration that the running process was started with
    + stale: a file of that configuration has been written since then
    + answer: "ok" if the expected model answers, else what is wrong
    + wrong: waiting will not change that
    + measured: the last throughput measurement of its models (remote/services/measure.py), by file
    """

    load: str
    active: str
    enabled: str
    reload: str
    pid: str
    restarts: str
    digest: str | None
    stale: bool
    answer: str
    wrong: bool
    measured: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class Units(FactBase[dict[str, UnitHealth]]):
    """
    Return the state of units by name.

    + questions: JSON for remote/services/units.py
    """

    default = dict

    def command(self, questions: str) -> StringCommand:
        return StringCommand(
            "printf", "%s", QuoteString(questions), "|", programs.inline("services.units")
        )

    def process(self, output: list[str]) -> dict[str, UnitHealth]:
        return {name: UnitHealth(**state) for name, state in json.loads(output[-1]).items()}


@dataclass(frozen=True)
class UnitState:
    """Whether a unit is running and whether it is enabled, in systemd's words."""

    active: str
    enabled: str

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class UnitStates(FactBase[dict[str, UnitState]]):
    """
    Return the state of units; those that systemd does not know are left out.

    + units: names with their suffix
    """

    default = dict

    def command(self, units: tuple[str, ...]) -> str:
        shown = "--property=Id,LoadState,ActiveState,UnitFileState"
        return f"systemctl show {shown} {shlex.join(units)}"

    def process(self, output: list[str]) -> dict[str, UnitState]:
        found = {}
        for block in "\n".join(output).split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if values.get("LoadState") == "loaded":
                found[values["Id"]] = UnitState(values["ActiveState"], values["UnitFileState"])
        return found


class EnabledUnits(FactBase[dict[str, str]]):
    """
    Return whether units are enabled, in systemd's words, where no systemd runs to be asked.

    + units: names with their suffix; those that are not there are left out
    """

    default = dict

    def command(self, units: tuple[str, ...]) -> str:
        names = shlex.join(units)
        # It says nothing of a unit that is not there, and fails for one that is not enabled.
        asked = 'systemctl --root=/ is-enabled "$unit" 2>/dev/null'
        return f'for unit in {names}; do echo "$unit $({asked})"; done'

    def process(self, output: list[str]) -> dict[str, str]:
        found = [line.split() for line in output]
        return {words[0]: words[1] for words in found if len(words) == 2}
