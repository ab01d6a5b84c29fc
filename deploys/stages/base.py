"""Create directories and the service user, set limits, and install uv and our programs."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import uv
from pyinfra.api import deploy

from deploys.connection import programs
from deploys.control.bundle import signers
from deploys.control.current_plan import current_plan, without_python
from deploys.operations import files, packages, python, sysctl, users
from deploys.operations.files import Directory, File, Link
from deploys.operations.lifecycle import before
from deploys.operations.users import User
from deploys.operations.venv import UV
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.package_manager import Apt
from deploys.rendering import render

# In the order they are made. Weights are readable by all and written by root alone.
_FOLDERS = (
    "/etc/modelrack",
    "/etc/modelrack/services",
    "/opt/modelrack",
    "/opt/modelrack/bin",
    "/opt/modelrack/engines",
    "/var/lib/modelrack",
    "/var/lib/modelrack/jobs",
    "/var/lib/modelrack/services",
)


@deploy("Base")
def install() -> None:
    """Install what all later stages depend on; starts no service."""
    first = without_python()
    if first:
        python.at_once(python.installed(name="Install Python", first=first), first)
    plan = current_plan(services=False)
    data_root = plan.site.data_root
    who_signs = signers.of(plan.site)
    has_mirror = isinstance(plan.package_manager, Apt) and plan.package_manager.mirror is not None

    before.noted(name="Note what was there before", data_root=data_root, keys=tuple(render.SYSCTL))
    files.put(
        name="Create directories and write base configuration",
        entries=[
            *(Directory(path=path) for path in _FOLDERS),
            Directory(path="/etc/modelrack/secrets", mode="700"),
            Directory(path="/var/lib/modelrack/failures", mode="700"),
            Directory(path=data_root),
            Directory(path=f"{data_root}/models"),
            *([Directory(path=render.APT_SOURCES_FOLDER)] if has_mirror else []),
            *map(File.of, render.base(plan)),
            *([File(path=signers.PATH, content=who_signs, mode="644")] if who_signs else []),
        ],
        # What the site had before.
        gone=(
            *(() if has_mirror else (render.APT_SOURCES, render.APT_SOURCES_FOLDER)),
            *(() if who_signs else (signers.PATH,)),
        ),
    )
    sysctl.live(name="Apply the kernel settings", values=render.SYSCTL, systemd=plan.systemd)
    packages.installed(
        name="Install the runtime libraries",
        packages=("ca-certificates", *plan.packages),
        manager=plan.package_manager,
    )
    users.present(
        name="Create the user that services run as",
        users=(User(name="modelrack", home="/var/lib/modelrack"),),
    )
    files.upload(
        name="Upload modelrack's programs",
        src=programs.zipapp(),
        dest=programs.path(),
        mode="755",
    )
    files.upload(
        name="Install uv",
        src=Path(uv.find_uv_bin()),
        dest=_uv_path(),
        mode="755",
    )
    files.put(
        name="Update the links to uv and our programs",
        entries=[
            Link(path=UV, target=_uv_path()),
            Link(path=PROGRAMS, target=programs.path()),
        ],
    )


def _uv_path() -> str:
    return f"{UV}-{version('uv')}"
