"""What a site's mirrors become, read by apt itself; nothing is fetched and nobody asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control import locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import CN, Mirrors, Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import render
from tests.lab.process import run
from tests.plans.simulated import MACHINES

EVERY = ("", "-updates", "-security")
SUITES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}
ONE_FOR_ALL = replace(CN, debian_security=None)


def _planned(system: tuple[str, str], mirrors: Mirrors, name: str = "cpu") -> HostPlan:
    site = Site(mirrors=mirrors)
    machine = Machine.from_json({**MACHINES[name], "os": system[0], "os_version": system[1]})
    profile = HostProfile(gpu="H800", gpus=8) if name == "h800" else HostProfile()
    return resolve(profile, site, machine, locks.read(site.locks))


def _read(plan: HostPlan, folder: Path) -> set[tuple[str, str, str]]:
    """Address, release and component of all that apt makes of the files of a plan."""
    files = [*render.base(plan)]
    if plan.driver and plan.driver.repository:
        files += render.repository(plan, plan.driver.repository)
    parts = folder / "sources.d"
    parts.mkdir()
    for file in files:
        for place in (render.APT_SOURCES, render.APT_SOURCES_FOLDER):
            if file.path.startswith(place):
                # apt goes by how a name ends.
                parent = folder if place == file.path else parts
                (parent / Path(file.path).name).write_text(file.content)
    options = (
        f"-oDir::Etc::SourceList={folder / Path(render.APT_SOURCES).name}",
        f"-oDir::Etc::SourceParts={parts}",
        f"-oDir::State={folder}",
    )
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    # With what the releases themselves say, apt would show only what was fetched of them.
    wanted = ("indextargets", "--no-release-info", "--format", form, "Created-By: Packages")
    said = run(["apt-get", *options, *wanted])
    return {(uri.rstrip("/"), suite, part) for uri, suite, part in map(_fields, said.splitlines())}


def _fields(line: str) -> tuple[str, str, str]:
    uri, suite, part = line.split("|")
    return uri, suite, part


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.parametrize("mirrors", [CN, ONE_FOR_ALL], ids=["cn", "one for all"])
def test_debians_mirrors_are_what_apt_reads(mirrors: Mirrors, release: str, tmp_path: Path) -> None:
    suite = SUITES["debian", release]
    security = mirrors.debian_security or mirrors.debian
    assert _read(_planned(("debian", release), mirrors), tmp_path) == {
        (mirrors.debian, suite, "main"),
        (mirrors.debian, f"{suite}-updates", "main"),
        (security, f"{suite}-security", "main"),
    }


@pytest.mark.parametrize("release", ["22.04", "24.04"])
def test_ubuntus_mirror_is_what_apt_reads(release: str, tmp_path: Path) -> None:
    assert _read(_planned(("ubuntu", release), CN), tmp_path) == {
        (CN.ubuntu, f"{SUITES['ubuntu', release]}{which}", part)
        for which in EVERY
        for part in ("main", "universe")
    }


@pytest.mark.parametrize("system", [*SUITES])
def test_a_vendors_repository_is_read_together_with_them(
    system: tuple[str, str], tmp_path: Path
) -> None:
    distribution, release = system
    folder = f"{distribution}{release.replace('.', '')}"
    read = _read(_planned(system, CN, "h800"), tmp_path)
    assert f"{CN.cuda}/{folder}/x86_64" in {uri for uri, _, _ in read}
    if distribution == "debian":
        assert (CN.debian, SUITES[system], "contrib") in read
