"""The GPU driver of one machine: all its stage does, as data, so that the stage decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploys.planning.hardware.gpus import Vendor
from deploys.planning.inputs.locks import ArtifactLock

Action = Literal["none", "install", "reboot"]
PackageManager = Literal["apt", "dnf"]


@dataclass(frozen=True, kw_only=True)
class PackageGroup:
    """Packages that one transaction installs, without recommended ones.

    + name: what they are: "headers", "pinning", "driver", "fabric manager", "monitoring",
      "CUDA libraries", "CUDA compiler"
    + packages: as the package manager is asked for them: NAME, or with a version NAME=VERSION-*
      (apt, a pattern) and NAME-VERSION (dnf)
    """

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The vendor's own package repository.

    + name: of the files that describe it on the machine
    + url: its address as this site reaches it; baseurl for dnf
    + suite: what follows it in apt's list: "/" where it is flat, else suite and component
    + keyring: package (apt) that holds the signing key
    + key: path of the key inside that package (apt), or below `url` (dnf); "" where `keyring` is
      the key itself, in ASCII armour
    + priority: of apt's pin on the repository: 600 prefers it over the distribution, 100
      takes from it only what nobody else has
    + release: what that pin goes by: a field of its Release file, as apt's preferences write it
    + module: module stream to enable (dnf), "nvidia-driver:580-open"
    + needs: of the distribution, to enable before: repositories (dnf: "crb"), components (apt:
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
    """What the driver stage makes of one machine.

    + action: "none" leaves the driver alone; "reboot" where all is installed but not loaded
    + reason: why anything is done, a clause without a full stop; "" for "none"
    + version: driver to have afterwards, as its module calls itself; a branch alone ("580") where
      the distribution builds it and has one version of it: ask `accepts`
    + flavour: of the kernel module: "open" or "proprietary"; "" where the vendor has only one
    + system: NVIDIA's name of the distribution, "ubuntu2204", "debian12", "rhel9"
    + repository: None where the distribution's own packages do
    + tools: a second one, where what shows the cards has one of its own (AMD)
    + groups: in this order, each a transaction of its own; "CUDA …" come with any action
    + cuda: release of the toolkit that programs are compiled with; None where nothing is compiled
    + holds: packages that the package manager must not move by itself afterwards
    + blocklist: patterns that unattended-upgrades leaves alone, in its own syntax
    + blacklist: kernel modules that must not load, now and in the initramfs
    + modules: kernel modules loaded at every boot
    + services: units enabled and running afterwards
    + kernels: releases that must have the module afterwards: the running one and the newest
    + fabric_manager: one runs, at exactly the driver's version
    + device_groups: groups of accounts that may open the GPUs; () where everybody may
    + reboot: the loaded driver has to change
    + reboot_timeout: seconds until the machine must be back
    + confirmed: carried out before, by us, on such hardware or a stand-in for it
    + warnings: sentences without a full stop
    """

    vendor: Vendor
    action: Action
    reason: str = ""
    version: str
    flavour: str = ""
    system: str
    package_manager: PackageManager
    repository: Repository | None = None
    tools: Repository | None = None
    groups: tuple[PackageGroup, ...] = ()
    cuda: str | None = None
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
        """Is that the planned driver version, or one of the planned branch?"""
        return version is not None and (
            version == self.version or version.startswith(f"{self.version}.")
        )

    def group(self, name: str) -> tuple[str, ...]:
        """Packages of the group that is called so; () where there is none."""
        return next((group.packages for group in self.groups if group.name == name), ())
