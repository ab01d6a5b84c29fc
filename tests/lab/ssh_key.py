"""Keys of OpenSSH: of machines and who logs in there, of vendors and lines and who they know."""

from __future__ import annotations

from pathlib import Path

from tests.lab.process import run


def make(path: Path, comment: str = "") -> Path:
    """Make a key without a passphrase at `path`, its public half beside it."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    return path


def signer(folder: Path, name: str) -> Path:
    """Make a key, and FOLDER/signers in which it is the only one."""
    key = make(folder / name, name)
    (folder / "signers").write_text(f"{name} {key.with_suffix('.pub').read_text()}")
    return key
