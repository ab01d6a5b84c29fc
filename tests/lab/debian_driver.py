"""Debian's own NVIDIA driver, really installed: 535 in bookworm, 550 in trixie, from non-free.

User space and module source take seconds. Its DKMS compiles for the kernel that runs, of which a
lab machine has no headers, and skips it; `compile_module` compiles for Debian's newest kernel,
which takes minutes. Nothing of it can be loaded here.
"""

from __future__ import annotations

from tests.lab.machine import Machine

# The components that hold it, beside main.
COMPONENTS = "contrib non-free non-free-firmware"
USER_SPACE = ("nvidia-smi", "libnvidia-ml1", "libcuda1")
MODULE = "nvidia-kernel-dkms"
HEADERS = "linux-headers-amd64"


def enable(machine: Machine) -> None:
    """Let apt of the machine see non-free."""
    machine.ssh(f"sed -i 's/ main$/ main {COMPONENTS}/' /etc/apt/sources.list")
    machine.ssh("apt-get -q update")


def install(machine: Machine, *packages: str) -> str:
    """Install packages without recommended ones; returns what apt said."""
    command = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
    return machine.ssh(f"{command} {' '.join(packages)} 2>&1").stdout


def compile_module(machine: Machine) -> str:
    """Compile the installed module source for Debian's kernel; returns that kernel's release."""
    install(machine, HEADERS)
    kernel = machine.ssh("ls /lib/modules | grep -- -amd64$ | sort -V | tail -1").stdout.strip()
    machine.ssh(f"dkms autoinstall -k {kernel}")
    return kernel
