"""Models that lie on the machine, proven."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


class Manifests(FactBase[set[str]]):
    """
    Returns the folders, of those in ``specs``, that hold exactly what their spec names.

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
