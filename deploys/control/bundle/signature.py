"""Signatures of OpenSSH beside a file, which ssh-keygen makes and checks without us."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deploys.planning.inputs.refusal import Refusal

# What the key may be used for; a signature of something else does not count.
NAMESPACE = "modelrack-bundle"


def sign(file: Path, key: Path) -> Path:
    """Sign a file, and return where its signature lies.

    + key: private key of OpenSSH; one with a passphrase is asked for by ssh-keygen
    """
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink(missing_ok=True)
    signing = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)]
    done = subprocess.run(signing, capture_output=True, text=True)
    if done.returncode:
        raise Refusal(
            f"{file} cannot be signed with {key}: {done.stderr.strip()}",
            "Make a key with: ssh-keygen -t ed25519 -f KEY, and name it with --key KEY",
        )
    return signature


def foreign(file: Path, signature: Path, signers: Path) -> str:
    """Return why a signature does not count, or "" if it does.

    + signers: allowed signers as ssh-keygen(1) has them: a name and a public key on each line
    """
    found = subprocess.run(
        ["ssh-keygen", "-Y", "find-principals", "-s", str(signature), "-f", str(signers)],
        capture_output=True,
        text=True,
    )
    name = found.stdout.partition("\n")[0]
    if found.returncode or not name:
        return "its key is none of theirs"
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", name, "-n", NAMESPACE]
    with file.open("rb") as content:
        done = subprocess.run(
            [*verify, "-s", str(signature)], stdin=content, capture_output=True, text=True
        )
    return "" if done.returncode == 0 else "it was changed since"
