"""Distribution packages, installed once the package manager is free.

A package is written as its name, or with a version where that matters: name=version for apt, where
a version ending in * is a prefix, and name-version for dnf.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, transport
from deploys.connection.transport import HostCommand, pause
from deploys.facts.packages import Held, Installed, InstalledRpms, LockHolder
from deploys.operations import job as jobs
from deploys.planning.package_manager import Apt, Dnf, PackageManager
from deploys.rendering.render import APT_SOURCES, APT_SOURCES_FOLDER

# What we have asked the package manager for; uninstalling reads it.
ASKED = "/var/lib/modelrack/packages"
# Seconds between two lines that say who is being waited for.
_SAY_EVERY = 15
# Seconds that finishing somebody's interrupted installation may take: a module may be compiled.
_REPAIR_LIMIT = 900
_HOLD = {"apt": ("apt-mark", "hold"), "dnf": ("dnf", "-q", "versionlock", "add")}
_RELEASE = {"apt": ("apt-mark", "unhold"), "dnf": ("dnf", "-q", "versionlock", "delete")}
# Of a module that does not compile the package manager says no more than that.
_EXPLAINED = (
    *("sh", "-c"),
    '"$@" || { code=$?; tail -n 15 /var/lib/dkms/*/*/build/make.log 2>/dev/null; exit $code; }',
    "sh",
)

# While it exists, DKMS compiles nothing by itself. Source: dkms 3.0, dkms_autoinstaller.
_NO_AUTOINSTALL = "/etc/dkms/no-autoinstall"
# An operator's own file of that name stays.
_CONFIGURE = f"""\
[ -e {_NO_AUTOINSTALL} ] || {{ touch {_NO_AUTOINSTALL} && trap 'rm -f {_NO_AUTOINSTALL}' EXIT; }}
DEBIAN_FRONTEND=noninteractive dpkg --force-confold --configure -a"""


@operation()
def installed(
    packages: Sequence[str],
    manager: PackageManager,
    job: str = "",
    systemd: bool = True,
    exchange: Sequence[str] = (),
    hint: str = "",
) -> Generator[PyinfraCommand, None, None]:
    """
    Install packages that are missing or have another version than the one named.

    + packages: names, some with versions; a package named without a version is not upgraded
    + manager: the machine's package manager
    + job: name of the job, for packages that take minutes; "" installs them in the foreground
    + systemd: False while an image is built
    + exchange: name prefixes of held packages that may be replaced, even by an older version
    + hint: what the operator can do if they cannot be installed, in whole sentences

    pyinfra 3.10's apt operations fail at once if the lock is held, and refresh the package lists
    even when nothing is missing.
    """
    commands = list(
        installing(packages, manager, job=job, systemd=systemd, exchange=exchange, hint=hint)
    )
    if not commands:
        host.noop("all packages are installed")
        return
    yield from commands


def installing(
    packages: Sequence[str],
    manager: PackageManager,
    *,
    job: str = "",
    systemd: bool = True,
    exchange: Sequence[str] = (),
    hint: str = "",
) -> Generator[PyinfraCommand, None, None]:
    """Yield the commands that install the missing packages; none if nothing is missing."""
    wanted = list(missing(packages, manager))
    looking.differs(f"package {package} is not installed" for package in wanted)
    if not wanted:
        return
    yield HostCommand(_wait_for_lock, manager.lock_wait)
    if isinstance(manager, Apt):
        yield HostCommand(finish_what_was_interrupted, manager)
    yield _noted(package.partition("=")[0] for package in wanted)
    held = host.get_fact(Held, manager=_kind(manager)) if exchange else set()
    if in_the_way := sorted(name for name in held if name.startswith(tuple(exchange))):
        yield _command([*_RELEASE[_kind(manager)], *in_the_way])
    if isinstance(manager, Dnf):
        install = ["dnf", "-y", "install", *wanted]
    else:
        # What apt knows of the machine's own archives stays: only our calls read a site's mirrors.
        keep = ["--no-list-cleanup"] if manager.mirror else []
        yield _command(apt_get(manager, "update", *keep))
        options = ["--no-install-recommends", *(["--allow-downgrades"] if exchange else [])]
        install = apt_get(manager, "install", *options, *wanted)
    if job:
        digest = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
        yield from jobs.running(f"{job}-{digest}", [*_EXPLAINED, *install], systemd=systemd)
    elif hint:
        said = ("||", "{", "echo", QuoteString(hint), ">&2;", "exit", "1;", "}")
        yield StringCommand(*map(QuoteString, install), *said)
    else:
        yield _command(install)


@operation()
def held(packages: Sequence[str], manager: PackageManager) -> Generator[PyinfraCommand, None, None]:
    """
    Hold packages at their version when the system is upgraded; other holds are left alone.

    + packages: names
    + manager: the machine's package manager
    """
    there = host.get_fact(Held, manager=_kind(manager)) if packages else set()
    missing = [package for package in packages if package not in there]
    if not missing:
        host.noop("all of them are held")
        return
    looking.differs(f"package {package} is not held" for package in missing)
    yield _command([*_HOLD[_kind(manager)], *missing])


@operation()
def configured(packages: Sequence[str]) -> Generator[PyinfraCommand, None, None]:
    """
    Configure packages that dpkg could not, as the driver's module does not compile for a kernel.

    + packages: their names; () if there are none

    DKMS compiles nothing meanwhile; the new driver's module is built for these kernels afterwards.
    Until then they have none, and the older kernel still boots with the old one.
    """
    if not packages:
        host.noop("no kernel is half configured")
        return
    looking.differs(f"package {package} is half configured" for package in packages)
    yield StringCommand("sh", "-c", QuoteString(_CONFIGURE))


def _noted(names: Iterable[str]) -> StringCommand:
    """Return the command by which the machine knows which packages it has of us."""
    return StringCommand(
        *("mkdir", "-p", "-m", "755", "/var/lib/modelrack", "&&"),
        *("printf", r"'%s\n'", *map(QuoteString, names), ">>", ASKED),
    )


def _kind(manager: PackageManager) -> str:
    return "dnf" if isinstance(manager, Dnf) else "apt"


def missing(packages: Sequence[str], manager: PackageManager) -> Iterator[str]:
    """Those of the packages that are not there, or in another version than the one named."""
    if not packages:
        return
    if isinstance(manager, Dnf):
        rpms = host.get_fact(InstalledRpms, packages=tuple(packages))
        yield from (package for package in packages if package not in rpms)
        return
    wanted = {package: package.partition("=") for package in packages}
    there = host.get_fact(Installed, packages=tuple(name for name, _, _ in wanted.values()))
    for package, (name, _, version) in wanted.items():
        if name not in there or (version and not _is(there[name], version)):
            yield package


def _is(found: str, wanted: str) -> bool:
    """Return whether a version matches the wanted one, ignoring its epoch."""
    bare = found.rpartition(":")[2]
    if wanted.endswith("*"):
        return found.startswith(wanted[:-1]) or bare.startswith(wanted[:-1])
    return wanted in (found, bare)


def _command(words: Sequence[str]) -> StringCommand:
    return StringCommand(*map(QuoteString, words))


def apt_get(apt: Apt, *words: str) -> list[str]:
    """Return a call of apt-get that asks nobody and reads the package lists of this site."""
    options = ["-y", "-q", "-o", f"DPkg::Lock::Timeout={apt.lock_wait}"]
    options += ["-o", "Dpkg::Options::=--force-confold"]
    if apt.mirror:
        options += ["-o", f"Dir::Etc::SourceList={APT_SOURCES}"]
        options += ["-o", f"Dir::Etc::SourceParts={APT_SOURCES_FOLDER}"]
    return ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *words]


def _wait_for_lock(state: State, host: Host, arguments: Any, limit: int) -> bool:
    """Wait for the package manager's lock and log who holds it.

    apt itself waits silently, and for two of its four locks only.
    """
    started = said = time.monotonic()
    while holder := host.get_fact(LockHolder):
        now = time.monotonic()
        waited = now - started
        if waited > limit:
            logger.error(
                f"{host.print_prefix}the package manager is held by {holder} for {waited:.0f} s."
                " Let it finish or stop it, then run this again."
            )
            return False
        if now - said >= _SAY_EVERY or said == started:
            said = now
            logger.info(
                f"{host.print_prefix}waiting for {holder} to let go of the package manager"
                f" ({waited:.0f} of {limit} s)"
            )
        pause(1)
    return True


def finish_what_was_interrupted(state: State, host: Host, arguments: Any, apt: Apt) -> bool:
    """Finish what a killed package manager left half done: apt refuses to go on until then.

    What was unpacked is configured. A package that was not, as the power failed, is fetched again.
    """
    audit = ("ls", "/var/lib/dpkg/updates", ";", "dpkg", "--audit")
    _, found = transport.run(host, arguments, *audit)
    if not found.stdout:
        return True
    logger.info(f"{host.print_prefix}the package manager was interrupted here, finishing its work")
    configure = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold")
    ok, output = transport.run(
        host, arguments, *configure, "--configure", "-a", _timeout=_REPAIR_LIMIT
    )
    half, _ = transport.run(host, arguments, "grep", "-q", "reinstreq", "/var/lib/dpkg/status")
    if half:
        update, mend = apt_get(apt, "update"), apt_get(apt, "--fix-broken", "install")
        again = (*map(QuoteString, update), "&&", *map(QuoteString, [*mend, "--no-remove"]))
        ok, output = transport.run(host, arguments, *again, _timeout=_REPAIR_LIMIT)
    if ok:
        _, found = transport.run(host, arguments, *audit)
    if found.stdout:
        for line in [*found.stdout_lines, *output.stderr_lines[-10:]]:
            logger.error(f"{host.print_prefix}  {line}")
        logger.error(
            f"{host.print_prefix}packages are half installed, and could not be finished. See the"
            " lines above, put it right with: dpkg --configure -a; apt-get --fix-broken install;"
            " then run this again."
        )
        return False
    return True
