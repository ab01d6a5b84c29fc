"""Every tier of the tests, in order, and a line about each at the end: `python -m tests [TIER...]`.

A tier that cannot run here is reported as not run, by name and reason; under CI that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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


# Four at a time on any computer, as they wait most of the time: for machines, servers, processes.
SIDE_BY_SIDE = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
TIERS = (
    Tier("lint", ("ruff", "check", ".")),
    Tier("format", ("ruff", "format", "--check", ".")),
    Tier("types", ("mypy",)),
    Tier("layers", ("lint-imports",)),
    Tier("unit", ("pytest", "-n", "4", "--dist", "worksteal", "tests/unit")),
    Tier("plans", ("pytest", "tests/plans")),
    Tier("lab", ("pytest", *SIDE_BY_SIDE, "tests/lab/tests"), lab=True),
    Tier("e2e", ("pytest", *SIDE_BY_SIDE, "tests/e2e"), lab=True),
    Tier("gateway", ("pytest", "tests/gateway"), lab=True, asked=True),
    Tier("browser", ("pytest", "tests/browser"), lab=True, asked=True),
)


def main() -> int:
    temporary.end_in_order()
    wanted = sys.argv[1:] or [tier.name for tier in TIERS if not tier.asked]
    unknown = set(wanted) - {tier.name for tier in TIERS}
    if unknown:
        print(f"no tier {', '.join(unknown)}; there are {', '.join(tier.name for tier in TIERS)}")
        return 2
    reasons = "; ".join(missing())
    lines, failed = [], False
    for tier in TIERS:
        if tier.name not in wanted:
            continue
        if tier.lab and reasons:
            lines.append(f"{tier.name:8} not run: {reasons}")
            failed = failed or bool(os.environ.get("CI"))
            continue
        print(f"\n--> {tier.name}: {' '.join(tier.command)}", flush=True)
        begun = time.monotonic()
        code = _run(tier)
        lines.append(
            f"{tier.name:8} {'failed' if code else 'passed'} in {time.monotonic() - begun:.0f} s"
        )
        failed = failed or code != 0
    print("\n" + "\n".join(lines))
    return 1 if failed else 0


def _run(tier: Tier) -> int:
    """Its exit code; who ends us ends it in order, too, with all that it has made."""
    with subprocess.Popen([BIN / tier.command[0], *tier.command[1:]], cwd=PROJECT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
