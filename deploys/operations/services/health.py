"""Health checks of a started service: it answers and is fast enough, or the cause is logged."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pyinfra import logger
from pyinfra.api import Host, QuoteString, State, StringCommand

from deploys.connection import programs, transport
from deploys.facts import services as facts
from deploys.operations.services.unit import Unit
from deploys.planning.engines.failures.explain import Explained, explain

# Seconds between two looks at a service that is starting, and between two lines about it.
_LOOK_EVERY = 0.5
_SAY_EVERY = 10.0
# Below this share of its floor a service does not run as planned, whatever the reason.
_BROKEN = 1 / 3
# Lines of its journal that are searched for what is known, and shown where nothing is.
_SEARCHED, _SHOWN = 400, 20
# Seconds that a command may be under way to the machine, longer than the one that restarted it.
_UNDER_WAY = 1.0


def status_request(units: Sequence[Unit], *, ask: bool) -> str:
    """Return the request about these units that remote/services/units.py reads, as JSON.

    + ask: have each asked a question, too
    """
    return json.dumps(
        [
            {
                "unit": unit.name,
                "url": unit.url,
                "model": unit.model,
                "context": unit.context,
                **({"sampling": dict(unit.sampling)} if unit.sampling else {}),
                **({"adapters": unit.adapters} if unit.adapters else {}),
                **({"cards": unit.cards, "layers": unit.layers} if unit.cards else {}),
                "files": [*(file.path for file in unit.files), *unit.weights],
                "measured": unit.measured,
                "ask": unit.task if ask else None,
                "vector": unit.vector,
            }
            for unit in units
        ]
    )


def differs(unit: Unit, state: facts.UnitHealth | None) -> str:
    """Return what keeps a unit from running with all that it is to have; "" if nothing does."""
    if state is None or state.active != "active":
        return f"is {state.active if state else 'not there'}"
    if state.enabled != "enabled":
        return f"is {state.enabled or 'not enabled'}"
    if state.reload != "no":
        return "runs by files that systemd has not read again since they changed"
    if needs_a_start(unit, state):
        return "runs with other settings than it has now"
    if state.answer != "ok":
        return f"does not answer as it should: {state.answer}"
    return "" if is_measured(unit, state) else "is not as fast as it should be, or unmeasured"


def needs_a_start(unit: Unit, state: facts.UnitHealth) -> bool:
    """Return whether its process is not there, or was started with something else."""
    other = unit.digest is not None and state.digest != unit.digest
    return state.active != "active" or other or state.stale


def is_measured(unit: Unit, state: facts.UnitHealth) -> bool:
    """Return whether the unit was measured with its current settings and was fast enough.

    Fast enough is at least a third of its floor. A unit that is not to be measured counts as
    measured.
    """
    if unit.measured is None:
        return True
    figures = state.measured.get(unit.measured, {})
    return figures.get("digest") == unit.digest and not _is_broken(unit, figures)


def wait_until_it_answers(
    state: State, host: Host, arguments: Any, unit: Unit, restarted: float | None
) -> bool:
    """Wait until the expected model answers and the process has stayed up for a while.

    + restarted: when this run restarted it, by time.monotonic(); None if it was not restarted
    """

    def give_up(reason: str) -> bool:
        return _give_up(host, arguments, unit, restarted, reason)

    started = said = time.monotonic()
    first: facts.UnitHealth | None = None
    # What it has outlived before this run is no failure of it.
    before = 0 if restarted is not None else None
    answering_since = wrong_since = started
    while True:
        now = time.monotonic()
        found = probe(host, arguments, unit)
        if found is not None and before is None:
            before = int(found.restarts or 0)
        if found is None or not found.wrong:
            wrong_since = now
        until_next = _LOOK_EVERY
        if found is not None and found.active == "active" and found.answer == "ok":
            if first is None or (found.pid, found.restarts) != (first.pid, first.restarts):
                first, answering_since = found, now
            elif now - answering_since >= unit.stable:
                as_whom = f" as {unit.model}" if unit.model else ""
                what = f"answers{as_whom} on {unit.url}" if unit.url else "runs"
                logger.info(f"{host.print_prefix}{unit.name} {what}")
                return True
            # One more look will tell, as what did not stay up has another process by then.
            until_next = max(_LOOK_EVERY, unit.stable - (now - answering_since))
        elif lost := _lost(state, unit):
            return give_up(f"{unit.name} is served together with {lost}, which failed in this run")
        elif found is not None and found.active in ("failed", "inactive"):
            return give_up(f"{unit.name} stopped: it is {found.active}")
        elif now - wrong_since >= unit.stable and found is not None:
            return give_up(f"{unit.name} is not right: {found.answer}")
        elif now - started > unit.patience:
            why = found.answer if found else "its state cannot be read"
            return give_up(f"{unit.name} does not answer: {why}")
        elif found is not None and int(found.restarts or 0) - (before or 0) >= 3:
            return give_up(f"{unit.name} keeps stopping")
        if now - said >= _SAY_EVERY:
            said = now
            logger.info(f"{host.print_prefix}{unit.name}: loading for {now - started:.0f} s")
        transport.pause(until_next)


def _lost(state: State, unit: Unit) -> str:
    """Return the machines of a unit's group that this run has given up."""
    failed = {host.name for host in state.failed_hosts} if unit.group else set()
    return ", ".join(name for name in unit.group if name in failed)


