"""The gateway as it runs, and the certificates that it has."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field

from pyinfra.api import FactBase, QuoteString, StringCommand

from deploys.connection import programs


@dataclass(frozen=True)
class Running:
    """How the gateway's processes differ from what is asked about.

    + running: there are any
    + maps: those that differ from their files in any process
    + reload: one was started with another configuration or certificate
    """

    running: bool = False
    maps: tuple[str, ...] = field(default=())
    reload: bool = False

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class GatewayProcesses(FactBase[Running]):
    """
    Return whether the gateway runs with the files that it has.

    + wanted: JSON for remote/gateway/apply.py
    """

    default = Running

    def command(self, wanted: str) -> StringCommand:
        program = programs.inline("gateway.apply", "--look")
        return StringCommand("printf", "%s", QuoteString(wanted), "|", program)

    def process(self, output: list[str]) -> Running:
        found = json.loads(output[-1])
        return Running(found["running"], (*found["maps"],), found["reload"])


@dataclass(frozen=True)
class Drained:
    """What draining machines, or putting them back, would change.

    + due: there is something to do, or to wait for
    + alone: services that no other copy answers
    """

    due: bool = False
    alone: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class DrainedMachines(FactBase[Drained]):
    """
    Return what it would change to have the gateway ask some machines no longer, or again.

    + wanted: JSON for remote/gateway/drain.py
    """

    default = Drained

    def command(self, wanted: str) -> StringCommand:
        program = programs.inline("gateway.drain", "--look")
        return StringCommand("printf", "%s", QuoteString(wanted), "|", program)

    def process(self, output: list[str]) -> Drained:
        found = json.loads(output[-1])
        return Drained(found["due"], (*found["alone"],))


class CertificateDue(FactBase[bool]):
    """
    Return whether the gateway's certificate is to be asked for by ACME now.

    + settings: JSON for remote/gateway/acme.py
    """

    @staticmethod
    def default() -> bool:
        return True

    def command(self, settings: str) -> StringCommand:
        return StringCommand(
            "printf", "%s", QuoteString(settings), "|", programs.inline("gateway.acme")
        )

    def process(self, output: list[str]) -> bool:
        return bool(json.loads(output[-1]))


class Certificates(FactBase[dict[str, str]]):
    """Return the certificates in each of the files ``paths``, as PEM and without their keys."""

    default = dict

    def command(self, paths: tuple[str, ...]) -> str:
        files = shlex.join(paths)
        shown = "sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/p'"
        return f'for file in {files}; do echo "file $file"; {shown} "$file" 2>/dev/null; done; true'

    def process(self, output: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        path = ""
        for line in output:
            if line.startswith("file "):
                path = line.partition(" ")[2]
            else:
                found[path] = found.get(path, "") + line + "\n"
        return found
