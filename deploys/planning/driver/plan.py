"""The driver plan of one machine: all that its stage does, as data, so that it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from deploys.planning.hardware.gpus import Vendor
from deploys.planning.inputs.locks import ArtifactLock

Action = Literal["none", "install", "reboot"]
PackageManagerKind = Literal["apt", "dnf"]
GroupName = Literal[
    "prerequisites",
    "headers",
    "pinning",
    "driver",
    "fabric manager",
    "monitoring",
    "CUDA libraries",
    "CUDA compiler",
]
GROUPS: tuple[GroupName, ...] = get_args(GroupName)


@dataclass(frozen=True, kw_only=True)
class PackageGroup:
    """Packages installed in one transaction, without recommended ones.

    + packages: in the package manager's syntax: NAME, or with a version NAME=VERSION-* (apt, a
      pattern) and NAME-VERSION (dnf)
    """

    name: GroupName
    packages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The vendor's own package repository.

    + name: of the files that define it on the machine
    + url: its URL through this site's mirror; baseurl for dnf
    + suite: what follows the URL in apt's list: "/" for a flat repository, else suite and component
    + keyring: package (apt) that contains the signing key
    + key: path of the key inside that package (apt), or below `url` (dnf); "" if `keyring` is the
      key itself, ASCII-armoured
    + priority: of apt's pin on the repository: 600 prefers it to the distribution, 100 takes only
      what no other repository has
    + release: field of its Release file that the pin selects it by, as in apt's preferences
    + module: module stream to enable (dnf), "nvidia-driver:580-open"
    + needs: parts of the distribution to enable first: repositories (dnf: "crb"), components (apt:
      "contrib")
    """

    name: str
    url: str
    suite: str = "/"
    keyring: ArtifactLock | None = None
    key: str
    priority: int = 600
    release: str = "l=NVIDIA CUDA"
    module: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DriverPlan:
    """What the driver stage does on one machine.

    + action: "none" leaves the driver alone; "reboot" if all is installed but not loaded
    + reason: why anything is done, a clause without a full stop; "" for "none"
    + version: driver version afterwards, as its module reports it; a branch alone ("580") where the
      distribution builds it and has one version of it: compare with `accepts`
    + flavour: of the kernel module: "open" or "proprietary"; "" if the vendor has only one
    + system: NVIDIA's name of the distribution, "ubuntu2204", "debian12", "rhel9"
    + repository: None if the distribution's own packages are used
    + tools: a second repository, if the tools that list the cards have their own (AMD)
    + groups: in this order, each its own transaction; "CUDA …" groups are installed with any action
    + cuda: release of the toolkit that programs are compiled with; None if nothing is compiled
    + unfinished: packages that dpkg could not configure, as the driver that is there does not
      compile for a kernel among them
    + holds: packages that are held afterwards
    + blocklist: patterns that unattended-upgrades skips, in its own syntax
    + blacklist: kernel modules that must not load, now and in the initramfs
    + modules: kernel modules loaded at every boot
    + services: units enabled and running afterwards
    + kernels: releases that must have the module afterwards: the running one and the newest
    + fabric_manager: one must run, at exactly the driver's version
    + device_groups: groups whose members may open the GPUs; () if everybody may
    + reboot: the loaded driver has to be replaced
    + reboot_timeout: seconds within which the machine must be back
    + confirmed: we have run this before, on such hardware or a stand-in for it
    + warnings: sentences without a full stop
    """

    vendor: Vendor
    action: Action
    reason: str = ""
    version: str
    flavour: str = ""
    system: str
    package_manager: PackageManagerKind
    repository: Repository | None = None
    tools: Repository | None = None
    groups: tuple[PackageGroup, ...] = ()
    cuda: str | None = None
    unfinished: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    blocklist: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    fabric_manager: bool = False
    device_groups: tuple[str, ...] = ()
    reboot: bool = False
    reboot_timeout: int = 1800
    confirmed: bool = True
    warnings: tuple[str, ...] = ()

    def accepts(self, version: str | None) -> bool:
        """Return whether a version is the planned one, or belongs to the planned branch."""
        return version is not None and (
            version == self.version or version.startswith(f"{self.version}.")
        )

    def group(self, name: GroupName) -> tuple[str, ...]:
        """Return the packages of a group, or () if this machine needs none of it.

        Raise ValueError if no machine has such a group.
        """
        if name not in GROUPS:
            raise ValueError(
                f"There is no group of driver packages {name!r}: write one of {', '.join(GROUPS)}"
            )
        return next((group.packages for group in self.groups if group.name == name), ())
