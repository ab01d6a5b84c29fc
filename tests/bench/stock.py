"""The same content with pyinfra's own operations: what `pyinfra as it comes` runs."""

from pathlib import Path

from pyinfra import host
from pyinfra.operations import apt, files, server, systemd

from tests.bench import content

folder = Path(host.data.content)

apt.packages(
    name="Install the packages",
    packages=content.PACKAGES,
    no_recommends=True,
    update=True,
    cache_time=86400,
)
for user in host.loop(content.USERS):
    server.user(
        name="Create the users",
        user=user,
        home=content.HOME,
        shell=content.SHELL,
        system=True,
        create_home=False,
        ensure_home=False,
    )
files.directory(name="Make the configuration folder", path=content.FOLDER, mode="755")
for number in host.loop(content.NUMBERS):
    files.template(
        name="Write the configuration",
        src=str(content.template_path(folder, number)),
        dest=f"{content.FOLDER}/{number}.conf",
        user="root",
        group="root",
        mode="644",
        create_remote_dir=False,
        jinja_env_kwargs={"trim_blocks": True},
        site=content.SITE,
        services=content.SERVICES,
    )
for unit in host.loop(content.UNITS):
    files.put(
        name="Write the units",
        src=str(folder / "units" / unit),
        dest=f"{content.UNIT_FOLDER}/{unit}",
        user="root",
        group="root",
        mode="644",
        create_remote_dir=False,
    )
for unit in host.loop(content.UNITS):
    systemd.service(name="Enable and start the units", service=unit, enabled=True)
