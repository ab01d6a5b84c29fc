"""How a machine installs packages: apt on Debian and Ubuntu, dnf in the Red Hat family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploys.planning.compatibility import RHEL_LIKE
from deploys.planning.machine import Machine
from deploys.planning.refusal import Refusal
from deploys.planning.site import Site

# What an archive calls a release; asked for only where a site names a mirror.
_SUITES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}


@dataclass(frozen=True, kw_only=True)
class Apt:
    """apt and dpkg.

    + lock_wait: seconds to wait while somebody else holds the package manager
    + mirror, security: archives of this site for this distribution; None leaves apt's own
    + suite: release name in these archives
    """

    lock_wait: int
    mirror: str | None = None
    security: str | None = None
    suite: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dnf:
    """dnf and rpm.

    + kind: tells it from Apt where both are data
    + lock_wait: seconds to wait while somebody else holds the package manager
    """

    kind: Literal["dnf"]
    lock_wait: int


PackageManager = Apt | Dnf


def package_manager_of(site: Site, machine: Machine) -> PackageManager:
    """How this machine installs packages; apt with the mirrors that the site names, if any."""
    if machine.os in RHEL_LIKE:
        return Dnf(kind="dnf", lock_wait=site.apt_lock_wait)
    mirrors = {
        "debian": (site.mirrors.debian, site.mirrors.debian_security),
        "ubuntu": (site.mirrors.ubuntu, site.mirrors.ubuntu),
    }
    mirror, security = mirrors.get(machine.os, (None, None))
    if mirror is None:
        return Apt(lock_wait=site.apt_lock_wait)
    suite = _SUITES.get((machine.os, machine.os_version))
    if suite is None:
        raise Refusal(
            f"The mirror of this site has {machine.os} {machine.os_version} under a name that we do"
            " not know",
            f"Set mirrors.{machine.os} of the site to None, so that apt's own archive is used",
        )
    return Apt(
        lock_wait=site.apt_lock_wait, mirror=mirror, security=security or mirror, suite=suite
    )
