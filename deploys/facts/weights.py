"""Models on the machine whose files have been verified."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


class Manifests(FactBase[set[str]]):
    """
    Return the directories, among ``specs``, that hold exactly the files their spec names.

    + specs: JSON list of what `weights fetch` takes
    """

    default = set

    def command(self, specs: str) -> StringCommand:
        return StringCommand(
            *("test", "-e", programs.path(), "||", "exit", "0", ";"),
            *("printf", "%s", QuoteString(specs), "|"),
            programs.command("weights", "proven"),
        )

    def process(self, output: list[str]) -> set[str]:
        return set(json.loads(output[-1]))
