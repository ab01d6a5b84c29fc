"""Make the image that the units of an appliance boot, of one host class, and sign it.

python -m deploys.image inventories/h800.py --golden inventories/units/h800.json --output images \
    --key ~/.ssh/vendor

What deploys/golden.py wrote of one finished unit stands for the hardware. Needs root. Beside the
image are its packages, its bill of materials, its manifest, and the signed sums of all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deploys.control.image import deployed, make
from deploys.control.image.deployed import TreeDeploy
from deploys.planning.image.recipe import recipe
from deploys.planning.inputs.refusal import Refusal


def main() -> int:
    """Run the command line, and return its exit code."""
    options = _parser().parse_args()
    try:
        if os.geteuid() != 0:
            raise Refusal("Only root can make a tree of packages", "Run this again with sudo")
        asked = recipe(
            options.name or options.inventory.stem,
            options.system,
            options.epoch if options.epoch is not None else deployed.committed(),
            packages=tuple(options.package),
            kernel=options.kernel,
            weights=options.weights,
        )
        wanted = TreeDeploy(
            inventory=options.inventory,
            golden=options.golden,
            module_key=options.module_key,
            module_certificate=options.module_certificate,
        )
        for path in make.make(asked, wanted, options.output.resolve(), options.key, _say):
            print(path)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.image",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("inventory", type=Path, help="of the host class; its first host's data hold")
    add("--golden", type=Path, required=True, help="what deploys/golden.py wrote of a unit")
    add("--output", type=Path, required=True, help="folder of the image")
    add("--key", type=Path, required=True, help="private key of OpenSSH that signs it")
    add("--name", help="of the image, and of its units before their serial numbers")
    add("--system", default="debian 12", help='such as "debian 12", which is the default')
    add("--kernel", metavar="PACKAGE", help="where it is not the system's usual one")
    add("--package", action="append", default=[], help="one more of the base tree; repeatable")
    add(
        "--weights",
        choices=("root", "partition", "disk"),
        default="root",
        help="in the root file system, on a partition of their own, or on a second disk",
    )
    add("--epoch", type=int, help="seconds since 1970; default: when this commit was made")
    add("--module-key", type=Path, help="private key that signs kernel modules, in PEM")
    add("--module-certificate", type=Path, help="its certificate, in DER")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
