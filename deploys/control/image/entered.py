"""The tree of an image, as programs of this computer change it without booting it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# With processes of its own, the tree does not see those of this computer.
_APART = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
# Of a private mount namespace, so that all of it is gone with the program. A tree is entered with
# the kernel's file systems and a few devices; nothing in it may start a service. Names are looked
# up as on this computer, where the tree leaves that to a service.
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
mkdir -p run/systemd/resolve run/lock
cp /etc/resolv.conf run/systemd/resolve/stub-resolv.conf
touch usr/sbin/policy-rc.d
printf '#!/bin/sh\\nexit 101\\n' > run/policy-rc.d
chmod 755 run/policy-rc.d
mount --bind run/policy-rc.d usr/sbin/policy-rc.d
{binds}
cd {folder}
exec {command}
"""


def run_beside(
    tree: Path,
    command: Sequence[str],
    folder: Path,
    lent: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program of this computer that changes a tree; return its code and output.

    + folder: where it runs
    + lent: files of this computer that the tree sees for as long, by their path in it
    + environment: variables beside those of this process
    """
    lent = lent or {}
    made = [path for path in ("usr/sbin/policy-rc.d", *lent) if not (tree / path).exists()]
    binds = "\n".join(
        f"mkdir -p {shlex.quote(str(Path(path).parent))}; test -e {shlex.quote(path)} ||"
        f" touch {shlex.quote(path)}; mount --bind {shlex.quote(str(file.resolve()))}"
        f" {shlex.quote(path)}"
        for path, file in lent.items()
    )
    script = _ENTERED.format(
        tree=shlex.quote(str(tree)),
        folder=shlex.quote(str(folder)),
        binds=binds,
        command=shlex.join(command),
    )
    done = subprocess.run(
        [*_APART, "sh", "-c", script],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYINFRA_PROGRESS": "off",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        },
        check=False,
    )
    for path in made:
        (tree / path).unlink(missing_ok=True)
    return done.returncode, done.stdout + done.stderr