def measure(state: State, host: Host, arguments: Any, unit: Unit, restarted: float | None) -> bool:
    """Measure the tokens per second of a single request; the result is kept on the machine.

    Less than the unit's floor is a warning, less than a third of it fails the host. A unit that is
    not to be measured is asked nothing.

    + restarted: as above
    """
    if unit.measured is None:
        return True
    wanted = {
        "url": unit.url,
        "model": unit.model,
        "task": unit.task,
        "context": unit.context,
        "floor": unit.min_tokens_per_second,
        "digest": unit.digest,
        "file": unit.measured,
    }
    ok, output = _ask(host, arguments, "services.measure", json.dumps(wanted))
    if not ok:
        problem = f"{unit.name} cannot be measured: {output.stderr.strip()}"
        return _give_up(host, arguments, unit, restarted, problem)
    figures = json.loads(output.stdout_lines[-1])
    speed = f"{figures['tokens_per_second']:,g} tokens per second"
    if (
        unit.min_tokens_per_second is None
        or figures["tokens_per_second"] >= unit.min_tokens_per_second
    ):
        first = f"{figures['first_token_ms']:,.0f} ms to the first token, then {speed}"
        if unit.task != "generate":
            first = f"{figures['first_token_ms']:,.0f} ms for a short text, and {speed} read"
        logger.info(f"{host.print_prefix}{unit.name}: {first}")
        return True
    planned = f"{unit.min_tokens_per_second:g} are planned"
    slow = f"{unit.name} is slow: one request alone gets {speed}, and {planned}"
    if not _is_broken(unit, figures):
        logger.warning(f"{host.print_prefix}{slow}. {_LOOK_AT}")
        return True
    known = _known(unit, _journal(host, arguments, unit, restarted))
    logger.error(
        f"{host.print_prefix}{slow}, so it does not run as planned."
        f" {known.says if known else _LOOK_AT}. Where it has put the model: journalctl -u"
        f" {unit.name}. If this is what the machine can do, set min_tokens_per_second of the"
        " service to it"
    )
    return False


_LOOK_AT = "Look whether something else uses the machine's GPUs or cores (nvidia-smi, top)"


def _is_broken(unit: Unit, figures: dict[str, Any]) -> bool:
    return float(figures["tokens_per_second"]) < (unit.min_tokens_per_second or 0) * _BROKEN


def probe(host: Host, arguments: Any, unit: Unit) -> facts.UnitHealth | None:
    """Return the unit's state after a test request, or None if the machine does not answer."""
    ok, output = _ask(host, arguments, "services.units", status_request([unit], ask=True))
    if not ok or not output.stdout_lines:
        return None
    return facts.UnitHealth(**json.loads(output.stdout_lines[-1])[unit.name])


def _ask(host: Host, arguments: Any, program: str, question: str) -> tuple[bool, Any]:
    words = ("printf", "%s", QuoteString(question), "|", programs.inline(program))
    return transport.run(host, arguments, *words)


def _give_up(host: Host, arguments: Any, unit: Unit, restarted: float | None, reason: str) -> bool:
    """Log the known explanation of a failure, or else the end of the journal, and return False."""
    lines = _journal(host, arguments, unit, restarted)
    known = _known(unit, [*lines, reason])
    for line in [known.line] if known else lines[-_SHOWN:]:
        if line != reason:
            logger.error(f"{host.print_prefix}  {line}")
    logger.error(
        f"{host.print_prefix}{reason}. {f'{known.says}. ' if known else ''}"
        f"Its journal: journalctl {_namespace(unit)}-u {unit.name}"
    )
    return False


def _namespace(unit: Unit) -> str:
    return f"--namespace=+{unit.journal} " if unit.journal else ""


def _known(unit: Unit, lines: Sequence[str]) -> Explained | None:
    if unit.engine is None:
        return None
    return explain(unit.engine, lines, port=urlsplit(unit.url or "").port)


def _journal(host: Host, arguments: Any, unit: Unit, restarted: float | None) -> list[str]:
    """Return the unit's journal since this run restarted it; older lines may no longer apply.

    systemd may have restarted it several times since; the start time that it reports is that of the
    last attempt, which may not have printed anything yet.
    """
    name = QuoteString(unit.name)
    if restarted is None:
        start = "systemctl show --timestamp=utc --value --property=InactiveExitTimestamp"
        since = StringCommand('"$(', start, name, ')"')
    else:
        since = StringCommand(f"-{time.monotonic() - restarted + _UNDER_WAY:.1f}s")
    _, output = transport.run(
        host,
        arguments,
        StringCommand(
            # All that it has written is there to be read, however busy the machine is.
            *("journalctl", "--sync", ";"),
            *("journalctl", _namespace(unit), "--no-pager", "--output=cat", f"--lines={_SEARCHED}"),
            *("--since", since, "--unit", name),
        ),
    )
    return list(output.stdout_lines)
