"""Distribution packages: installed, held, and who has locked the package manager."""

from __future__ import annotations

import re
import shlex

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs


class Installed(FactBase[dict[str, str]]):
    """
    Return the version of each of the Debian packages that is installed.

    + packages: names, without versions
    """

    default = dict

    def command(self, packages: tuple[str, ...]) -> str:
        # Fails when one of them was never heard of, which is an answer here.
        return (
            "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n'"
            f" {shlex.join(packages)} 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> dict[str, str]:
        fields = (line.split(" ", 2) for line in output)
        return {package: version for status, package, version in fields if status == "installed"}


class InstalledRpms(FactBase[set[str]]):
    """
    Return those of the RPM packages that are installed, spelled as in ``packages``.

    + packages: each as NAME, or as NAME-VERSION
    """

    default = set

    def command(self, packages: tuple[str, ...]) -> str:
        return f"for p in {shlex.join(packages)}; do rpm -q --quiet $p && echo $p; done; true"

    def process(self, output: list[str]) -> set[str]:
        return set(output)


class Held(FactBase[set[str]]):
    """
    Return the packages that are held at their version.

    + manager: apt or dnf
    """

    default = set

    def command(self, manager: str) -> str:
        if manager == "apt":
            return "apt-mark showhold"
        return "dnf -q versionlock list 2>/dev/null; true"

    def process(self, output: list[str]) -> set[str]:
        # dnf writes name-epoch:version-release.architecture, apt the name alone.
        return {re.sub(r"-\d+:.*", "", line) for line in output}


class Components(FactBase[dict[str, set[str]]]):
    """Return the apt source files that enable each component of the distribution's own archive."""

    default = dict

    def command(self) -> str:
        return (
            ". /etc/os-release; apt-get indextargets --format '$(COMPONENT)|$(SOURCESENTRY)'"
            " 'Created-By: Packages' \"Release: $VERSION_CODENAME\""
        )

    def process(self, output: list[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in output:
            component, _, entry = line.partition("|")
            found.setdefault(component, set()).add(entry.rpartition(":")[0])
        return found


class SourcesWithUrl(FactBase[set[str]]):
    """
    Return the files in /etc/apt/sources.list.d that contain a URL.

    + url: of a repository
    """

    default = set

    def command(self, url: str) -> str:
        files = "/etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources"
        return f"grep -lsF -e {shlex.quote(url)} {files}; true"

    def process(self, output: list[str]) -> set[str]:
        return set(output)


class Modules(FactBase[set[str]]):
    """Return the enabled module streams of dnf, as name:stream."""

    default = set

    def command(self) -> str:
        return "cat /etc/dnf/modules.d/*.module 2>/dev/null; true"

    def process(self, output: list[str]) -> set[str]:
        found: set[str] = set()
        settings: dict[str, str] = {}
        for line in [*output, "["]:
            if line.startswith("["):
                if settings.get("state") == "enabled":
                    found.add(f"{settings['name']}:{settings['stream']}")
                settings = {}
            elif "=" in line:
                key, value = line.split("=", 1)
                settings[key.strip()] = value.strip()
        return found


class Repositories(FactBase[set[str]]):
    """Return the ids of dnf's enabled repositories."""

    default = set

    def command(self) -> str:
        return "dnf -q repolist --enabled"

    def process(self, output: list[str]) -> set[str]:
        return {line.split()[0] for line in output[1:] if line.strip()}


class LockHolder(FactBase[str | None]):
    """Return the process that holds the package manager's lock, as "name (pid 123)", or None."""

    @staticmethod
    def default() -> None:
        return None

    def command(self) -> StringCommand:
        return programs.inline("facts.apt_lock")

    def process(self, output: list[str]) -> str | None:
        return output[-1] or None
