"""The record of a bundle on a disk of the machine."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase


class BundleText(FactBase[str | None]):
    """
    Return the text of the record of a bundle; None where there is no bundle.

    + folder: where the bundle is mounted or was copied to

    Needs no Python on the machine.
    """

    def command(self, folder: str) -> str:
        return f"cat {shlex.quote(folder)}/BUNDLE.json 2>/dev/null; true"

    def process(self, output: list[str]) -> str | None:
        return "\n".join(output) or None
