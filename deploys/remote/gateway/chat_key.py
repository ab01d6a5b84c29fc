"""Make the chat page's own key, once: its file for root, and its SHA-256 for the gateway.

    python3 chat_key.py KEY_FILE MAP USER GROUP

The key is on no command line and is not printed.
"""

from __future__ import annotations

import grp
import hashlib
import re
import secrets
import sys
from pathlib import Path

from ..lib import durable

_LINE = re.compile(r"OPENAI_API_KEY=(\S+)\n")


def main() -> int:
    key_file, map_file = map(Path, sys.argv[1:3])
    user, group = sys.argv[3:5]
    there = _LINE.fullmatch(key_file.read_text()) if key_file.exists() else None
    key = there.group(1) if there else f"mr-{secrets.token_urlsafe(32)}"
    if not there:
        durable.replace(key_file, f"OPENAI_API_KEY={key}\n".encode(), mode=0o600)
    digest = hashlib.sha256(key.encode()).hexdigest()
    of_group = grp.getgrnam(group).gr_gid
    durable.replace(map_file, f"{digest} {user}\n".encode(), mode=0o640, group=of_group)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
