"""What the gateway's log on a machine says of tokens."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs
from deploys.planning.gateway.usage import GatewayLog, Usage


class Log(FactBase[GatewayLog]):
    """
    Return the sums of the gateway's log, which stays on the machine.

    + journal: the namespace that it is kept in
    """

    default = GatewayLog

    def command(self, journal: str) -> StringCommand:
        return programs.inline("gateway.usage", journal)

    def process(self, output: list[str]) -> GatewayLog:
        said = json.loads(output[-1])
        return GatewayLog(
            since=said["since"],
            broken=said["broken"],
            rows=tuple(Usage(**row) for row in said["rows"]),
        )
