"""Kernel parameters."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase


class Settings(FactBase[dict[str, str | None]]):
    """
    Return the value of each key, or None if it is not writable; unknown keys are left out.

    + keys: with dots, as sysctl writes them
    """

    default = dict

    def command(self, keys: tuple[str, ...]) -> str:
        quoted = " ".join(shlex.quote(key) for key in keys)
        return (
            f"for key in {quoted}; do file=/proc/sys/$(echo $key | tr . /);"
            ' [ -r "$file" ] || continue;'
            ' if [ -w "$file" ]; then echo "$key $(cat $file)"; else echo "$key -"; fi; done'
        )

    def process(self, output: list[str]) -> dict[str, str | None]:
        pairs = (line.split(" ", 1) for line in output)
        return {key: None if value == "-" else value for key, value in pairs}
