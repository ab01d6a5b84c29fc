"""The package manager of a machine: apt on Debian and Ubuntu, dnf in the Red Hat family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deploys.planning.inputs.machine import RHEL_LIKE, Bare, Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import BundleMirrors, Site

# Distributions whose packages we know, and the oldest release of each that has them.
_SYSTEMS = {"debian": 12, "ubuntu": 22, **dict.fromkeys(RHEL_LIKE, 8)}
# What an archive calls a release; asked for only where a site names a mirror.
SUITES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}


@dataclass(frozen=True, kw_only=True)
class Apt:
    """apt and dpkg.

    + lock_wait: seconds to wait while another process holds the package manager's lock
    + mirror, security: this site's mirrors of the distribution; None keeps apt's own sources
    + suite: release name in these mirrors
    + kept: they are a bundle's: as they were once, with the indexes alone that apt needs
    """

    lock_wait: int
    mirror: str | None = None
    security: str | None = None
    suite: str | None = None
    kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Dnf:
    """dnf and rpm.

    + kind: distinguishes it from Apt once both are serialized
    + lock_wait: seconds to wait while another process holds the package manager's lock
    """

    kind: Literal["dnf"]
    lock_wait: int


PackageManager = Apt | Dnf


def check_system(machine: Machine | Bare) -> None:
    """Refuse a distribution, or a release of it, whose packages we do not know."""
    oldest = _SYSTEMS.get(machine.os)
    release = int(re.match(r"\d*", machine.os_version).group() or 0)  # type: ignore[union-attr]
    if oldest is None or release < oldest:
        raise Refusal(
            f"{machine.os} {machine.os_version} is not a system we know",
            "Install Debian 12 or newer, or Ubuntu 22.04 or newer",
        )


def package_manager_of(site: Site, machine: Machine | Bare) -> PackageManager:
    """Return the machine's package manager, with the mirrors that the site names, if any.

    Raise Refusal if the site has a mirror for a release whose suite is not known.
    """
    if machine.os in RHEL_LIKE:
        return Dnf(kind="dnf", lock_wait=site.apt_lock_wait)
    mirrors = {
        "debian": (site.mirrors.debian, site.mirrors.debian_security),
        "ubuntu": (site.mirrors.ubuntu, site.mirrors.ubuntu),
    }
    mirror, security = mirrors.get(machine.os, (None, None))
    if mirror is None:
        return Apt(lock_wait=site.apt_lock_wait)
    suite = SUITES.get((machine.os, machine.os_version))
    if suite is None:
        raise Refusal(
            f"The mirror of this site has {machine.os} {machine.os_version} under a name that we do"
            " not know",
            f"Set mirrors.{machine.os} of the site to None, so that apt's own archive is used",
        )
    return Apt(
        lock_wait=site.apt_lock_wait,
        mirror=mirror,
        security=security or mirror,
        suite=suite,
        kept=isinstance(site.mirrors, BundleMirrors),
    )
