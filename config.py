"""pyinfra reads this file first. It refuses an inventory that is not there: pyinfra itself takes
the mistyped name for a list of hosts, deploys to none of them, and reports success.
"""

from pathlib import Path

import click
from pyinfra.api.exceptions import PyinfraError

_arguments = click.get_current_context().params
_inventory = Path(_arguments.get("chdir") or ".", str(_arguments.get("inventory")))

if _inventory.suffix == ".py" and not _inventory.exists():
    _classes = sorted(path.stem for path in (Path(__file__).parent / "inventories").glob("*.py"))
    raise PyinfraError(f"no inventory {_inventory}. There are: {', '.join(_classes)}")
