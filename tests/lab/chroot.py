"""The tree of a stopped machine as an image's, which programs change without booting it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

# With processes of its own, the tree does not see those of this computer.
_APART = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
# Of a private mount namespace, so that all of it is gone with the program. A tree is entered with
# the kernel's file systems and a few devices; nothing in it may start a service.
_ENTERED = """
set -eu
cd {tree}
mount --bind . .
cd {tree}
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm
mount -t tmpfs shm dev/shm
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
touch usr/sbin/policy-rc.d
printf '#!/bin/sh\\nexit 101\\n' > run/policy-rc.d
chmod 755 run/policy-rc.d
mount --bind run/policy-rc.d usr/sbin/policy-rc.d
cd {folder}
exec {command}
"""


def run_beside(tree: Path, command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a program of this computer that changes a prepared tree; return its code and output.

    + folder: where it runs
    """
    script = _ENTERED.format(
        tree=shlex.quote(str(tree)), folder=shlex.quote(str(folder)), command=shlex.join(command)
    )
    done = subprocess.run(
        [*_APART, "sh", "-c", script],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYINFRA_PROGRESS": "off", "PYTHONUNBUFFERED": "1"},
        check=False,
    )
    (tree / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    return done.returncode, done.stdout + done.stderr


def inventory(beside: Path, tree: Path) -> Path:
    """Write an inventory of one tree, with the group data of another one, and return its path."""
    written = beside.with_name("tree.py")
    written.write_text(f"hosts = ['@chroot/{tree}']\n")
    data = beside.parent / "group_data"
    (data / "tree.py").write_text((data / beside.name).read_text())
    return written
