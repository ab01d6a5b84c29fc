"""Packages of GPU drivers and toolkits: which are installed, held or half installed.

dpkg keeps all of this in one text file, which is read here instead of starting dpkg three times.
Its format: dpkg(1), FILES and "Information about packages".
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from ..lib.probe import read, run

DPKG = Path("/var/lib/dpkg")
RPM = Path("/var/lib/rpm")
VERSION_LOCKS = Path("/etc/dnf/plugins/versionlock.list")

# Of the driver, the toolkit and what goes with them, under the names of NVIDIA's and AMD's
# repositories and of the distributions.
_OURS = re.compile(
    r".*nvidia.*|(?:cuda|libcuda|libnvsdm|nvlsm|datacenter-gpu-manager|rocm|amdgpu).*"
)
# Those that bring each new kernel of a kind, by its name: linux-image-generic, not
# linux-image-6.8.0-87-generic; Proxmox has one for all, and one a release.
_KERNELS = re.compile(
    r"linux-image-(?!\d|extra-|unsigned-|uc-)[\w.+-]+(?<!-dbg)|proxmox-default-kernel|"
    r"proxmox-kernel-\d+\.\d+"
)
# Begins with a line's end, not its beginning: some 3 MB are searched, this way in half the time.
_FIELD = re.compile(r"\n(Package|Status|Architecture|Version): (.*)")
_SETTLED = {"installed", "config-files", "not-installed"}
_THERE = {"installed", "triggers-pending", "triggers-awaited"}


@dataclass(frozen=True)
class GpuPackages:
    """GPU packages with their versions, the held ones, and of any name what is broken.

    + kernels: those that bring each new kernel of a kind
    """

    packages: dict[str, str]
    held: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()


def installed(folder: Path = DPKG) -> GpuPackages:
    """Return what dpkg has installed."""
    packages: dict[str, str] = {}
    held: set[str] = set()
    broken: set[str] = set()
    kernels: set[str] = set()
    for (name, _), (status, version) in _dpkg(folder).items():
        wanted, error, state = [*status.split(), "", "", ""][:3]
        if state not in _SETTLED or error == "reinstreq":
            broken.add(name)
        if state in _THERE and _KERNELS.fullmatch(name):
            kernels.add(name)
        # Of two architectures dpkg installs the same version, or one of them alone.
        if _OURS.fullmatch(name) and state in _THERE:
            packages[name] = version
            if wanted == "hold":
                held.add(name)
    return GpuPackages(
        dict(sorted(packages.items())), *(tuple(sorted(e)) for e in (held, broken, kernels))
    )


def names(folder: Path = DPKG) -> list[str]:
    """Return the names of all packages that are installed, of dpkg or of rpm."""
    found = {name for (name, _), (status, _) in _dpkg(folder).items() if _is_there(status)}
    if not found:
        text, _ = run("rpm", "--query", "--all", "--queryformat", r"%{NAME}\n")
        found = {*text.split()}
    return sorted(found)


def _is_there(status: str) -> bool:
    return status.split()[-1:] != [] and status.split()[-1] in _THERE


def rpm_installed() -> GpuPackages:
    """Return what rpm has installed; what dnf has locked to its version is held."""
    text, _ = run("rpm", "--query", "--all", "--queryformat", r"%{NAME} %{VERSION}-%{RELEASE}\n")
    return rpm_packages(text, read(VERSION_LOCKS))


def rpm_packages(text: str, locks: str) -> GpuPackages:
    """Return GPU packages with their versions, and the version-locked ones, from texts.

    + text: a name and a version per line
    + locks: dnf's list of version locks
    """
    pairs = (line.split(" ", 1) for line in text.splitlines() if " " in line)
    packages = {name: version for name, version in sorted(pairs) if _OURS.fullmatch(name)}
    # name-epoch:version-release.architecture, or a pattern of that. No name is like a comment (#)
    # or like what keeps a version out (!).
    patterns = [re.sub(r"-\d+:[^-]+-[^-]+$", "", line.strip()) for line in locks.splitlines()]
    held = (
        name
        for name, version in packages.items()
        if any(
            fnmatch.fnmatchcase(full, pattern)
            for pattern in patterns
            for full in (name, f"{name}-{version}")
        )
    )
    return GpuPackages(packages, tuple(held))


def _dpkg(folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Return status and version by package and architecture; updates not merged yet win."""
    texts = [read(folder / "status")]
    texts += [read(update) for update in sorted((folder / "updates").glob("[0-9]*"))]
    found = {}
    for text in texts:
        for entry in text.split("\n\n"):
            fields = dict(_FIELD.findall(f"\n{entry}"))
            if "Package" in fields:
                package = fields["Package"], fields.get("Architecture", "")
                found[package] = fields.get("Status", ""), fields.get("Version", "")
    return found
