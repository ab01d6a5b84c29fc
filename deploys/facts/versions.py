"""The recorded versions of each engine."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs


@dataclass(frozen=True)
class Noted:
    """Recorded versions of one engine, as <version>-<digest>, the names of their directories.

    + serving: the last one that answered
    + previous: the one that served before it
    + withdrawn: the one that served after it and was rolled back
    """

    serving: str | None = None
    previous: str | None = None
    withdrawn: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return dict(vars(self))


class Versions(FactBase[dict[str, Noted]]):
    """
    Return the recorded versions by engine.

    + folder: directory that holds one directory of records per engine
    """

    default = dict

    def command(self, folder: str) -> StringCommand:
        return programs.inline("services.versions", "noted", folder)

    def process(self, output: list[str]) -> dict[str, Noted]:
        return {engine: Noted(**names) for engine, names in json.loads(output[-1]).items()}
