"""pyinfra reads this file first. It refuses what pyinfra itself would take badly:

- an inventory that is not there: a mistyped name would be a list of hosts, of which there are none,
  and the run a success
- a question where nobody can answer: it would end in a traceback
"""

import sys
from pathlib import Path

import click
from pyinfra.api.exceptions import PyinfraError

from deploys.connection import speed
from deploys.connection.password import has_terminal

speed.quicken()
_arguments = click.get_current_context().params
_inventory = Path(_arguments.get("chdir") or ".", str(_arguments.get("inventory")))

if _inventory.suffix == ".py" and not _inventory.exists():
    _classes = sorted(path.stem for path in (Path(__file__).parent / "inventories").glob("*.py"))
    raise PyinfraError(f"no inventory {_inventory}. There are: {', '.join(_classes)}")


def _can_be_read() -> bool:
    """Whether standard input has something to say, now or later."""
    return sys.stdin is not None and (sys.stdin.isatty() or bool(sys.stdin.buffer.peek(1)))


for _option in ("same_sudo_password", "ssh_password_prompt"):
    if _arguments.get(_option) and not has_terminal() and not _can_be_read():
        raise PyinfraError(
            f"--{_option.replace('_', '-')} asks for a password, and there is no terminal to"
            " type it at. Run this at a terminal, or give the password on standard input"
        )

_looks_only = any(_arguments.get(name) for name in ("dry", "json_output", "debug_operations"))
_operations = _arguments.get("operations") or ("",)
_asks = not _arguments.get("yes") and not _looks_only and "." in _operations[0]
if _asks and not _can_be_read():
    raise PyinfraError(
        "Before any change you are asked to press enter, and there is no terminal to press it at."
        " Add -y to go on without, or --dry to see what would change"
    )
