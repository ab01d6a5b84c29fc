"""What is compiled, once for all machines of the same kind: programs, and kernels for cards."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, transport
from deploys.connection.transport import HostCommand
from deploys.facts.files import Entries
from deploys.operations import artifact, files, job, packages
from deploys.operations.files import Directory
from deploys.planning.engines.software import Build, Kernels
from deploys.planning.inputs.site import Site
from deploys.planning.package_manager import PackageManager


@operation()
def installed(
    build: Build, site: Site, manager: PackageManager, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Install a build in its versioned directory; running services do not switch to it.

    + build: what is compiled and how
    + manager: how the packages needed for compiling are installed
    + site: where its source is downloaded from, and where packed builds are kept on this computer

    The first machine of its kind compiles, in a job; the result is fetched into `site.builds` and
    copied to every other machine with the same digest, in this run and in later ones.
    """
    stamp = f"{build.directory}/build.json"
    looking.knows([build.directory])
    if stamp in host.get_fact(Entries, paths=(stamp,)):
        host.noop(f"{build.name} {build.version} is installed")
        return
    looking.differs([f"{stamp} is missing"])
    parent = str(Path(build.directory).parent)
    yield files.write([Directory(path=parent), Directory(path="/var/lib/modelrack/build")])
    packed = site.builds / build.packed
    # One machine compiles; the others of its kind wait here, and take over if it fails.
    with transport.exclusive(build.digest), _alone(packed):
        first = not packed.exists()
        if first:
            yield from _compile(build, site, manager, packed, systemd=systemd)
    if not first:
        yield from _unpack(build, packed)


@operation()
def kernels(
    kernels: Kernels, site: Site, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Compile kernels inside an installed environment.

    + kernels: which, of which environment, for which cards
    + site: where packed ones are kept on this computer

    As with programs, the first machine of its kind compiles them for all.
    """
    if kernels.stamp in host.get_fact(Entries, paths=(kernels.stamp,)):
        host.noop(f"{kernels.name} has its kernels for {kernels.compute}")
        return
    packed = site.builds / kernels.packed
    pack = f"/var/lib/modelrack/build/{kernels.digest}.tar.gz"
    yield files.write([Directory(path="/var/lib/modelrack/build")])
    with transport.exclusive(kernels.digest), _alone(packed):
        first = not packed.exists()
        if first:
            yield from job.running(
                f"kernels-{kernels.name}-{kernels.digest}",
                ["python3", "{program}", "kernels", "{spec}"],
                systemd=systemd,
                spec={
                    "environment": kernels.directory,
                    "modules": kernels.modules,
                    "compute": kernels.compute,
                    "work": f"/var/lib/modelrack/build/{kernels.digest}",
                    "pack": pack,
                },
            )
            yield HostCommand(_collect, pack, packed)
    if not first:
        yield from files.uploading(packed, pack, "644")
    # The stamp comes last, and that of kernels for other cards goes first: they are replaced.
    yield StringCommand(
        *("find", QuoteString(kernels.directory), "-maxdepth 1 -name '.kernels-*' -delete &&"),
        *("tar", "-xzf", QuoteString(pack), "-C", QuoteString(kernels.directory), "&&"),
        *("sync", "-f", QuoteString(kernels.directory), "&&"),
        *("touch", QuoteString(kernels.stamp), "&&", "rm", QuoteString(pack)),
    )


@contextmanager
def _alone(packed: Path) -> Iterator[None]:
    """Hold a file lock on this computer, so that no other run compiles the same build meanwhile."""
    packed.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{packed}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info(f"{host.print_prefix}another run compiles {packed.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _compile(
    build: Build, site: Site, manager: PackageManager, packed: Path, *, systemd: bool
) -> Generator[PyinfraCommand, None, None]:
    source = f"/var/lib/modelrack/build/{build.name}-{build.version}"
    pack = f"/var/lib/modelrack/build/{build.digest}.tar.gz"
    yield from packages.installing(build.packages, manager, job="install-compiler", systemd=systemd)
    if source not in host.get_fact(Entries, paths=(source,)):
        yield from artifact.unpacking(build.source, source, site, systemd=systemd)
    yield from job.running(
        f"build-{build.name}-{build.digest}",
        ["python3", "{program}", "build", "{spec}"],
        systemd=systemd,
        spec={
            "source": source,
            "work": f"/var/lib/modelrack/build/{build.digest}",
            "directory": build.directory,
            "options": build.options,
            "targets": build.targets,
            "pack": pack,
            "stamp": {
                "name": build.name,
                "version": build.version,
                "source": build.source.tree_sha256 or build.source.sha256,
                "options": build.options,
                "toolchain": build.toolchain,
            },
        },
    )
    yield HostCommand(_collect, pack, packed)
    yield StringCommand("rm", "-f", QuoteString(pack))


def _collect(state: State, host: Host, arguments: Any, pack: str, packed: Path) -> bool:
    """Fetch the packed build, and rename it into place once its checksum matches."""
    packed.parent.mkdir(parents=True, exist_ok=True)
    arriving = packed.with_name(f"{packed.name}.{host.name.replace('/', '_')}.arriving")
    ok, output = transport.run(host, arguments, "sha256sum", QuoteString(pack))
    if not ok or not host.get_file(pack, str(arriving), **arguments):
        logger.error(f"{host.print_prefix}{pack} could not be fetched: {output.stderr}")
        return False
    if files.sha256(arriving) != output.stdout_lines[0].split()[0]:
        logger.error(f"{host.print_prefix}{pack} arrived damaged, run this again")
        return False
    arriving.rename(packed)
    return True


def _unpack(build: Build, packed: Path) -> Generator[PyinfraCommand, None, None]:
    arriving = f"{build.directory}.arriving"
    archive = f"{build.directory}.tar.gz"
    yield from files.uploading(packed, archive, "644")
    yield StringCommand(
        *("rm", "-rf", QuoteString(arriving), "&&"),
        *("mkdir", "-m", "755", QuoteString(arriving), "&&"),
        *("tar", "-xzf", QuoteString(archive), "-C", QuoteString(arriving), "&&"),
        *("rm", QuoteString(archive), "&&", "sync", "-f", QuoteString(arriving), "&&"),
        *("mv", "-T", QuoteString(arriving), QuoteString(build.directory), "&&"),
        *("sync", QuoteString(str(Path(build.directory).parent))),
    )
