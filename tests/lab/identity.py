"""What a machine is known by, and whom it lets in: its name and SSH keys."""

from __future__ import annotations

from pathlib import Path

from tests.lab import ssh_key


def write(tree: Path, name: str, address: str, key: Path, known_hosts: Path) -> None:
    """Write a machine's name and SSH keys into its tree, which has a new host key then.

    + key: lets root in, by its public half
    + known_hosts: a file that gets the host key, for who connects to this address
    """
    (tree / "etc/hostname").write_text(f"{name}\n")
    (tree / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    login = tree / "root/.ssh"
    login.mkdir(mode=0o700, exist_ok=True)
    (login / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    for old in (tree / "etc/ssh").glob("ssh_host_*"):
        old.unlink()
    host_key = ssh_key.make(tree / "etc/ssh/ssh_host_ed25519_key", name)
    kind, public = host_key.with_suffix(".pub").read_text().split()[:2]
    with known_hosts.open("a") as known:
        known.write(f"{address} {kind} {public}\n")
