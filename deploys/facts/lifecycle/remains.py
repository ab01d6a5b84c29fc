"""What uninstalling would take away."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


class Remains(FactBase[list[str]]):
    """
    Return what is ours on the machine and would go.

    + request: JSON for remote/lifecycle/uninstall.py
    """

    default = list

    def command(self, request: str) -> StringCommand:
        program = programs.inline("lifecycle.uninstall", "--look")
        return StringCommand("printf", "%s", QuoteString(request), "|", program)

    def process(self, output: list[str]) -> list[str]:
        found: list[str] = json.loads(output[-1])
        return found
