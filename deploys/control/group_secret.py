"""The secret by which machines of a group know each other, from one on the operator's computer.

It is made once, and each group gets one of its own that is derived from it. It is sent to machines
as a file that only root can read, and appears on no command line, in no log and in no record.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as randomness
from pathlib import Path

from filelock import FileLock

from deploys.control.replaced import replace
from deploys.planning.inputs.refusal import Refusal

_NAME = "group-secret"
_BYTES = 32


def of(secrets: Path, service: str) -> str:
    """Return the secret of the group that serves `service`; the site's is made where there is none.

    + secrets: folder of the operator's computer, as the site names it

    A second operator needs a copy of the file, or each of their runs would give another one.
    """
    folder = secrets.expanduser()
    file = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / ".lock"):
            if not file.exists():
                replace(file, f"{randomness.token_hex(_BYTES)}\n".encode(), mode=0o600)
            site = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise Refusal(
            f"The secret of this site's groups is not to be had: {error}",
            f"Put {file} there again from its copy, or remove it: the next run makes another one",
        ) from error
    if len(site) < _BYTES:
        raise Refusal(
            f"{file} does not hold the secret of this site's groups",
            "Put it there again from its copy, or remove it: the next run makes another one",
        )
    return hmac.new(site, f"group {service}".encode(), hashlib.sha256).hexdigest()
