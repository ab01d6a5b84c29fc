"""What a machine is, in one round trip and without any driver."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from deploys.operations import programs
from deploys.planning.machine import Machine


class Hardware(FactBase[Machine | None]):
    """
    Returns the machine, or None where it has no Python 3.

    + data_root: folder that holds the models
    """

    @staticmethod
    def default() -> None:
        return None

    def requires_command(self, data_root: str) -> str:
        return "python3"

    def command(self, data_root: str) -> StringCommand:
        return programs.inline("machine", "modelrack-facts-machine", data_root)

    def process(self, output: list[str]) -> Machine:
        try:
            return Machine.from_json(json.loads(output[-1]))
        except (ValueError, TypeError, KeyError) as error:
            raise FactProcessError(f"the machine described itself unreadably: {error}") from error
