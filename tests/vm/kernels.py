"""A machine whose newest kernel came by an upgrade that one of its modules did not compile for.

It is made on the host, at the host's speed: the kernel that it boots and the new one with their
headers, a module that DKMS compiles for both, and one that it compiles for the first alone. So apt
ends with an error and leaves the new kernel half configured.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.lab import chroot, surroundings, tree
from tests.lab.process import LabError
from tests.vm import disk
from tests.vm.disk import PACKAGES, WITHOUT, Disk

OLD = "6.1.0-47-amd64"
NEW = ("linux-image-amd64", "linux-headers-amd64")
# One that follows to the new kernel, and one that was written before a function got an argument.
FOLLOWS, STAYS = "follows", "stays"
SOURCE = """\
#include <linux/module.h>
#include <linux/version.h>
{more}
MODULE_LICENSE("GPL");
"""
BREAKS = """\
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 180)
#error too few arguments to function pci_resize_resource
#endif
"""
DKMS = """\
PACKAGE_NAME="{name}"
PACKAGE_VERSION="1.0"
BUILT_MODULE_NAME[0]="{name}"
DEST_MODULE_LOCATION[0]="/updates/dkms"
AUTOINSTALL="yes"
"""
INSTALL = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
for name in {FOLLOWS} {STAYS}; do dkms install $name/1.0 -k {OLD}; done
apt-get install -yq --no-install-recommends {" ".join(NEW)} && exit 77
test $(dpkg --audit | grep -c linux-image) -gt 0
"""


def upgraded() -> Disk:
    """Its disk, which boots the old kernel."""
    one = [name for name in PACKAGES if name != NEW[0]]
    packages = [*one, f"linux-image-{OLD}", f"linux-headers-{OLD}", "dkms", "gcc", "make"]

    def fill(root: Path) -> None:
        tree.make("bookworm", root, packages, WITHOUT, lists=True)
        disk.prepare(root)
        surroundings.copy_into(root)
        for name, more in ((FOLLOWS, ""), (STAYS, BREAKS)):
            source = root / f"usr/src/{name}-1.0"
            source.mkdir()
            (source / f"{name}.c").write_text(SOURCE.format(more=more))
            (source / "Makefile").write_text(f"obj-m := {name}.o\n")
            (source / "dkms.conf").write_text(DKMS.format(name=name))
        command = ["chroot", str(root), "sh", "-c", INSTALL]
        code, said = chroot.run_beside(root, command, root)
        if code:
            raise LabError(f"{shlex.join(command)} ended with {code}:\n{said}")

    return disk.kept("bookworm", [*packages, Path(__file__).read_text()], fill)
