"""Services as systemd and their ports report them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.operations import programs


@dataclass(frozen=True)
class Unit:
    """One unit; its fields are what `systemctl show` prints, and:

    + digest: of the configuration that the running process was started with
    + stale: a file of that configuration was written since then
    + answer: "ok" when the right model answers, else what is wrong
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

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class Units(FactBase[dict[str, Unit]]):
    """
    Returns the state of units by name.

    + questions: JSON for remote/services.py
    """

    default = dict

    def command(self, questions: str) -> StringCommand:
        return StringCommand(
            "printf", "%s", QuoteString(questions), "|", programs.inline("services")
        )

    def process(self, output: list[str]) -> dict[str, Unit]:
        return {name: Unit(**state) for name, state in json.loads(output[-1]).items()}
