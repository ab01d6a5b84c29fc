"""The hosts that serve a model together, and what proves that they belong to each other."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from filelock import FileLock
from pyinfra import host, state
from pyinfra.api import Host

from deploys.connection import transport
from deploys.control.neighbours import MachineOf
from deploys.control.replaced import replace
from deploys.planning.group.choice import grouped
from deploys.planning.group.members import NOBODY, HostOfClass, HostsOfClass
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan, ServicePlan

# Bytes of a site's secret.
_LONG = 32


def members(this: Host, profile: HostProfile, site: Site, machine_of: MachineOf) -> HostsOfClass:
    """Return the hosts of a host's class, in the inventory's order, if some serve a model together.

    + machine_of: reads the facts of a host in this run
    """
    shared = grouped(profile)
    if shared is None:
        return NOBODY
    hosts = of_class(this, profile)
    own = hosts.index(this) // shared.machines if this in hosts else 0
    return HostsOfClass(
        me=this.name,
        hosts=tuple(
            # Machines of other groups are asked nothing: nobody looks at them here.
            _member(
                each,
                profile_of(each, this, profile),
                site,
                machine_of if at // shared.machines == own else None,
            )
            for at, each in enumerate(hosts)
        ),
        # pyinfra tells a deploy nothing of it.
        serial="--serial" in sys.argv[1:],
    )


def of_class(this: Host, profile: HostProfile) -> list[Host]:
    """Return the hosts with the profile of one of them, in the order of the inventory.

    It is that of a group, which is theirs, too, or one that is the same.
    """
    groups = _with_profile(this)
    found = []
    for other in state.inventory:
        theirs = other.data.get("profile")
        if isinstance(theirs, HostProfile) and (groups & _with_profile(other) or theirs == profile):
            found.append(other)
    return found


def profile_of(other: Host, this: Host, profile: HostProfile) -> HostProfile:
    """Return the profile that another host is planned with while this one is with that.

    Where both have the same, what is tried on one of them is on both.
    """
    theirs: HostProfile = other.data.get("profile")
    return profile if theirs == this.data.get("profile") else theirs


def site_of(other: Host, site: Site) -> Site:
    """Return the site of another host, which is that of this one where it has none."""
    theirs = other.data.get("site")
    return theirs if isinstance(theirs, Site) else site


def also_refused(
    service: str, name: str, against: Sequence[Refusal], known: Collection[str]
) -> tuple[Refusal, ...]:
    """Return why a machine is refused for another of its group: a model is served by all or none.

    + name: of the other; against: why its plan is refused
    + known: what speaks against this machine's own
    """
    return tuple(
        Refusal(
            f"{name} serves {service} together with this machine, and is refused: {each.reason}",
            each.hint,
            service,
        )
        for each in against
        if each.reason not in known
    )


def secret(plan: HostPlan, service: ServicePlan) -> str:
    """Return what proves a machine to be of a service's group; "" on a machine that is none.

    It is made of a secret of the site. Raise Refusal if that cannot be had.
    """
    if service.group is None or transport.is_simulated(state.inventory.get_host(host.name)):
        return ""
    addresses = [node.address for node in service.group.nodes]
    return f"{derived(plan.site.secrets, service.name, addresses)}\n"


def derived(secrets_of_site: Path, service: str, addresses: Sequence[str]) -> str:
    """Return the secret of one group; the site's, of which it is made, is made where there is none.

    + secrets_of_site: folder of the operator's computer, as the site names it
    + addresses: of the machines of the group, in the order of their ranks
    """
    folder = secrets_of_site.expanduser()
    path = folder / "groups.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / ".lock"):
            if not path.exists():
                replace(path, secrets.token_hex(_LONG) + "\n", mode=0o600)
            key = _read(path)
    except OSError as error:
        raise Refusal(
            f"The secret by which machines that serve a model together know each other is not to be"
            f" had: {error}",
            "Put it there again from its copy, or set secrets of the site to another folder",
        ) from error
    said = "\n".join((service, *addresses))
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise OSError(f"{path} does not hold {_LONG} bytes in hex") from error
    if len(key) != _LONG:
        raise OSError(f"{path} does not hold {_LONG} bytes in hex")
    return key


def _member(
    of: Host, profile: HostProfile, site: Site, machine_of: MachineOf | None
) -> HostOfClass:
    given = of.data.get("fabric_address")
    asked = state.limit_hosts is None or of in state.limit_hosts
    known = of in state.activated_hosts
    return HostOfClass(
        name=of.name,
        profile=profile,
        machine=machine_of(of, site_of(of, site)) if machine_of and known else None,
        asked=asked,
        address=None if given is None else str(given),
    )


def _with_profile(of: Host) -> set[str]:
    """Return the groups of a host that have a profile."""
    data = of.inventory.group_data
    return {group for group in of.groups if "profile" in data.get(group, {})}
