"""The firewall that the kernel has."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


@dataclass(frozen=True)
class Table:
    """Our table of rules: whether it is loaded, and whether it is what it should be."""

    loaded: bool
    as_wanted: bool

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class Ruleset(FactBase[Table]):
    """
    Return the state of our table in the kernel.

    + wanted: rules as nft reads them
    """

    @staticmethod
    def default() -> Table:
        return Table(loaded=False, as_wanted=False)

    def command(self, wanted: str) -> StringCommand:
        return StringCommand(
            "printf", "%s", QuoteString(wanted), "|", programs.inline("gateway.firewall")
        )

    def process(self, output: list[str]) -> Table:
        return Table(**json.loads(output[-1]))
