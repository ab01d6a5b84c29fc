"""Wheels of the engines' locks, and the pages by which uv and pip find them in a folder."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from deploys.control import locks
from deploys.control.bundle.seal import sha256
from deploys.planning.engines.software import Environment
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site

# Every C library that a wheel may be built for and our systems have. Source: PEP 600; glibc 2.35 is
# Ubuntu 22.04's, which the locks are made for.
_PLATFORMS = (
    *(f"manylinux_2_{minor}_{{}}" for minor in range(35, 4, -1)),
    *("manylinux2014_{}", "manylinux2010_{}", "manylinux1_{}", "linux_{}"),
)


def fetch(environment: Environment, architecture: str, site: Site, bundle: Path) -> None:
    """Fetch the wheels of one engine's lock, each checked by its hash, into the bundle.

    + architecture: as Python calls it
    """
    lock = locks.requirements_path(environment.lock)
    download(lock, environment.python, architecture, site.mirrors.pypi, bundle, environment.wheels)


def download(
    lock: Path,
    python: str,
    architecture: str,
    index: str | None,
    bundle: Path,
    links: str | None = None,
) -> None:
    """Fetch the wheels of a lock with hashes into the bundle.

    + python: version that they are for, such as "3.12"
    + index: None for the one that pip is set up for
    + links: page or folder with further wheels
    """
    folder = bundle / "pypi/files"
    folder.mkdir(parents=True, exist_ok=True)
    tags = [word for each in _PLATFORMS for word in ("--platform", each.format(architecture))]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", python, *tags),
        *("--dest", str(folder), "-r", str(lock)),
    ]
    if index:
        command += ["--index-url", index]
    if links:
        command += ["--find-links", links]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Refusal(
            f"The wheels of {lock.stem} cannot be fetched:"
            f" {lines[-1] if lines else done.returncode}",
            "Check the way to the package index, then run this again: what is there is kept",
        )


def write_pages(bundle: Path) -> None:
    """Write the simple index (PEP 503) of all wheels in the bundle."""
    by_name: dict[str, list[Path]] = {}
    for wheel in sorted((bundle / "pypi/files").glob("*.whl")):
        by_name.setdefault(_normal(wheel.name.partition("-")[0]), []).append(wheel)
    for name, wheels in by_name.items():
        links = (f"../../files/{quote(each.name)}#sha256={sha256(each)}" for each in wheels)
        named = [(link, each.name) for link, each in zip(links, wheels, strict=True)]
        _write(bundle / "pypi/simple" / name / "index.html", named)
    _write(bundle / "pypi/simple/index.html", [(f"{name}/", name) for name in sorted(by_name)])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _write(page: Path, links: list[tuple[str, str]]) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<!DOCTYPE html>\n<html><body>\n" + "".join(_lines(links)) + "</body></html>\n")


def _lines(links: list[tuple[str, str]]) -> Iterator[str]:
    for link, text in links:
        yield f'<a href="{html.escape(link)}">{html.escape(text)}</a><br>\n'
