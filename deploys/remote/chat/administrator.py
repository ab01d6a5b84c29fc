"""Make the password of the chat page's first administrator; it leaves its machine on no way.

    python3 administrator.py PATH

Writes PATH, for root alone, unless it is there. The page reads it when it has no accounts yet.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from ..lib import durable


def main() -> int:
    path = Path(sys.argv[1])
    try:
        if not path.exists():
            durable.replace(path, _password().encode(), mode=0o600)
    except OSError as error:
        print(f"the first administrator's password cannot be made: {error}", file=sys.stderr)
        return 1
    return 0


def _password() -> str:
    return (
        "# Made on this machine by modelrack, for the first sign-in; change it on the page then.\n"
        f"WEBUI_ADMIN_PASSWORD={secrets.token_urlsafe(15)}\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
