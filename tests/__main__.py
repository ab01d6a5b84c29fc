"""The tiers of the tests, and a line about each at the end: `python -m tests [TIER...]`.

Those with machines wait most of the time, so the others run beside them; what these print comes
when all is over. With --asked: those that otherwise only run by name. A tier that cannot run here
is reported as not run, by name and reason; under CI that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests import temporary
from tests.lab import missing

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Tier:
    """One command; `lab` marks those that boot machines, `asked` those that only run by name."""

    name: str
    command: tuple[str, ...]
    lab: bool = False
    asked: bool = False


# As many on any computer, as they wait most of the time: for machines, servers, processes.
SIDE_BY_SIDE = ("--dist", "loadfile", "--no-loadscope-reorder")
TIERS = (
    Tier("lint", ("ruff", "check", ".")),
    Tier("format", ("ruff", "format", "--check", ".")),
    Tier("types", ("mypy",)),
    Tier("layers", ("lint-imports",)),
    Tier("unit", ("pytest", "-n", "4", "--dist", "worksteal", "tests/unit")),
    Tier("plans", ("pytest", "tests/plans")),
    Tier("lab", ("pytest", "-n", "4", *SIDE_BY_SIDE, "tests/lab/tests"), lab=True),
    Tier("e2e", ("pytest", "-n", "6", *SIDE_BY_SIDE, "tests/e2e"), lab=True),
    Tier("gateway", ("pytest", "tests/gateway"), lab=True, asked=True),
    Tier("group", ("pytest", "-s", "tests/group"), lab=True, asked=True),
    Tier("vendor", ("pytest", "tests/vendor"), lab=True, asked=True),
    Tier("acceptance", ("pytest", "tests/acceptance"), lab=True, asked=True),
    Tier("vm", ("pytest", "tests/vm/tests"), lab=True, asked=True),
    Tier("monitoring", ("pytest", "tests/monitoring"), lab=True, asked=True),
    Tier("browser", ("pytest", "tests/browser"), lab=True, asked=True),
)


class Runs:
    """What runs now and how the others ended; who ends us ends them all in order.

    + ended: exit code of each tier that has run
    """

    def __init__(self) -> None:
        self.ended: dict[str, int] = {}
        self.lines: dict[str, str] = {}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._over = False
        self._changes = threading.Lock()

    def run(self, tier: Tier, output: IO[bytes] | None = None) -> None:
        """Run it to its end; with an output that is where it prints, instead of here."""
        command = [str(BIN / tier.command[0]), *tier.command[1:]]
        begun = time.monotonic()
        with self._changes:
            if self._over:
                return
            process = subprocess.Popen(
                command, cwd=PROJECT, stdout=output, stderr=output and subprocess.STDOUT
            )
            self._running.add(process)
        code = process.wait()
        with self._changes:
            self._running.remove(process)
        self.ended[tier.name] = code
        took = f"{time.monotonic() - begun:.0f} s"
        self.lines[tier.name] = f"{tier.name:8} {'failed' if code else 'passed'} in {took}"

    def end(self) -> None:
        """Nothing begins any more, and what runs is told to end, and waited for."""
        with self._changes:
            self._over = True
            running = [*self._running]
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def main() -> int:
    temporary.end_in_order()
    asked = sys.argv[1:] == ["--asked"]
    wanted = sys.argv[1:]
    if asked or not wanted:
        wanted = [tier.name for tier in TIERS if tier.asked == asked]
    unknown = set(wanted) - {tier.name for tier in TIERS}
    if unknown:
        print(f"no tier {', '.join(unknown)}; there are {', '.join(tier.name for tier in TIERS)}")
        return 2
    reasons = "; ".join(missing())
    tiers = [tier for tier in TIERS if tier.name in wanted]
    able = [tier for tier in tiers if not (tier.lab and reasons)]
    here = [tier for tier in able if tier.lab] or able
    runs = Runs()
    _run(runs, here, beside=[tier for tier in able if tier not in here])
    print()
    for tier in tiers:
        print(runs.lines.get(tier.name) or f"{tier.name:8} not run: {reasons}")
    failed = any(runs.ended.values()) or (len(able) < len(tiers) and os.environ.get("CI"))
    return 1 if failed else 0


def _run(runs: Runs, here: list[Tier], beside: list[Tier]) -> None:
    """Run some one after the other, and the others beside them, which print afterwards."""
    with temporary.folder("modelrack-tiers-") as folder:

        def run_others() -> None:
            for tier in beside:
                with (folder / tier.name).open("wb") as output:
                    runs.run(tier, output)
                if runs.ended.get(tier.name):
                    print(f"\n{runs.lines[tier.name]}; what it said comes at the end", flush=True)

        others = threading.Thread(target=run_others)
        others.start()
        try:
            if beside:
                names = ", ".join(tier.name for tier in beside)
                print(f"\n--> beside what follows: {names}", flush=True)
            for tier in here:
                print(f"\n--> {tier.name}: {' '.join(tier.command)}", flush=True)
                runs.run(tier)
            others.join()
        except KeyboardInterrupt:
            runs.end()
            others.join()
            raise
        for tier in beside:
            print(f"\n--> {tier.name}: {' '.join(tier.command)}", flush=True)
            sys.stdout.buffer.write((folder / tier.name).read_bytes())
            sys.stdout.flush()


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
