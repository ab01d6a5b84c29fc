"""Make the key of the machine's account at an ACME authority, once, and what proves it.

    python3 acme_account.py KEY_FILE MAP GROUP

An authority that asks whether a name is this machine's reads a token of its own, and behind it the
thumbprint of this key (RFC 8555, 8.1): so the gateway answers by the map alone. Uses openssl.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from ..lib import durable
from .certificate import openssl

# What openssl gives every key.
_EXPONENT = 65537


def main() -> int:
    key_file, map_file = map(Path, sys.argv[1:3])
    try:
        if not key_file.exists():
            key = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
            durable.replace(key_file, key.encode(), mode=0o600)
        printed = openssl("rsa", "-in", str(key_file), "-noout", "-modulus")
    except subprocess.CalledProcessError as error:
        print(f"{key_file}: openssl: {error.stderr.strip()}", file=sys.stderr)
        return 1
    line = f"thumbprint {thumbprint(bytes.fromhex(printed.strip().partition('=')[2]))}\n"
    of_group = grp.getgrnam(sys.argv[3]).gr_gid
    durable.replace(map_file, line.encode(), mode=0o640, group=of_group)
    return 0


def thumbprint(modulus: bytes) -> str:
    """Return the SHA-256 of a public RSA key, as RFC 7638 writes it."""
    exponent = _EXPONENT.to_bytes(3, "big")
    key = {"e": _base64(exponent), "kty": "RSA", "n": _base64(modulus.lstrip(b"\0"))}
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return _base64(hashlib.sha256(text.encode()).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    raise SystemExit(main())
