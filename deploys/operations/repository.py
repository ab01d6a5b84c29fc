"""Third-party package repositories: their keys, and the components they depend on."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking
from deploys.facts.files import Entries
from deploys.facts.packages import Components, Modules, Repositories, SourcesWithUrl
from deploys.operations import files
from deploys.operations.files import File
from deploys.planning.package_manager import Apt, Dnf, PackageManager

_LISTS = "/etc/apt/sources.list.d"


@operation()
def key_present(package: str, key: str, keyring: str) -> Generator[PyinfraCommand, None, None]:
    """
    Extract a repository's signing key into a file of its own, which one source refers to.

    + package: .deb on the machine, already verified
    + key: path inside it
    + keyring: target; its name changes with the package's digest
    """
    looking.knows([keyring])
    if keyring in host.get_fact(Entries, paths=(keyring,)):
        host.noop(f"{keyring} is there")
        return
    looking.differs([f"{keyring} is missing"])
    arriving = f"{keyring}.arriving"
    yield StringCommand(
        *("umask", "022;", "mkdir", "-p", "/etc/apt/keyrings", "&&"),
        *("dpkg-deb", "--fsys-tarfile", QuoteString(package), "|"),
        *("tar", "-xO", QuoteString(f"./{key.lstrip('/')}"), ">", QuoteString(arriving), "&&"),
        *("test", "-s", QuoteString(arriving), "&&"),
        *("sync", QuoteString(arriving), "&&"),
        *("mv", QuoteString(arriving), QuoteString(keyring)),
    )


@operation()
def present(entries: Sequence[File], url: str) -> Generator[PyinfraCommand, None, None]:
    """
    Add a repository, defined by our file alone.

    + entries: files that define it
    + url: of the repository

    apt refuses to read any list if two files give the same URL different keys, which is what
    following the vendor's own installation guide leads to. Such files are renamed so that apt
    ignores them.
    """
    missing = files.differing(entries)
    ours = {entry.path for entry in entries}
    in_apts_folder = any(path.startswith(_LISTS) for path in ours)
    others = sorted(host.get_fact(SourcesWithUrl, url=url) - ours) if in_apts_folder else []
    if not missing and not others:
        host.noop("the repository is named by our file alone")
        return
    looking.differs(f"{path} names {url}, too" for path in others)
    for path in others:
        yield StringCommand("mv", "-f", QuoteString(path), QuoteString(f"{path}.disabled"))
    if missing:
        yield files.write(missing)


@operation()
def prerequisites(
    needs: Sequence[str], module: str | None, manager: PackageManager
) -> Generator[PyinfraCommand, None, None]:
    """
    Enable the parts of the distribution that a repository's packages depend on.

    + needs: components of the archive (apt) or repositories (dnf)
    + module: module stream (dnf) to enable, as name:stream
    + manager: the machine's package manager; with a site's mirrors, our own list already names the
      components
    """
    commands = _dnf(needs, module) if isinstance(manager, Dnf) else _apt(needs, manager)
    yielded = False
    for command in commands:
        yielded = True
        yield command
    if not yielded:
        host.noop("what the repository needs is enabled")


def _apt(needs: Sequence[str], apt: Apt) -> Generator[StringCommand, None, None]:
    if not needs or apt.mirror:
        return
    there = host.get_fact(Components)
    for component in (need for need in needs if need not in there):
        # The same archive by the same key: apt refuses two entries that differ in the key alone.
        for source in there.get("main", ()):
            if source.endswith(".sources"):
                edit = ("-E", QuoteString(f"s/^Components:.*/Components: {component}/"))
                target = f"{_LISTS}/modelrack-{component}.sources"
            else:
                entry = r"^(deb +(\[[^]]*\] +)?[^ ]+ +[^ ]+) .*"
                edit = ("-nE", QuoteString(rf"s/{entry}/\1 {component}/p"))
                target = f"{_LISTS}/modelrack-{component}.list"
            yield StringCommand("sed", *edit, QuoteString(source), ">", QuoteString(target))


def _dnf(needs: Sequence[str], module: str | None) -> Generator[StringCommand, None, None]:
    there = host.get_fact(Repositories) if needs else set()
    missing = [need for need in needs if need not in there]
    if missing:
        words = ["dnf", "config-manager", "--set-enabled", *map(QuoteString, missing)]
        yield StringCommand(*words)
    if module and module not in host.get_fact(Modules):
        yield StringCommand("dnf", "-y", "module", "reset", QuoteString(module.split(":")[0]))
        yield StringCommand("dnf", "-y", "module", "enable", QuoteString(module))
