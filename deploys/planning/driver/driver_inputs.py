"""The inputs of a driver decision, and what can be derived from them."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.driver import packages as names
from deploys.planning.driver import state
from deploys.planning.driver.kernels import Break, breaks
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import RHEL_LIKE
from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class DriverInputs(Inputs):
    """What decisions about a driver read: all inputs of a machine that has GPUs."""

    gpu: Accelerator

    @property
    def switched(self) -> bool:
        """Whether NVSwitch connects the cards, which requires a fabric manager."""
        return state.has_nvswitch(self.machine, self.profile, self.gpu)

    @property
    def canonical(self) -> bool:
        """Whether the driver is, or has to be, Canonical's own build."""
        installed = any(
            name.endswith(("-server", "-server-open")) and "nvidia" in name
            for name in self.machine.driver.packages
        )
        return self.machine.os == "ubuntu" and (bool(self.machine.secure_boot) or installed)

    @property
    def built_here(self) -> bool:
        """Whether the module comes from packages of this machine, and so must be on its disk."""
        return any(
            "dkms" in name or name.startswith(("kmod-nvidia", "linux-modules-nvidia"))
            for name in self.machine.driver.packages
            if "nvidia" in name
        )

    @property
    def without_module(self) -> tuple[str, ...]:
        """Kernels that may be booted next and have no module of the driver."""
        return tuple(
            kernel.release
            for kernel in state.bootable_kernels(self.machine)
            if kernel.module is None
        )

    def broken_by(self, version: str) -> Break | None:
        """Return what keeps a version from compiling for a kernel that has no module yet."""
        found = (breaks(self.stack.vendor or "", version, kernel) for kernel in self.without_module)
        return next((each for each in found if each), None)

    @property
    def interrupted(self) -> bool:
        """Whether our packages are installed but not held: one of our runs was interrupted."""
        driver = self.machine.driver
        return not driver.held and any(
            name.startswith("nvidia-driver-pinning-") for name in driver.packages
        )

    def key(self, lock: str) -> ArtifactLock:
        """Return the artifact with a repository's signing key; raise Refusal if not pinned."""
        found = self.locks.artifacts.get(lock)
        if found is None or found.sha256 is None:
            raise Refusal(
                f"{lock}, which signs the driver's packages, is not pinned in artifacts.yaml of"
                f" {self.site.locks}",
                "Pin it there as deploys/locks/artifacts.yaml pins others like it, with the sha256"
                " of a file that you trust",
            )
        # Asked for now, so that a site without a way to it is refused now and not half way.
        self.site.url(found.origin, found.path)
        return found

    def usable(self, version: str | None, flavour: str | None = None) -> bool:
        """Return whether a driver version and flavour suits these cards and this profile."""
        return state.usable(version, flavour, self.gpu, self.stack, self.profile.driver)

    def loaded_is_right(self) -> bool:
        """Return whether the loaded driver is usable and its other parts have the same version."""
        now, disk = self.machine.driver, state.on_disk(self.machine)
        # In a container, or with a driver that came otherwise, the module is not on this disk.
        whole = now.loaded == disk or (disk is None and not self.built_here)
        return self.usable(now.loaded, now.flavour) and now.loaded == now.userspace and whole

    def plan(self, **fields: object) -> DriverPlan:
        """Return a plan with the fields that are the same for every action; `fields` are added."""
        system = names.system_of(self.machine)
        return DriverPlan(
            **{
                "vendor": "nvidia",
                "action": "install",
                "flavour": self.machine.driver.flavour or self.stack.flavour,
                "system": system.directory if system else "",
                "package_manager": "dnf" if self.machine.os in RHEL_LIKE else "apt",
                "fabric_manager": self.switched,
                "kernels": tuple(kernel.release for kernel in state.bootable_kernels(self.machine)),
                **fields,
            }  # type: ignore[arg-type]
        )
