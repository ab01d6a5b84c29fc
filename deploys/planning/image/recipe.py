"""The base tree of an image, by distribution, and how the image is called."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Literal

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.package_manager import SUITES

WeightsPlace = Literal["root", "partition", "disk"]

# What a unit boots, is reached by, and runs our programs with; the rest is a deploy's. Signed boot
# loaders start with Secure Boot and without. systemd-repart is part of systemd where it is not
# named.
_COMMON = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "iproute2", "sudo", "curl"),
    *("openssh-server", "openssl", "python3", "ca-certificates", "initramfs-tools", "zstd"),
    *("e2fsprogs", "shim-signed", "grub-efi-amd64-signed", "libpam-systemd", "systemd-resolved"),
)
_OF_SUITE: dict[str, tuple[str, ...]] = {
    "bookworm": ("linux-image-amd64",),
    "trixie": ("linux-image-amd64", "systemd-repart"),
    "jammy": ("linux-image-generic",),
    "noble": ("linux-image-generic",),
}
# Ubuntu has the resolver in systemd itself until 22.10.
_WITHOUT = {"jammy": {"systemd-resolved"}}
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
# How apt is asked for what mmdebstrap takes of a distribution in any case.
ALWAYS = ("?essential", "?priority(required)", "apt")


@dataclass(frozen=True, kw_only=True)
class ImageRecipe:
    """One image, as it is asked for.

    + name: of its files, and of the units' host names before their serial number
    + distribution, suite: of the base tree, such as debian and bookworm
    + packages: of the base tree beside those that every image has
    + kernel: its package; None for the suite's usual one
    + weights: in the root file system, on a partition of their own, or on a second disk
    + epoch: seconds since 1970 that every file says it was written at
    """

    name: str
    distribution: str
    suite: str
    epoch: int
    packages: tuple[str, ...] = ()
    kernel: str | None = None
    weights: WeightsPlace = "root"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Refusal(
                f"{self.name!r} is no name for an image",
                "Give letters in lower case, digits, dots and hyphens: --name rack-h800",
            )

    @property
    def system(self) -> str:
        """The system whose packages it has, as locks and bundles call it: "debian 12 amd64"."""
        (release,) = (each[1] for each, suite in SUITES.items() if suite == self.suite)
        return f"{self.distribution} {release} amd64"

    @property
    def components(self) -> tuple[str, ...]:
        """The parts of the archive that packages are taken from."""
        return _COMPONENTS[self.distribution]

    @property
    def base_packages(self) -> tuple[str, ...]:
        """What every image is asked to have, with its kernel."""
        more = _OF_SUITE[self.suite][1:]
        common = [each for each in _COMMON if each not in _WITHOUT.get(self.suite, ())]
        return tuple(dict.fromkeys((*common, self.kernel_package, *more)))

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Everything that the tree is asked to have before a deploy."""
        return tuple(dict.fromkeys((*self.base_packages, *self.packages)))

    @property
    def kernel_package(self) -> str:
        """The kernel that units boot."""
        return self.kernel or _OF_SUITE[self.suite][0]

    def identifier(self, of: str) -> uuid.UUID:
        """Return what a part of the image is called by; the same in every build of this name."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"modelrack/{self.name}/{of}")


def recipe(name: str, system: str, epoch: int, **more: object) -> ImageRecipe:
    """Return the recipe for a system such as "debian 12"; raise Refusal for one we do not know."""
    distribution, _, release = system.partition(" ")
    suite = SUITES.get((distribution, release))
    if suite is None:
        known = ", ".join(sorted(" ".join(each) for each in SUITES))
        raise Refusal(f"No image is made of {system}", f"Give --system, one of: {known}")
    return ImageRecipe(name=name, distribution=distribution, suite=suite, epoch=epoch, **more)  # type: ignore[arg-type]


def of_bundle(system: str, told: str, *, driver: bool) -> tuple[str, ...]:
    """Return what a bundle has to have of packages, so that images of a system are made of it.

    + told: "yes", or further packages with commas between them, such as another kernel
    + driver: a module is compiled for their kernel
    """
    named = () if told == "yes" else tuple(each for each in told.split(",") if each)
    kernel = next((each for each in named if each.startswith("linux-image-")), None)
    more = tuple(each for each in named if each != kernel)
    made = recipe("image", system, 0, kernel=kernel, packages=more)
    headers = made.kernel_package.replace("linux-image", "linux-headers")
    return (*ALWAYS, *made.all_packages, *((headers,) if driver else ()))
