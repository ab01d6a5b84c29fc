"""Sign what deploys/bundle.py has put together, and check a copy of it; no machine is changed.

python -m deploys.seal sign /srv/bundle --key ~/.ssh/vendor
python -m deploys.seal check /mnt/usb/bundle --signers signers
python -m deploys.seal split /srv/bundle disks --size 900 --since older/MANIFEST

MANIFEST is in the form of sha256sum and MANIFEST.sig one of ssh-keygen, so that a copy is also
checked without us: sha256sum -c MANIFEST; ssh-keygen -Y verify. `signers` has a name and a public
key on each line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploys.control.bundle import disks, seal
from deploys.planning.inputs.refusal import Refusal


def main() -> int:
    """Run the command line, and return its exit code."""
    options = _parser().parse_args()
    try:
        if options.verb == "sign":
            print(f"{seal.seal(options.bundle, options.key)} files are sealed")
            return 0
        if options.verb == "split":
            size = int(options.size * 1e9) if options.size else None
            for folder in disks.split(options.bundle, options.output, options.since, size):
                print(folder)
            return 0
        refusals = list(seal.check(options.bundle, options.signers))
    except Refusal as problem:
        refusals = [problem]
    for refusal in refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    if not refusals:
        print(f"{options.bundle} is whole, and signed by one of {options.signers}")
    return 1 if refusals else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.seal",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    sign = verbs.add_parser("sign", help="write the manifest, and its signature")
    sign.add_argument("bundle", type=Path)
    sign.add_argument("--key", type=Path, required=True, help="private key of OpenSSH")
    check = verbs.add_parser("check", help="say by name what differs from what was signed")
    check.add_argument("bundle", type=Path)
    check.add_argument("--signers", type=Path, required=True, help="names and public keys")
    split = verbs.add_parser("split", help="put it on several disks, or what is new on one")
    split.add_argument("bundle", type=Path)
    split.add_argument("output", type=Path, help="an empty folder: disk-1, disk-2 ... are in it")
    split.add_argument("--size", type=float, help="of a disk, in GB")
    split.add_argument("--since", type=Path, help="manifest of the bundle that is there already")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
