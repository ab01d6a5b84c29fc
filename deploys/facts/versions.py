"""Which versions of each engine have served on the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs


@dataclass(frozen=True)
class Noted:
    """Versions of one engine, <version>-<digest> as their folders are called.

    + serving: that answered last
    + previous: that served before it
    + withdrawn: that served after it, until it was gone back to
    """

    serving: str | None = None
    previous: str | None = None
    withdrawn: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return dict(vars(self))


class Versions(FactBase[dict[str, Noted]]):
    """
    Returns the versions by engine.

    + folder: where an engine has its notes in a folder of its own
    """

    default = dict

    def command(self, folder: str) -> StringCommand:
        return programs.inline("services.versions", "noted", folder)

    def process(self, output: list[str]) -> dict[str, Noted]:
        return {engine: Noted(**names) for engine, names in json.loads(output[-1]).items()}
