"""Take away the packages that modelrack has had installed, but for those that others need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..facts import packages
from ..lib.failure import Failure
from ..lib.probe import read

# What we have asked the package manager for, a name a line, before each time we did.
ASKED = Path("/var/lib/modelrack/packages")
# What a driver is made of and held by.
_DRIVER = re.compile(
    r".*nvidia.*|(?:cuda|libcuda|libnvsdm|nvlsm|datacenter-gpu|rocm|amdgpu|amd-smi).*"
)
_GOES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_OPTIONS = ("-o", "DPkg::Lock::Timeout=600", "-o", "APT::Get::AutomaticRemove=false")


def of_driver(before: dict[str, Any]) -> list[str]:
    """Return what of the driver and its libraries we have had installed, and is there."""
    there = {*packages.names()} - {*before.get("packages", ())}
    return sorted(name for name in {*read(ASKED).split()} & there if _DRIVER.fullmatch(name))


def remove(before: dict[str, Any], driver: bool, stays: list[str]) -> None:
    """Remove what was not there before the first deploy and nobody else needs; name what stays.

    + driver: that of the GPUs, too
    """
    there = {*packages.names()}
    asked = {*read(ASKED).split()} & there
    if not before.get("known"):
        if asked:
            stays.append(
                "packages stay, as nobody noted which were there before modelrack:"
                f" {', '.join(sorted(asked))}"
            )
        return
    new = there - {*before["packages"]}
    if not driver and (left := of_driver(before)):
        stays.append(f"{', '.join(left)} stay with the GPU driver: --data driver=true")
    mine = {name for name in asked & new if driver or not _DRIVER.fullmatch(name)}
    if not shutil.which("apt-get"):
        if mine:
            stays.append(f"packages stay, take them away with: dnf remove {' '.join(sorted(mine))}")
        return
    if driver:
        _run("apt-mark", "unhold", *sorted(name for name in new if _DRIVER.fullmatch(name)))
    automatic = {*_run("apt-mark", "showauto").split()} & new
    others = automatic if driver else {each for each in automatic if not _DRIVER.fullmatch(each)}
    going = set()
    for name in sorted(mine):
        needing = _with({name}) - mine - others
        if needing:
            stays.append(f"package {name} stays: {', '.join(sorted(needing))} needs it")
        else:
            going.add(name)
    if going:
        _purge(going)
    # What came along, as far as nothing needs it any more; a round frees the next.
    while free := _free() & others:
        _purge(free)


def _with(names: set[str]) -> set[str]:
    """Return what would go together with these packages."""
    return {*_GOES.findall(_run("apt-get", "-s", *_OPTIONS, "purge", *sorted(names)))}


def _free() -> set[str]:
    return {*_GOES.findall(_run("apt-get", "-s", "autoremove"))}


def _purge(names: Iterable[str]) -> None:
    _run("apt-get", "-y", "-q", *_OPTIONS, "purge", *sorted(names))


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        check=False,
    )
    if done.returncode:
        raise Failure(f"{' '.join(command[:8])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
