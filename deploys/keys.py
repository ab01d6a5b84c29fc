"""Who may ask the gateway: make a key, list the keys, take them away.

python -m deploys.keys new alice research     print a new key; the file keeps its SHA-256 alone
python -m deploys.keys list                   who has one, and with which limits
python -m deploys.keys revoke alice           take all keys of a user out of the file

The file may be kept in git. What it says is so on the machines after the next deploys/full.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path

from deploys.control import keys
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.keys import made, sha256
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.refusal import Refusal

_FULL = ".venv/bin/pyinfra INVENTORY deploys/full.py"


def main() -> int:
    """Run the command line, and return its exit code."""
    options = _parser().parse_args()
    try:
        if options.verb == "new":
            return _new(options)
        if options.verb == "revoke":
            return _revoke(options)
        return _list(options)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1


def _new(options: argparse.Namespace) -> int:
    secret = made()
    key = Key(
        user=options.user,
        team=options.team,
        sha256=sha256(secret),
        rate=options.rate,
        at_once=options.at_once,
        tokens_a_day=options.tokens_a_day,
        models=tuple(options.models.split(",")) if options.models else None,
        until=options.until,
    )
    keys.add(options.keys, key)
    print(secret)
    print(
        f"This is the only time that it is shown. {options.keys} has its SHA-256; it is good after"
        f" {_FULL}",
        file=sys.stderr,
    )
    return 0


def _revoke(options: argparse.Namespace) -> int:
    count = keys.remove(options.keys, options.user)
    print(f"{count} of {options.user} taken away; refused after {_FULL}", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    for key in keys.read(options.keys):
        said = {each.name: getattr(key, each.name) for each in fields(key)}
        limits = [
            f"{name} {','.join(value) if name == 'models' else value}"
            for name, value in said.items()
            if name not in ("user", "team", "sha256") and value is not None
        ]
        print("  ".join([f"{key.user:20} {key.team:20} {key.sha256[:12]}", *limits]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploys.keys", description="Keys.")
    file = argparse.ArgumentParser(add_help=False)
    default = {field.name: field.default for field in fields(Gateway)}["keys"]
    file.add_argument("--keys", type=Path, default=default, help=f"the file, {default}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("new", parents=[file], help="make a key and print it")
    new.add_argument("user")
    new.add_argument("team")
    new.add_argument("--rate", type=int, help="requests a minute")
    new.add_argument("--at-once", type=int, help="requests at the same time")
    new.add_argument("--tokens-a-day", type=int, help="of prompts and answers together")
    new.add_argument("--models", help="names of services, with commas in between")
    new.add_argument("--until", type=date.fromisoformat, help="last day, such as 2027-01-31")
    verbs.add_parser("list", parents=[file], help="who has a key, without the keys")
    revoke = verbs.add_parser("revoke", parents=[file], help="take away all keys of a user")
    revoke.add_argument("user")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
