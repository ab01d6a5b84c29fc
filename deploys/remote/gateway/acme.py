"""The gateway's certificate by ACME, in the three steps of its unit.

    modelrack.pyz gateway acme request SETTINGS    a key and a request, if a certificate is due
    modelrack.pyz gateway acme ask SETTINGS        the authority signs it; without privileges
    modelrack.pyz gateway acme accept SETTINGS     the gateway takes it over, and loses no answer
    python3 acme.py < settings.json                prints whether a certificate is due

Settings: {"directory", "email", "host", "certificate", "group", "unit", "request", "record"}, of
which the last five are the gateway's file and group, its unit, the request's file, and the file
that says which certificate has come from where.

The authority asks the gateway whether it knows the account's thumbprint (acme_account.py), and not
this program: so nothing here is reached from outside, and nothing else has to be opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..lib import durable
from ..lib.failure import Failure
from . import certificate

# Longer than any chain; what is larger comes from somebody who is no authority.
_LARGEST = 1 << 20


def main() -> int:
    print(json.dumps(is_due(json.load(sys.stdin))))
    return 0


def run(step: str, settings: dict[str, Any]) -> None:
    """Run one step of the unit; raise Failure if the certificate does not come."""
    try:
        {"request": _request, "ask": _ask, "accept": _accept}[step](settings)
    except subprocess.CalledProcessError as error:
        raise Failure(f"{error.cmd[0]}: {error.stderr.strip()}") from error
    except ValueError as error:
        raise Failure(f"{settings['host']}: {error}") from error


def is_due(settings: dict[str, Any]) -> bool:
    """Return whether there is none of this authority, or less than a third of its time is left."""
    try:
        chain = Path(settings["certificate"]).read_text()
        record = json.loads(Path(settings["record"]).read_text())
        if record != _record(settings, chain):
            return True
        dates = certificate.openssl("x509", "-noout", "-dates", given=chain)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return True
    begin, end = (ssl.cert_time_to_seconds(line.partition("=")[2]) for line in dates.splitlines())
    return time.time() > end - (end - begin) / 3


def _request(settings: dict[str, Any]) -> None:
    request = Path(settings["request"])
    request.unlink(missing_ok=True)
    if not is_due(settings):
        return
    name = f"subjectAltName=DNS:{settings['host']}"
    made = certificate.request(Path(settings["certificate"]), "/", "-addext", name)
    durable.replace(request, made.encode())


def _ask(settings: dict[str, Any]) -> None:
    request = Path(settings["request"])
    if not request.exists():
        return
    key = Path(os.environ["CREDENTIALS_DIRECTORY"], "account.key")
    # It writes there what the gateway answers by itself.
    with tempfile.TemporaryDirectory() as unread:
        command = ["acme-tiny", "--account-key", str(key), "--csr", str(request)]
        command += ["--acme-dir", unread, "--disable-check"]
        command += ["--directory-url", settings["directory"]]
        command += ["--contact", f"mailto:{settings['email']}"] if settings["email"] else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        raise Failure(
            f"{settings['host']} gets no certificate from {settings['directory']}:"
            f" {_reason(done.stderr)}"
        )
    _chain().write_text(f"{done.stdout.strip()}\n")


def _accept(settings: dict[str, Any]) -> None:
    try:
        # Written without privileges: no link is followed, and nothing is waited for.
        handle = os.open(_chain(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as file:
        chain = file.read(_LARGEST).decode()
    certificate.accept(Path(settings["certificate"]), settings["group"], chain)
    reload = ["systemctl", "try-reload-or-restart", settings["unit"]]
    subprocess.run(reload, capture_output=True, text=True, check=True)
    # Last: what has not been taken over is asked for once more.
    record = json.dumps(_record(settings, chain))
    durable.replace(Path(settings["record"]), record.encode())
    Path(settings["request"]).unlink()


def _chain() -> Path:
    """Return the file that carries the chain from one step to the next, in the unit's folder."""
    return Path(os.environ["RUNTIME_DIRECTORY"], "chain.pem")


def _record(settings: dict[str, Any], chain: str) -> dict[str, str]:
    """Return which certificate it is, and of whom."""
    first, end, _ = chain.partition("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(first[max(first.find("-----BEGIN CERTIFICATE"), 0) :] + end)
    return {
        "directory": settings["directory"],
        "host": settings["host"],
        "sha256": hashlib.sha256(der).hexdigest(),
    }


def _reason(said: str) -> str:
    """Return the message of a Python program's exception as one line."""
    found = re.search(r"^(?:\w+\.)*\w*(?:Error|Exception): (.*)", said, re.MULTILINE | re.DOTALL)
    lines = (found.group(1) if found else said).split("\n")
    reason = " ".join(line.strip() for line in lines if not line.startswith("Data:"))
    # Of an authority's whole answer, what it says to people.
    if detail := re.search(r"'detail': (['\"])(.*?)\1[,}]", reason):
        reason = f"{reason.partition('{')[0]}{detail.group(2)}"
    return reason[:600].strip()


if __name__ == "__main__":
    raise SystemExit(main())
