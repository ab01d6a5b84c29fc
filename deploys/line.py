"""Make the units of a batch: write their disks, test them, seal them again, report each.

python -m deploys.line batch.toml          do what can be done now, and print where each unit is
python -m deploys.line batch.toml --show   print that alone

The table has a [unit.SERIAL] for each unit (docs/line.md). What is reported as done is not done
again, so run it whenever a disk was plugged in or a unit switched on, and after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploys.control.line import batches, flash
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.line.batch import batch


def main() -> int:
    """Run the command line, and return its exit code."""
    options = _parser().parse_args()
    try:
        table = batch(_text(options.table), options.table.absolute())
        line = batches.Line(table, print)
        if not options.show:
            if not options.yes and line.to_write:
                print(*line.to_write, sep="\n")
                if not flash.is_agreed():
                    raise Refusal("Nobody has agreed, so nothing is done", "Say yes, or add --yes")
            line.go_on()
        for row in line.table():
            print(row)
        return 0 if line.is_done else 1
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} cannot be read: {error}", "Name the table of a batch") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.line",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, help="the batch, a file of TOML")
    parser.add_argument("--show", action="store_true", help="change nothing")
    parser.add_argument("--yes", action="store_true", help="overwrite disks without asking")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
