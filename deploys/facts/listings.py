"""What hubs have, asked by a machine, for when the operator's computer reaches no hub."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs


class Listings(FactBase[list[dict[str, Any]]]):
    """
    Return the hubs' answers to a list of requests.

    The requests are sent on standard input, as JSON; control/hub_clients.py defines both formats.

    + program: "hubs.documents" for requests that name some
    """

    default = list

    def command(self, program: str = "hubs.listing") -> StringCommand:
        return programs.inline(program)

    def process(self, output: list[str]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = json.loads(output[-1])
        return answers
