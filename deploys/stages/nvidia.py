"""Install, load, hold and verify the planned NVIDIA driver."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import artifact, driver, files, packages, repository, venv
from deploys.operations.files import File, Link
from deploys.planning.driver.plan import DriverPlan, Repository
from deploys.planning.engines.software import Environment
from deploys.planning.plan import HostPlan
from deploys.rendering import render

# How the names of what gives way begin, to another version or kind of it: all of a driver, or of
# it what NVSwitch takes.
_DRIVER = ("nvidia-", "libnvidia-", "libnvsdm", "kmod-nvidia-", "linux-modules-nvidia-")
_FABRIC = ("nvidia-fabricmanager", "libnvidia-nscq", "nvidia-imex", "libnvsdm")


@deploy("NVIDIA")
def install() -> None:
    """Install the driver of the software stack; a suitable driver is left alone."""
    plan = current_plan(services=False)
    wanted = plan.driver
    if wanted is not None and wanted.vendor == "nvidia":
        if wanted.repository is not None:
            _add_repositories(plan, wanted, wanted.repository)
        if wanted.action != "none":
            _install_driver(plan, wanted)
        packages.installed(
            name="Install the CUDA libraries",
            packages=wanted.group("CUDA libraries"),
            manager=plan.package_manager,
            job="install-cuda-libraries",
            systemd=plan.systemd,
        )
        packages.installed(
            name="Install the CUDA compiler",
            packages=wanted.group("CUDA compiler"),
            manager=plan.package_manager,
            job="install-cuda-compiler",
            systemd=plan.systemd,
        )
        _install_monitor(plan)


def _add_repositories(plan: HostPlan, wanted: DriverPlan, source: Repository) -> None:
    """Add NVIDIA's repository, restricted to packages signed with its key."""
    packages.installed(
        name="Install repository prerequisites",
        packages=wanted.group("prerequisites"),
        manager=plan.package_manager,
    )
    if source.keyring is not None:
        package = f"/var/lib/modelrack/{source.keyring.path.replace('/', '-')}"
        artifact.fetched(
            name="Download NVIDIA's signing key",
            artifact=source.keyring,
            path=package,
            site=plan.site,
        )
        repository.key_present(
            name="Install the signing key of NVIDIA's repository",
            package=package,
            key=source.key,
            keyring=render.keyring(source),
        )
    repository.prerequisites(
        name="Enable the repositories that NVIDIA's packages need",
        needs=source.needs,
        module=source.module,
        manager=plan.package_manager,
    )
    repository.present(
        name="Add NVIDIA's repository",
        entries=[*map(File.of, render.repository(plan, source))],
        url=source.url,
    )


def _install_driver(plan: HostPlan, wanted: DriverPlan) -> None:
    """Install the driver; load it last, so that an interrupted run is resumed by the next one."""
    packages.configured(
        name="Configure kernels that the old driver does not compile for",
        packages=wanted.unfinished,
    )
    packages.installed(
        name="Install the kernel headers",
        packages=wanted.group("headers"),
        manager=plan.package_manager,
        hint="Without the headers no driver can be compiled. Add the archive of this kernel to the"
        " system, or boot a kernel that the archive has headers for, then run this again.",
    )
    packages.installed(
        name="Pin the driver's version",
        packages=wanted.group("pinning"),
        manager=plan.package_manager,
        exchange=_DRIVER,
    )
    packages.installed(
        name="Install the driver",
        packages=wanted.group("driver"),
        manager=plan.package_manager,
        job="install-driver",
        systemd=plan.systemd,
        exchange=_DRIVER,
    )
    packages.installed(
        name="Install the fabric manager",
        packages=wanted.group("fabric manager"),
        manager=plan.package_manager,
        exchange=_FABRIC,
    )
    packages.installed(
        name="Install DCGM",
        packages=wanted.group("monitoring"),
        manager=plan.package_manager,
    )
    driver.built(
        name="Build the driver module for every kernel",
        driver=wanted,
        data_root=plan.site.data_root,
    )
    if wanted.blacklist:
        driver.blacklisted(
            name="Blacklist conflicting kernel modules",
            blacklist=File.of(render.blacklist(wanted)),
            data_root=plan.site.data_root,
            manager=wanted.package_manager,
        )
    files.put(
        name="Load the driver at boot and exclude it from upgrades",
        entries=[*map(File.of, render.driver(wanted))],
    )
    driver.enabled(name="Enable the driver's services", units=wanted.services, systemd=plan.systemd)
    # What is held was brought to its end: by this the next plan tells a run that was stopped.
    packages.held(
        name="Hold the driver's packages", packages=wanted.holds, manager=plan.package_manager
    )
    # In the tree of an image there is no card; the first boot loads it.
    if plan.systemd:
        driver.rebooted(
            name="Reboot to load the driver",
            driver=wanted,
            busy=plan.profile.allow_busy_gpus,
            data_root=plan.site.data_root,
        )
        driver.loaded(
            name="Load the driver and start its services",
            driver=wanted,
            data_root=plan.site.data_root,
        )
        driver.verified(
            name="Verify the driver on every GPU",
            driver=wanted,
            gpus=plan.cards,
            data_root=plan.site.data_root,
        )


def _install_monitor(plan: HostPlan) -> None:
    """Install nvitop, which shows the GPUs and their processes, as `/opt/modelrack/bin/nvitop`."""
    monitor = plan.software_of("nvitop")
    assert isinstance(monitor, Environment)
    venv.installed(name="Install nvitop", environment=monitor, site=plan.site, systemd=plan.systemd)
    files.put(
        name="Link nvitop into /opt/modelrack/bin",
        entries=[Link(path="/opt/modelrack/bin/nvitop", target=f"{monitor.directory}/bin/nvitop")],
    )
