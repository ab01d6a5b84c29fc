"""A private key that never leaves the machine, and the certificate that is signed for it elsewhere.

    python3 certificate.py request PATH            prints a request for a certificate
    python3 certificate.py accept PATH GROUP       reads the certificate; PATH has it, with its key

The key is kept beside PATH until its certificate has come. Uses openssl.
"""

from __future__ import annotations

import grp
import subprocess
import sys
from pathlib import Path

from ..lib import durable


def main() -> int:
    verb, path, *group = sys.argv[1:]
    try:
        if verb == "request":
            print(request(Path(path), "/CN=modelrack"), end="")
        else:
            accept(Path(path), group[0], sys.stdin.read())
    except subprocess.CalledProcessError as error:
        print(f"openssl: {error.stderr.strip()}", file=sys.stderr)
        return 1
    except (OSError, KeyError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    return 0


def request(path: Path, subject: str, *options: str) -> str:
    """Make a new key and return the request.

    + subject: for whom, as openssl writes it; the site's CA decides on the names by itself
    + options: more of openssl's
    """
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    durable.replace(_pending(path), key.encode(), mode=0o600)
    return openssl("req", "-new", "-key", str(_pending(path)), "-subj", subject, *options)


def accept(path: Path, group: str, chain: str) -> None:
    """Write the certificate, with those that lead to the root, and its key; it is for that key.

    + group: who may read it
    """
    key = _pending(path).read_text()
    of_key = openssl("pkey", "-pubout", given=key)
    if openssl("x509", "-noout", "-pubkey", given=chain) != of_key:
        raise ValueError("the certificate is not for the key of this machine")
    of_group = grp.getgrnam(group).gr_gid
    durable.replace(path, (chain + key).encode(), mode=0o640, group=of_group)
    _pending(path).unlink()


def _pending(path: Path) -> Path:
    return path.with_name(f".{path.name}.key")


def openssl(*words: str, given: str = "") -> str:
    """Return what openssl prints."""
    return subprocess.run(
        ["openssl", *words], input=given, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    raise SystemExit(main())
