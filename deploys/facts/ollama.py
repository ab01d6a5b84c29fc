"""Models that we have registered with Ollama."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


class Registered(FactBase[set[str]]):
    """
    Return the names, among ``specs``, of models that are registered as their spec says.

    + specs: JSON list of what `ollama register` takes
    """

    default = set

    def command(self, specs: str) -> StringCommand:
        return StringCommand(
            *("test", "-e", programs.path(), "||", "exit", "0", ";"),
            *("printf", "%s", QuoteString(specs), "|"),
            programs.command("ollama", "registered"),
        )

    def process(self, output: list[str]) -> set[str]:
        return set(json.loads(output[-1]))
