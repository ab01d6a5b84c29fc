"""Versions of an engine side by side; `current` points to the one that serves.

An engine's `install()` creates a directory and leaves `current` alone, so nothing that runs is
disturbed. `start()` passes what was installed to `service.running`, which runs its smoke test,
switches `current` and the files of the services, restarts them and checks them. A version that
answers is recorded in /var/lib/modelrack/engines/<engine>/serving.json, files included, and the one
before it in previous.json; other versions are removed (remote/services/versions.py). Until then the
record is of the version that served before, so that it can be restored, also by a later run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyinfra import logger
from pyinfra.api import Host, QuoteString, State, StringCommand

from deploys.connection import programs, transport
from deploys.operations.files import Entry, File, Link
from deploys.planning.engines.software import Software

NOTES = "/var/lib/modelrack/engines"
_STATE = "/var/lib/modelrack/state.json"
# Seconds; large packages are read from a cold disk while they are imported.
_SMOKE = 300

Note = Literal["serving", "previous"]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an engine with its configuration.

    + software: what is installed of it
    + files: units and settings of all its services
    + services: what is needed to check that each of them serves
    + deployed: its part of state.json
    """

    software: Software
    files: tuple[File, ...]
    services: list[dict[str, Any]]
    deployed: dict[str, Any]

    @property
    def engine(self) -> str:
        return self.software.name

    def __str__(self) -> str:
        return f"{self.engine} {Path(self.software.directory).name}"

    @property
    def link(self) -> Link:
        """The link through which the units start their programs."""
        current = str(Path(self.software.directory).parent / "current")
        return Link(path=current, target=self.software.directory)

    @property
    def text(self) -> str:
        """The record of this version, as JSON: everything needed to restore it."""
        # Put back in this order, by the same reason the other way round.
        entries: list[Entry] = [*self.files, self.link]
        known = {
            "engine": self.engine,
            "version": self.software.version,
            "directory": self.software.directory,
            "entries": [entry.to_json() for entry in entries],
            "services": self.services,
            "deployed": self.deployed,
        }
        return json.dumps(known, indent=2) + "\n"

    @property
    def note(self) -> File:
        """The file on the machine that holds that record, once the version has answered."""
        return File(path=f"{NOTES}/{self.engine}/serving.json", content=self.text, mode="600")

    @property
    def entries(self) -> list[Entry]:
        """The link and the files, in the order in which they are written.

        The files come last, as their digest shows that a process was started with all of them.
        """
        return [self.link, *self.files]


def smoke(state: State, host: Host, arguments: Any, version: Version) -> bool:
    """Run the version's smoke test; nothing is switched to a version that fails it."""
    command = map(QuoteString, version.software.smoke)
    ok, output = transport.run(host, arguments, *command, _timeout=_SMOKE)
    if not ok:
        for line in (output.stdout_lines + output.stderr_lines)[-10:]:
            logger.error(f"{host.print_prefix}  {line}")
        logger.error(
            f"{host.print_prefix}{version} does not run on this machine, see above; nothing was"
            f" switched to it. To have it made anew, remove {version.software.directory} there."
        )
    return ok


def proven(version: Version) -> StringCommand:
    """Return the command that records the serving version and removes all but the last two."""
    program = programs.inline("services.versions", "prove")
    request = _request(version.engine, state=_STATE, text=version.text)
    return StringCommand(*program.bits, _stdin=request)


def restored(
    host: Host, arguments: Any, engine: str, note: Note, failed: Version | Note
) -> tuple[dict[str, Any] | None, str]:
    """Restore the link and the files of a note.

    Return the note and "", or None and why it could not be restored; "" if there is no such note.

    + failed: what is replaced
    """
    what = {"text": failed.text} if isinstance(failed, Version) else {"failed": failed}
    request = _request(engine, note=note, **what)
    program = programs.inline("services.versions", "restore")
    ok, output = transport.run(host, arguments, program, _stdin=request)
    if not ok:
        return None, f"what served before cannot be put back: {output.stderr}"
    return json.loads(output.stdout_lines[-1]), ""


def withdrawn(host: Host, arguments: Any, engine: str) -> str:
    """Record that the previous version serves again; return "", or why it could not be recorded."""
    program = programs.inline("services.versions", "withdraw")
    request = _request(engine, state=_STATE)
    ok, output = transport.run(host, arguments, program, _stdin=request)
    return "" if ok else output.stderr or "no answer"


def _request(engine: str, **more: str) -> str:
    return json.dumps({"folder": f"{NOTES}/{engine}", **more})
