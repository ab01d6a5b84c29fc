"""A certificate for the gateway by ACME: its account, and what renews it."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs, transport
from deploys.connection.transport import HostCommand
from deploys.facts.files import Entries
from deploys.facts.gateway import CertificateDue
from deploys.facts.services import UnitStates
from deploys.operations import files
from deploys.operations.files import Entry
from deploys.planning import unit_names

# What the unit's own programs have said last, without systemd's words about it.
_LAST = ("journalctl", "--quiet", "--output=cat", "--lines=1", f"_SYSTEMD_UNIT={unit_names.ACME}")


@operation()
def account_made(key: str, map_file: str, group: str) -> Generator[PyinfraCommand, None, None]:
    """
    Make the key of the machine's account, once, and what the gateway proves it with.

    + key: file that root alone reads
    + map_file: the gateway's
    + group: that of the gateway
    """
    found = host.get_fact(Entries, paths=(key, map_file))
    looking.knows([key, map_file])
    modes = {path: each.mode for path, each in found.items()}
    if modes == {key: "600", map_file: "640"}:
        host.noop("the account has its key")
        return
    looking.differs([f"{key} or {map_file} is missing, or not for its readers alone"])
    yield programs.inline("gateway.acme_account", key, map_file, group)


@operation()
def renewed(
    entries: Sequence[Entry], settings: Mapping[str, Any], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have the certificate renewed from now on, and ask for it at once where it is due.

    + entries: the unit, its timer and what they read; folders before their files
    + settings: what the unit reads (remote/gateway/acme.py)
    + systemd: False while an image is built

    A certificate that does not come is no failure: the gateway answers with the one that it has.
    """
    missing = files.differing(entries)
    timer = unit_names.ACME_TIMER
    if systemd:
        state = host.get_fact(UnitStates, units=(timer,)).get(timer)
        runs = state is not None and (state.active, state.enabled) == ("active", "enabled")
        due = host.get_fact(CertificateDue, settings=json.dumps(settings))
    else:
        link = unit_names.file(f"{unit_names.GATEWAY_WANTS}/{timer}")
        runs, due = link in host.get_fact(Entries, paths=(link,)), False
    if not missing and runs and not due:
        host.noop("the certificate is good, and is renewed in time")
        return
    looking.differs([] if runs else [f"{timer} does not run or is not enabled"])
    looking.differs(["the certificate is due"] if due else [])
    if missing:
        units = [each.path for each in missing if each.path.startswith(f"{unit_names.FOLDER}/")]
        yield files.write(missing, units)
    if missing and systemd:
        yield StringCommand("systemctl", "daemon-reload")
    if not runs:
        now = ["--now"] if systemd else []
        yield StringCommand("systemctl", "enable", "--quiet", *now, timer)
    if due:
        yield HostCommand(_ask, settings["host"])


def _ask(state: State, host: Host, arguments: Any, name: str) -> bool:
    """Ask for the certificate; warn if it does not come."""
    ok, _ = transport.run(host, arguments, "systemctl", "start", unit_names.ACME)
    if not ok:
        _, said = transport.run(host, arguments, *_LAST)
        for line in (
            said.stdout.strip() or f"{unit_names.ACME} has failed",
            f"Until it comes, the gateway answers as {name} with the certificate that it has. The"
            " machine tries again every hour. To try at once, run this again, or type there:"
            f" systemctl start {unit_names.ACME}",
        ):
            logger.warning(f"{host.print_prefix}{line}")
    return True
