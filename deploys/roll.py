"""Change many machines in waves: one first, then ever more, and stop at the first that fails.

python -m deploys.roll inventories/h800.py deploys/full.py                  1, then 10 %, then all
python -m deploys.roll inventories/h800.py deploys/full.py --waves 2,50%    2, then half, then all
python -m deploys.roll inventories/h800.py deploys/full.py --after gpu-07   what comes after gpu-07

Each wave is a run of pyinfra of its own, with --limit for its machines and the further options that
are given here. Those that serve a model together are in one wave.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from deploys.control.clients import services
from deploys.control.clients.services import ListedHost
from deploys.planning.group.waves import RolledHost, waves
from deploys.planning.inputs.refusal import Refusal

# pyinfra's processes on machines at the same time; more would not be done sooner.
_AT_ONCE = 32


def main() -> int:
    """Run the waves, and return the exit code of the last one that ran."""
    options, more = _parser().parse_known_args()
    try:
        return _roll(options, more)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1


def _roll(options: argparse.Namespace, more: Sequence[str]) -> int:
    if any(word.partition("=")[0] in ("--limit", "--serial", "--parallel") for word in more):
        raise Refusal(
            "--limit, --serial and --parallel are what the waves are made with",
            "Leave them out, and say with --waves how many machines are done after each",
        )
    where = [word for at, word in enumerate(more) if "--ssh-user" in (word, *more[:at][-1:])]
    hosts = [_host(each) for each in services.listed(options.inventory, *where)]
    planned = waves(hosts, options.waves, options.after)
    if not planned:
        raise Refusal(f"Nothing comes after {options.after}", "Leave --after out to begin anew")
    last = options.after
    for number, wave in enumerate(planned, 1):
        print(f"Wave {number} of {len(planned)}: {', '.join(wave)}", flush=True)
        limits = [word for name in wave for word in ("--limit", name)]
        command = [sys.executable, "-m", "pyinfra", options.inventory, options.deploy, "-y"]
        at_once = ("--parallel", str(min(len(wave), _AT_ONCE)))
        try:
            code = subprocess.run([*command, *at_once, *limits, *more], check=False).returncode
        except KeyboardInterrupt:
            code = 130
        if code:
            left = [name for later in planned[number:] for name in later]
            _say_what_is_left(options, last, number, left)
            return code
        last = wave[-1]
    print(f"All {sum(map(len, planned))} machines are done")
    return 0


def _say_what_is_left(
    options: argparse.Namespace, last: str | None, number: int, left: Sequence[str]
) -> None:
    untouched = (
        f"{len(left)} machines were not touched: {', '.join(left)}" if left else "It was the last"
    )
    again = f"python -m deploys.roll {options.inventory} {options.deploy} --waves {options.waves}"
    after = f" --after {last}" if last else ""
    print(
        f"Wave {number} failed, see above. {untouched}.\nWhen it is put right, go on with:"
        f" {again}{after}",
        file=sys.stderr,
    )


def _host(listed: ListedHost) -> RolledHost:
    profile = listed["data"].get("profile") or {}
    together = [service.get("machines", 1) for service in profile.get("services", ())]
    return RolledHost(
        name=listed["name"],
        of_class=json.dumps(profile, sort_keys=True),
        machines=max(together, default=1),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.roll",
        description="Waves of machines; further options are pyinfra's, such as --dry or --sudo.",
        allow_abbrev=False,
    )
    parser.add_argument("inventory", help="such as inventories/h800.py")
    parser.add_argument("deploy", help="such as deploys/full.py")
    parser.add_argument("--waves", default="1,10%,100%", help="machines done after each wave")
    parser.add_argument("--after", metavar="HOST", help="the last one that is done already")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
