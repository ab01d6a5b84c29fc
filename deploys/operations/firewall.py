"""The firewall: new rules stay only if a new SSH connection comes through them."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, transport
from deploys.connection.transport import HostCommand
from deploys.facts.files import Entries
from deploys.facts.firewall import Ruleset
from deploys.facts.services import UnitStates
from deploys.operations import files
from deploys.operations.files import Entry, File
from deploys.planning import unit_names

# There while rules are on trial: those that were loaded before, and the new ones.
TRIAL = "/run/modelrack/firewall"
# Takes new rules back unless it is stopped in time, whatever has become of the run.
_UNDO = unit_names.FIREWALL_UNDO
_STOP = f"systemctl stop {_UNDO}.timer {_UNDO}.service 2>/dev/null || true"
# Without what was before, there is nothing that could shut anybody out.
_BACK = (
    f"if [ -d {TRIAL} ]; then"
    f" nft -f {TRIAL}/before.nft || nft delete table inet modelrack; rm -rf {TRIAL}; fi"
)
# A table that makes the kernel follow connections, and lets everything through.
_FOLLOW = (
    "table inet modelrack { chain input { type filter hook input priority 0; ct state new; }; }"
)
_TRY = f"""\
set -eu
mkdir -p {TRIAL}
cat > {TRIAL}/new.nft
nft -c -f {TRIAL}/new.nft
table=$(nft -s list table inet modelrack 2>/dev/null) || table=
printf '%s\\n' 'table inet modelrack' 'delete table inet modelrack' "$table" > {TRIAL}/before.nft
systemd-run --quiet --collect --unit={_UNDO} --on-active=SECONDS --timer-property=AccuracySec=1s \\
    /bin/sh -c '{_BACK}'
# A kernel that has followed no connection until now takes the next packet of one for a stranger's.
if [ -z "$table" ]; then nft '{_FOLLOW}'; sleep 2; fi
nft -f {TRIAL}/new.nft
"""


@operation()
def loaded(
    rules: File, units: Sequence[Entry], patience: int = 60, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Load the rules and have them loaded at every boot.

    + rules: as nft reads them; they replace the whole of our table and nothing else
    + units: what loads them at boot, and beside other rules; folders before their files
    + patience: seconds until the rules from before come back, unless the new ones are proven
    + systemd: False while an image is built, where nothing is loaded

    New rules are on trial first: in the kernel alone, so that a reboot ends it, and with a timer on
    the machine that takes them back. Only a new SSH connection, made while they hold, stops that.
    """
    missing = files.differing([rules, *units])
    if not systemd:
        yield from _in_an_image(missing)
        return
    table = host.get_fact(Ruleset, wanted=rules.content)
    state = host.get_fact(UnitStates, units=(unit_names.FIREWALL,)).get(unit_names.FIREWALL)
    on_trial = TRIAL in host.get_fact(Entries, paths=(TRIAL,))
    runs = state is not None and (state.active, state.enabled) == ("active", "enabled")
    if table.as_wanted and runs and not missing and not on_trial:
        host.noop("the rules are loaded, and are at every boot")
        return
    looking.differs([] if table.as_wanted else ["the kernel has other rules"])
    looking.differs([] if runs else [f"{unit_names.FIREWALL} does not run or is not enabled"])
    if on_trial:
        # Of a run that was killed: nobody knows whether they let anybody in.
        yield StringCommand(f"{_STOP}; {_BACK}")
    yield HostCommand(_on_trial, rules.content, patience)
    yield files.write([rules, *units], [unit_names.file(unit_names.FIREWALL)])
    yield StringCommand("systemctl", "daemon-reload")
    yield StringCommand("systemctl", "enable", "--quiet", unit_names.FIREWALL)
    # They are loaded; from now on systemd knows.
    yield StringCommand("systemctl", "start", unit_names.FIREWALL)
    yield HostCommand(_proven, rules.content, patience)


def _in_an_image(missing: list[files.Entry]) -> Generator[PyinfraCommand, None, None]:
    link = unit_names.file(f"sysinit.target.wants/{unit_names.FIREWALL}")
    enabled = link in host.get_fact(Entries, paths=(link,))
    if missing:
        yield files.write(missing)
    if not enabled:
        yield StringCommand("systemctl", "enable", "--quiet", unit_names.FIREWALL)
    if enabled and not missing:
        host.noop("the rules are loaded at the first boot")


def _on_trial(state: State, host: Host, arguments: Any, rules: str, patience: int) -> bool:
    """Load the rules and return whether a new connection comes through; if not, take them back."""
    script = QuoteString(_TRY.replace("SECONDS", str(patience)))
    ok, output = transport.run(host, arguments, "sh", "-c", script, _stdin=rules)
    if not ok:
        transport.run(host, arguments, f"{_STOP}; {_BACK}")
        logger.error(f"{host.print_prefix}the firewall's rules cannot be loaded: {output.stderr}")
        return False
    begun = time.monotonic()
    problem = transport.connects_anew(host)
    if problem is None:
        return True
    are_back = transport.try_command(host, arguments, f"{_STOP}; {_BACK}", limit=10) is not None
    left = max(patience - int(time.monotonic() - begun), 0)
    for line in (
        f"no new SSH connection comes through the firewall's new rules: {problem}",
        f"The rules from before {'are back' if are_back else f'come back within {left} s'}. Look at"
        " ssh_from of the site, ssh_hostname and ssh_port in the inventory, then run this again.",
    ):
        logger.error(f"{host.print_prefix}{line}")
    return False


def _proven(state: State, host: Host, arguments: Any, rules: str, patience: int) -> bool:
    """End the trial; return False if its time was over before."""
    transport.run(host, arguments, f"{_STOP}; rm -rf {TRIAL}")
    if host.get_fact(Ruleset, wanted=rules).as_wanted:
        return True
    logger.error(
        f"{host.print_prefix}the firewall's new rules could not be proven within {patience} s, so"
        " those from before are back. Run this again."
    )
    return False
