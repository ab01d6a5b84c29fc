"""Write an image to disks, read it back, and report it; several disks at a time.

python -m deploys.flash h800.raw.zst MR-0001=/dev/sdb MR-0002=/dev/sdc
    --signers signers --key line --reports reports

Before a byte is written the image's signature and content are checked, and each disk: it is not in
use, not this computer's own, and large enough. A disk whose writing was interrupted has no
partitions, so that nothing boots from it; run the same command again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploys.control.line import flash, image
from deploys.control.line.reports import Reports
from deploys.planning.inputs.refusal import Refusal


def main() -> int:
    """Run the command line, and return its exit code."""
    options = _parser().parse_args()
    try:
        return _flash(options)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1


def _flash(options: argparse.Namespace) -> int:
    if len({serial for serial, _ in options.disks}) < len(options.disks):
        raise Refusal("A serial number is named twice", "Name each unit once")
    reports = Reports(options.reports, options.key)
    reports.check()
    checked = image.checked(options.image, options.signers)
    targets, against = flash.targets((*each, checked, None) for each in options.disks)
    for _, refusal in against:
        print(f"refused: {refusal}", file=sys.stderr)
    if against:
        return 1
    for target in targets:
        print(f"{target.serial}: {target.disk}")
    if not options.yes and not flash.is_agreed():
        raise Refusal("Nobody has agreed, so nothing is written", "Say yes, or add --yes")
    failed = 0
    for target, problem in flash.flash(targets, reports, print):
        failed += problem is not None
        print(f"{target.serial}: {problem or 'written, read back and the same'}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.flash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", type=Path, help="NAME.raw.zst; the rest of it lies beside it")
    parser.add_argument("disks", type=_pair, nargs="+", metavar="SERIAL=DISK")
    parser.add_argument("--signers", type=Path, required=True, help="names and public keys")
    parser.add_argument("--key", type=Path, required=True, help="signs the reports")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of reports")
    parser.add_argument("--yes", action="store_true", help="overwrite without asking")
    return parser


def _pair(text: str) -> tuple[str, Path]:
    serial, _, disk = text.partition("=")
    if not serial or not disk.startswith("/") or "/" in serial:
        raise argparse.ArgumentTypeError(f"{text!r} is not SERIAL=DISK, as in MR-0001=/dev/sdb")
    return serial, Path(disk)


if __name__ == "__main__":
    raise SystemExit(main())
