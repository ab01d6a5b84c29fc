"""The hardware and software of a machine, read in one round trip and without a GPU driver."""

from __future__ import annotations

import json

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from deploys.connection import programs
from deploys.planning.first_python import OLDEST
from deploys.planning.inputs.machine import Bare, Machine

# Fails where python3 is missing, too old, or without most of its library: python3-minimal.
_CAN_RUN = f"python3 -c 'import json, sys; sys.exit(sys.version_info < {OLDEST})' 2>/dev/null"
_BARE = """\
[ -r /etc/os-release ] && . /etc/os-release
managers=
for each in apt-get dnf; do command -v $each >/dev/null && managers="$managers $each"; done
echo "$ID|$VERSION_ID|$(id -un)|$managers|$(python3 --version 2>/dev/null)"
"""


class Hardware(FactBase[Machine | None]):
    """
    Returns the machine, or None where it has no Python that our programs run on.

    + data_root: folder that holds the models
    """

    @staticmethod
    def default() -> None:
        return None

    def command(self, data_root: str) -> StringCommand:
        program = programs.inline("facts.machine", "modelrack-facts-machine", data_root)
        return StringCommand("if", _CAN_RUN, "; then", program, "; fi")

    def process(self, output: list[str]) -> Machine:
        try:
            return Machine.from_json(json.loads(output[-1]))
        except (ValueError, TypeError, KeyError) as error:
            raise FactProcessError(
                f"what the machine says of itself cannot be read: {error}"
            ) from error


class WithoutPython(FactBase[Bare | None]):
    """Returns what a shell can say of a machine that has no Python, or None where it fails."""

    @staticmethod
    def default() -> None:
        return None

    def command(self) -> str:
        return _BARE

    def process(self, output: list[str]) -> Bare:
        os, version, user, managers, python = output[-1].split("|")
        return Bare(
            os=os, os_version=version, managers=tuple(managers.split()), python=python, user=user
        )
