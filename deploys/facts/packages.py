"""Debian packages: which of a list are installed, and who holds the package manager."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand

from deploys.operations import programs


class Installed(FactBase[set[str]]):
    """
    Returns those of the packages that are installed.

    + packages: names, without versions
    """

    default = set

    def command(self, packages: tuple[str, ...]) -> str:
        quoted = " ".join(shlex.quote(package) for package in packages)
        # Fails when one of them was never heard of, which is an answer here.
        return (
            f"dpkg-query -W -f '${{db:Status-Status}} ${{Package}}\\n' {quoted} 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> set[str]:
        pairs = (line.split(" ", 1) for line in output)
        return {package for status, package in pairs if status == "installed"}


class LockHolder(FactBase[str | None]):
    """Returns who holds the package manager, as "name (pid 123)", or None."""

    @staticmethod
    def default() -> None:
        return None

    def command(self) -> StringCommand:
        return programs.inline("apt_lock")

    def process(self, output: list[str]) -> str | None:
        return output[-1] or None
