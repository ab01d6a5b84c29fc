"""What there is on a machine that no operation compares."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs
from deploys.planning.lifecycle.seen import Seen


class Look(FactBase[Seen]):
    """
    Return what is ours on the machine, what listens there, and what the software is.

    + request: JSON for remote/lifecycle/look.py
    """

    default = Seen

    def command(self, request: str) -> StringCommand:
        program = programs.inline("lifecycle.look")
        return StringCommand("printf", "%s", QuoteString(request), "|", program)

    def process(self, output: list[str]) -> Seen:
        return Seen.from_json(json.loads(output[-1]))
