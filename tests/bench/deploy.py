"""The content of the benchmark with our building blocks: what `modelrack` runs."""

from pathlib import Path

from pyinfra import host, state
from pyinfra.operations import systemd

from deploys.connection import transport
from deploys.operations import files, packages, users
from deploys.operations.files import Directory, File
from deploys.operations.users import User
from deploys.planning.package_manager import Apt
from tests.bench import content, rendering

transport.harden(state.inventory.get_host(host.name))
folder = Path(host.data.content)

packages.installed(
    name="Install the packages", packages=content.PACKAGES, manager=Apt(lock_wait=60)
)
users.present(
    name="Create the users",
    users=[User(name=user, home=content.HOME, shell=content.SHELL) for user in content.USERS],
)
files.put(
    name="Write the configuration",
    entries=[
        Directory(path=content.FOLDER),
        *(
            File(
                path=f"{content.FOLDER}/{number}.conf",
                content=rendering.configuration(folder, number),
                mode="644",
            )
            for number in content.NUMBERS
        ),
    ],
)
written = files.put(
    name="Write the units",
    entries=[
        File(
            path=f"{content.UNIT_FOLDER}/{unit}",
            content=(folder / "units" / unit).read_text(),
            mode="644",
        )
        for unit in content.UNITS
    ],
)
systemd.daemon_reload(name="Have systemd read the units", _if=written.did_change)
for unit in host.loop(content.UNITS):
    systemd.service(name="Enable and start the units", service=unit, enabled=True)
