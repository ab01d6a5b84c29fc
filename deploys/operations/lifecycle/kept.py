"""What cannot be made again: fetched from a machine, and put back on one that lacks it."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs, transport
from deploys.connection.transport import HostCommand
from deploys.control.lifecycle import backups
from deploys.facts.files import Entries
from deploys.operations import files

# For root alone, and for a moment.
_PACKED = "/var/lib/modelrack/kept.tar.gz"


@operation(is_idempotent=False)
def fetched(paths: Sequence[str], file: Path) -> Generator[PyinfraCommand, None, None]:
    """
    Pack what there is of these paths, and fetch it; nothing else is changed on the machine.

    + paths: files and folders on the machine
    + file: where it comes to on this computer, with mode 0600
    """
    there = host.get_fact(Entries, paths=tuple(paths))
    if not there:
        host.noop("there is nothing to keep")
        return
    yield HostCommand(_fetch, [*paths], file)


def _fetch(state: State, host: Host, arguments: Any, paths: list[str], file: Path) -> bool:
    pack = programs.inline("lifecycle.kept", "pack", _PACKED)
    ok, output = transport.run(host, arguments, pack, _stdin=json.dumps({"paths": paths}))
    if ok:
        packed = json.loads(output.stdout_lines[-1])
        ok, output = transport.run(host, arguments, "sha256sum", QuoteString(_PACKED))
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    arriving = file.with_name(f"{file.name}.arriving")
    arriving.unlink(missing_ok=True)
    arriving.touch(mode=0o600)
    arrived = ok and host.get_file(_PACKED, str(arriving), **arguments)
    transport.run(host, arguments, "rm", "-f", QuoteString(_PACKED))
    if not arrived or backups.sha256(arriving) != output.stdout_lines[0].split()[0]:
        arriving.unlink()
        logger.error(f"{host.print_prefix}no backup came: {output.stderr or 'it arrived damaged'}")
        return False
    arriving.replace(file)
    logger.info(f"{host.print_prefix}{file} has {', '.join(packed)}. Keep it where nobody reads it")
    return True


@operation()
def restored(paths: Sequence[str], backup: Path | None) -> Generator[PyinfraCommand, None, None]:
    """
    Put back what the machine lacks of these paths; what it has is not replaced.

    + paths: files and folders on the machine, each as a whole
    + backup: its file on this computer; None where it has none
    """
    looking.knows(paths)
    there = host.get_fact(Entries, paths=tuple(paths)) if backup and paths else {}
    known = backups.names(backup) if backup else set()
    missing = [path for path in paths if path in known and path not in there]
    if not backup or not missing:
        host.noop("the machine has all that is to be put back")
        return
    looking.differs(f"{path} is missing, and in the backup" for path in missing)
    yield from files.uploading(backup, _PACKED, "600")
    put = programs.inline("lifecycle.kept", "put", _PACKED)
    yield StringCommand(*put.bits, _stdin=json.dumps({"paths": missing}))
