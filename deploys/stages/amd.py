"""Install, load, hold and verify AMD's driver."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import artifact, driver, files, packages, repository, users
from deploys.operations.files import File
from deploys.operations.users import User
from deploys.planning.driver.plan import DriverPlan, Repository
from deploys.planning.plan import HostPlan
from deploys.rendering import render

# How the names of what gives way begin, to another version of the driver.
_DRIVER = ("amdgpu-dkms",)


@deploy("AMD")
def install() -> None:
    """Install the driver of the software stack; a suitable driver is left alone."""
    plan = current_plan(services=False)
    wanted = plan.driver
    if wanted is not None and wanted.vendor == "amd":
        if wanted.repository is not None and wanted.tools is not None:
            _add_repositories(plan, wanted.repository, wanted.tools)
        if wanted.action != "none":
            _install_driver(plan, wanted)
        users.present(
            name="Grant the service user access to the GPUs",
            users=(User(name="modelrack", home="/var/lib/modelrack", groups=wanted.device_groups),),
        )


def _add_repositories(plan: HostPlan, source: Repository, tools: Repository) -> None:
    """Add AMD's repositories, each restricted to packages signed with its key."""
    if source.keyring is not None:
        artifact.fetched(
            name="Download AMD's signing key",
            artifact=source.keyring,
            path=render.keyring(source),
            site=plan.site,
        )
    repository.present(
        name="Add AMD's driver repository",
        entries=[*map(File.of, render.repository(plan, source))],
        url=source.url,
    )
    repository.present(
        name="Add AMD's tools repository",
        entries=[*map(File.of, render.repository(plan, tools))],
        url=tools.url,
    )


def _install_driver(plan: HostPlan, wanted: DriverPlan) -> None:
    """Install the driver; load it last, so that an interrupted run is resumed by the next one."""
    packages.installed(
        name="Install the kernel headers and modules",
        packages=wanted.group("headers"),
        manager=plan.package_manager,
        hint="Without them AMD's module can neither be compiled nor loaded. Add the archive of this"
        " kernel to the system, or boot a kernel that the archive has them for, then run this"
        " again.",
    )
    packages.installed(
        name="Install AMD's driver",
        packages=wanted.group("driver"),
        manager=plan.package_manager,
        job="install-driver",
        systemd=plan.systemd,
        exchange=_DRIVER,
    )
    packages.installed(
        name="Install AMD's monitoring tools",
        packages=wanted.group("monitoring"),
        manager=plan.package_manager,
    )
    driver.built(
        name="Build AMD's module for every kernel", driver=wanted, data_root=plan.site.data_root
    )
    files.put(
        name="Load the driver at boot and exclude it from upgrades",
        entries=[*map(File.of, render.driver(wanted))],
    )
    packages.held(name="Hold AMD's driver", packages=wanted.holds, manager=plan.package_manager)
    # In the tree of an image there is no card; the first boot loads it.
    if plan.systemd:
        driver.rebooted(
            name="Reboot to load AMD's driver",
            driver=wanted,
            busy=plan.profile.allow_busy_gpus,
            data_root=plan.site.data_root,
        )
        driver.loaded(name="Load AMD's driver", driver=wanted, data_root=plan.site.data_root)
        driver.verified(
            name="Verify AMD's driver on every GPU",
            driver=wanted,
            gpus=plan.cards,
            data_root=plan.site.data_root,
        )
