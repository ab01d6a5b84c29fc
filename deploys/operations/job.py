"""Jobs: work that takes minutes or hours, run on the machine and watched from here.

A job is a transient systemd unit, so it outlives this run and the connection; a second run finds it
and continues watching. Where systemd is not running (while an image is built) it runs in the
foreground.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import programs, transport
from deploys.connection.transport import HostCommand
from deploys.facts.jobs import Job, Status, parse_status
from deploys.operations import files
from deploys.operations.files import Directory, File
from deploys.planning import unit_names
from deploys.planning.quantity import human

ROOT = "/var/lib/modelrack/jobs"
# Seconds between two looks at a job, and between two lines about it.
_LOOK_EVERY = 1.0
_SAY_EVERY = 10.0
# Seconds that a job may take where no unit outlives the command: weights are as large as a disk.
_FOREGROUND = 7 * 86400
# Looks without an answer, one after the other, before a job is given up on.
_SILENCE = 10
# Looks, one after the other, at which neither a job nor its unit is there, before it is gone.
_GONE = 2


@operation()
def run(
    job: str, argv: Sequence[str], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Run `argv` once on the machine.

    + job: name, with a digest of everything that decides the result, so that other work is another
      job
    + argv: program and arguments; no secrets, as every user of the machine can read them
    + systemd: False while an image is built

    A running job is watched, a finished one is not run again, and a failed or lost one is
    restarted.
    """
    status = host.get_fact(Job, directory=f"{ROOT}/{job}")
    if status.state == "done":
        host.noop(f"{job} is done")
        return
    yield from running(job, argv, systemd=systemd)


def running(
    job: str,
    argv: Sequence[str],
    *,
    systemd: bool,
    spec: dict[str, Any] | None = None,
) -> Generator[PyinfraCommand, None, None]:
    """Yield the commands that start a job, or find it running, and wait for it to end.

    + argv: "{program}" is replaced by the path of our zipapp, "{spec}" by the path of the spec
    + spec: written to the job's directory first, readable by root alone
    """
    directory = f"{ROOT}/{job}"
    entries: list[files.Entry] = [Directory(path=directory, mode="700")]
    if spec is not None:
        content = json.dumps(spec, indent=2)
        entries.append(File(path=f"{directory}/spec.json", content=content, mode="600"))
    words = {"{program}": programs.path(), "{spec}": f"{directory}/spec.json"}
    argv = [words.get(word, word) for word in argv]
    yield files.write(entries)
    work = programs.command("job", "run", directory, "--", *argv)
    if systemd:
        yield HostCommand(_start, job, directory, work)
        yield HostCommand(_watch, job, directory)
    else:
        yield StringCommand(*work.bits, _timeout=_FOREGROUND)


def _start(state: State, host: Host, arguments: Any, job: str, directory: str, work: Any) -> bool:
    status = _status(host, arguments, directory)
    if status is not None and status.state == "running":
        logger.info(f"{host.print_prefix}{job} is running already, watching it")
        return True
    unit = unit_names.job(job)
    ok, output = transport.run(
        host,
        arguments,
        # A unit of that name may be left failed; --collect removes ours when it ends.
        *("systemctl", "reset-failed", QuoteString(unit), "2>/dev/null", ";"),
        # What an earlier try came to says nothing about this one.
        *("rm", "-f", QuoteString(f"{directory}/exit"), "&&"),
        *("systemd-run", "--quiet", "--collect", "--unit", QuoteString(unit)),
        *("--property=Nice=5", "--property=TimeoutStopSec=30", work),
    )
    if not ok:
        logger.error(f"{host.print_prefix}{job} could not be started: {output.stderr}")
    return ok


def _watch(state: State, host: Host, arguments: Any, job: str, directory: str) -> bool:
    """Log the job's progress until it ends, and the end of its log if it fails."""
    said = time.monotonic()
    rate = _Rate()
    shown = ""
    silent = gone = 0
    while True:
        status = _status(host, arguments, directory)
        now = time.monotonic()
        if status is None:
            # A machine under load may be too slow to answer once; that says nothing of its job.
            silent += 1
            if silent == _SILENCE:
                logger.error(
                    f"{host.print_prefix}the machine does not say how {job} is. It goes on there;"
                    " run this again to watch it."
                )
                return False
            transport.pause(_LOOK_EVERY)
            continue
        silent = 0
        if status.state == "done":
            logger.info(f"{host.print_prefix}{job}: done in {_duration(status.elapsed)}")
            return True
        # Right after the start the job has not taken its lock yet, on a slow machine for long.
        away = status.state in ("lost", "none") and not _has_unit(host, arguments, job)
        gone = gone + 1 if away else 0
        if status.state == "failed" or gone == _GONE:
            break
        line = rate.line(status, now)
        if line != shown and now - said >= _SAY_EVERY:
            said, shown = now, line
            logger.info(f"{host.print_prefix}{job}: {line}")
        transport.pause(_LOOK_EVERY)
    for line in status.tail:
        logger.error(f"{host.print_prefix}{line}")
    end = f"failed with exit code {status.exit}" if status.state == "failed" else "was stopped"
    logger.error(
        f"{host.print_prefix}{job} {end}. The whole log is {directory}/log on the machine;"
        " run this again to continue."
    )
    return False


def _status(host: Host, arguments: Any, directory: str) -> Status | None:
    """Return the state of the job, or None if the machine does not answer."""
    command = programs.command("job", "status", directory, "--tail", "30")
    try:
        ok, output = transport.run(host, arguments, command, _timeout=60)
    except TimeoutError:
        return None
    return parse_status(output.stdout_lines[-1]) if ok and output.stdout_lines else None


def _has_unit(host: Host, arguments: Any, job: str) -> bool:
    """Return whether systemd still has the job, or does not answer."""
    # What it prints is the answer: a failed command and none at all end alike.
    try:
        _, output = transport.run(
            host, arguments, "systemctl", "is-active", QuoteString(unit_names.job(job)), _timeout=60
        )
    except TimeoutError:
        return True
    return not output.stdout_lines or output.stdout_lines[-1] in ("active", "activating")


class _Rate:
    """The speed of a job, from its progress over time."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None

    def line(self, status: Status, now: float) -> str:
        """Return a line such as `fetch 1.2 of 4.0 GiB (30 %), 85.0 MiB/s, 34 s left`."""
        if not status.progress or not status.progress.get("total"):
            return f"running for {_duration(status.elapsed)}"
        done, total = status.progress["done"], status.progress["total"]
        step = status.progress.get("step") or "step"
        if status.progress.get("unit") == "B":
            amount = f"{step} {human(done)} of {human(total)}"
        else:
            amount = f"{step} {done} of {total}"
        if self.first is None or done < self.first[1]:
            self.first = (now, done)
        speed = (done - self.first[1]) / max(now - self.first[0], 1e-9)
        text = f"{amount} ({100 * done // total} %)"
        if speed > 0:
            if status.progress.get("unit") == "B":
                text += f", {human(speed)}/s"
            text += f", {_duration((total - done) / speed)} left"
        return text


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "an unknown time"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
