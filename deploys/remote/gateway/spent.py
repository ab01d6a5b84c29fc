"""Write what users have spent today, from the usage log, to where the gateway counts on.

Runs before the gateway starts. Its file has a line for each user, and each of the gateway's
processes adds lines (templates/gateway/usage.lua.j2).
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path


def write(journal: str, folder: Path) -> None:
    """Write the sums of today into a folder of the gateway's user.

    + journal: the namespace of the log
    """
    now = datetime.now(timezone.utc)
    sums = add(_log(journal, now))
    path = folder / f"tokens-{now:%Y%m%d}"
    owner = pwd.getpwnam(folder.owner())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
        file.writelines(f"{user} {tokens}\n" for user, tokens in sorted(sums.items()))


def add(lines: Iterable[str]) -> dict[str, int]:
    """Return the tokens of each user; what is no line of the usage log is passed over."""
    sums: dict[str, int] = {}
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            entry = json.loads(line)
            tokens = int(entry["tokens_in"]) + int(entry["tokens_out"])
            user = str(entry["user"])
        except (ValueError, KeyError, TypeError):
            continue
        if tokens:
            sums[user] = sums.get(user, 0) + tokens
    return sums


def _log(journal: str, now: datetime) -> Iterable[str]:
    since = f"{now:%Y-%m-%d} 00:00:00 UTC"
    command = ["journalctl", f"--namespace={journal}", "--since", since]
    with subprocess.Popen(
        [*command, "--output=cat", "--quiet", "--no-pager"], stdout=subprocess.PIPE, text=True
    ) as reading:
        assert reading.stdout
        yield from reading.stdout
