"""Change many machines in waves: one first, then ever more, and stop at the first that fails.

python -m deploys.roll inventories/h800.py deploys/full.py                  1, then 10 %, then all
python -m deploys.roll inventories/h800.py deploys/full.py --waves 2,50%    2, then half, then all
python -m deploys.roll inventories/h800.py deploys/full.py --after gpu-07   what comes after gpu-07
python -m deploys.roll inventories/h800.py deploys/full.py -- --dry         with options of pyinfra

Each wave is a run of pyinfra of its own, with --limit for its machines. Those that serve a model
together are in one wave. Gateways that have other copies to ask do not ask its machines meanwhile.
"""

from __future__ import annotations

import argparse
import sys

from deploys.control.clients import rolling
from deploys.planning.inputs.refusal import Refusal


def main() -> int:
    """Run the waves, and return the exit code of the last one that ran."""
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    options, more = _parser().parse_args(words[:at]), words[at + 1 :]
    try:
        waves = rolling.planned(options.inventory, options.waves, options.after, more)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    last = options.after
    for number, wave in enumerate(waves, 1):
        print(f"Wave {number} of {len(waves)}: {', '.join(wave.machines)}", flush=True)
        left = [name for later in waves[number:] for name in later.machines]
        if code := rolling.drain(options.inventory, wave, more):
            said, left = f"{', '.join(wave.gateways)} could not be told", wave.machines + left
        elif code := rolling.run(options.inventory, options.deploy, wave, more):
            said = f"Wave {number} failed"
        elif code := rolling.put_back(options.inventory, wave, more):
            said = f"Wave {number} is done, and {', '.join(wave.gateways)} could not be told"
        if code:
            untouched = f"{len(left)} machines were not touched: {', '.join(left)}"
            print(
                f"{said}, see above. {untouched if left else 'It was the last one'}.",
                file=sys.stderr,
            )
            words = [options.inventory, options.deploy, "--waves", options.waves]
            words += ["--after", last] if last else []
            print(rolling.next_step(words, wave, more), file=sys.stderr)
            return code
        last = wave.machines[-1]
    print(f"All {sum(len(wave.machines) for wave in waves)} machines are done")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.roll",
        description="Waves of machines. Options of pyinfra, such as --sudo, come behind --.",
    )
    parser.add_argument("inventory", help="such as inventories/h800.py")
    parser.add_argument("deploy", help="such as deploys/full.py")
    parser.add_argument("--waves", default="1,10%,100%", help="machines done after each wave")
    parser.add_argument("--after", metavar="HOST", help="the last one that is done already")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
