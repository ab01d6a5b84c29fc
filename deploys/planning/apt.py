"""How a Debian or Ubuntu machine installs packages at this site."""

from __future__ import annotations

from deploys.planning.machine import Machine
from deploys.planning.plan import Apt
from deploys.planning.refusal import Refusal
from deploys.planning.site import Site

# What an archive calls a release; asked for only where a site names a mirror.
_SUITES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}


def apt_of(site: Site, machine: Machine) -> Apt:
    """Its own archives, or the mirrors that the site names for its distribution."""
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
