"""A machine without Python: how it comes by it, who is refused, and what a shell reads of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploys.facts.machine import WithoutPython
from deploys.planning.first_python import first_python
from deploys.planning.inputs.machine import Bare
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import CN, Site
from deploys.planning.package_manager import Apt
from deploys.rendering import render

SITE = Site()


def bare(
    system: str = "debian 13", managers: tuple[str, ...] = ("apt-get",), python: str = ""
) -> Bare:
    os, version = system.split()
    return Bare(os=os, os_version=version, managers=managers, python=python, user="root")


@pytest.mark.parametrize(
    ("machine", "command"),
    [
        (bare(), "apt-get install python3"),
        (bare("ubuntu 24.04"), "apt-get install python3"),
        # python3-minimal: it is there, and lacks most of its library.
        (bare(python="Python 3.13.5"), "apt-get install python3"),
        (bare("rocky 9.4", ("dnf",)), "dnf install python3"),
        (bare("rocky 8.10", ("dnf",)), "dnf install python39"),
    ],
)
def test_it_comes_from_the_package_manager(machine: Bare, command: str) -> None:
    first = first_python(SITE, machine)
    assert first.command == command
    assert not getattr(first.manager, "mirror", None)


@pytest.mark.parametrize(
    ("system", "mirror", "suite"),
    [("debian 13", CN.debian, "trixie"), ("ubuntu 22.04", CN.ubuntu, "jammy")],
)
def test_it_comes_through_the_mirrors_of_the_site(
    system: str, mirror: str | None, suite: str
) -> None:
    first = first_python(Site(mirrors=CN), bare(system))
    assert isinstance(first.manager, Apt)
    sources = render.apt_sources(first.manager, first.system)
    assert sources.path == "/etc/modelrack/apt.sources"
    assert f"URIs: {mirror}" in sources.content and f"Suites: {suite}" in sources.content


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (bare(managers=()), "neither python3 nor apt-get"),
        (bare("rocky 9.4", ("apt-get",)), "neither python3 nor dnf"),
        (bare("debian 11"), "debian 11 is not a system we know"),
        (bare("alpine 3.22"), "alpine 3.22 is not a system we know"),
        (bare("rocky 8.10", ("dnf",), "Python 3.6.8"), "is 3.6.8, and our programs need 3.9"),
    ],
)
def test_who_cannot_have_it_is_refused(machine: Bare, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        first_python(SITE, machine)


def test_a_shell_says_what_is_there(tmp_path: Path) -> None:
    for name, text in {"apt-get": "", "id": "echo li", "python3": "echo Python 3.6.8"}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    fact = WithoutPython()
    said = subprocess.run(
        ["/bin/sh", "-c", fact.command()],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = fact.process(said.stdout.splitlines())
    assert (found.managers, found.python, found.user) == (("apt-get",), "Python 3.6.8", "li")
