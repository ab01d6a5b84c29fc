"""The gateway's files, and its processes told of them without an answer being lost."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import replace

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs
from deploys.facts.files import Entries
from deploys.facts.gateway import GatewayProcesses
from deploys.operations import files
from deploys.operations.files import Directory, File
from deploys.planning import unit_names
from deploys.rendering.gateway import MASTER


@operation()
def applied(
    folder: Directory,
    configuration: File,
    others: Sequence[File],
    maps: Sequence[str],
    certificates: Sequence[str],
    digest: str,
    systemd: bool = True,
) -> Generator[PyinfraCommand, None, None]:
    """
    Write the configuration, once HAProxy accepts it; a gateway that runs takes it over.

    + folder: where all of it lies
    + configuration: what HAProxy is started with
    + others: files that it names
    + maps: those of its files that running processes are given when they change
    + certificates: files that a change of needs a reload, as one of the configuration does
    + digest: MODELRACK_DIGEST of the configuration
    + systemd: False while an image is built

    Whether running processes have read these files is asked of them: a run that was killed between
    writing a file and the reload is completed by the next one.
    """
    missing = files.differing([folder, *others, configuration])
    request = {
        "unit": unit_names.GATEWAY,
        "master": MASTER,
        "digest": digest,
        "maps": [*maps],
        "certificates": [*certificates],
    }
    wanted = json.dumps(request)
    running = host.get_fact(GatewayProcesses, wanted=wanted) if systemd else None
    due = running and running.running and (running.maps or running.reload or missing)
    if not missing and not due:
        host.noop("the gateway has its configuration")
        return
    for path in running.maps if running else ():
        looking.differs([f"the running gateway knows another {path}"])
    if running and running.reload:
        looking.differs(["the running gateway was started with other files"])
    if before := [entry for entry in missing if entry != configuration]:
        yield files.write(before)
    if configuration in missing:
        # Beside its place, as a file that cannot be read would keep the gateway from starting.
        arriving = replace(configuration, path=f"{configuration.path}.arriving")
        yield files.write([arriving])
        new, place = QuoteString(arriving.path), QuoteString(configuration.path)
        # Names of certificates are looked up, which an image has none of.
        check = ("haproxy", "-c", "-q", "-f", new, "&&") if systemd else ()
        yield StringCommand(*check, "mv", "-f", new, place)
    if due:
        program = programs.inline("gateway.apply")
        yield StringCommand("printf", "%s", QuoteString(wanted), "|", program)


@operation()
def chat_key_made(
    key: str, map_file: str, user: str, group: str
) -> Generator[PyinfraCommand, None, None]:
    """
    Make the chat page's own key on the machine, once.

    + key: file that root alone reads
    + map_file: the gateway's, with the SHA-256 of the key
    + user: whose requests those with this key are
    + group: that of the gateway
    """
    found = host.get_fact(Entries, paths=(key, map_file))
    looking.knows([key, map_file])
    modes = {path: each.mode for path, each in found.items()}
    if modes == {key: "600", map_file: "640"}:
        host.noop("the chat page has its key")
        return
    looking.differs([f"{key} or {map_file} is missing, or not for its readers alone"])
    yield programs.inline("gateway.chat_key", key, map_file, user, group)
