"""Versions are compared with their lock and with what is known to be vulnerable."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.control import locks
from deploys.control.lifecycle import audited
from deploys.planning.engines.advisories import vulnerable
from deploys.planning.engines.software import Build, Environment
from deploys.planning.inputs.site import Site
from deploys.planning.lifecycle.seen import Seen
from deploys.planning.plan import HostPlan
from tests.unit.rendering.render_examples import PLANS, PYTHON_ENGINES

VLLM = PYTHON_ENGINES["vllm on cards"]
ENVIRONMENTS = [each for each in VLLM.software if isinstance(each, Environment)]
ENGINE = next(each for each in ENVIRONMENTS if each.name == "vllm")
LOCKED = dict(locks.read(Site().locks).environments[ENGINE.lock].versions)


def found(versions: dict[str, str]) -> tuple[list[str], list[str]]:
    """What is said of what is installed: versions of no lock, and known holes."""
    look = Seen(environments={ENGINE.directory: versions})
    there, others = audited._versions(VLLM, ENVIRONMENTS, look)
    return others, list(vulnerable(there, locks.advisories()["advisories"]))


def test_what_a_lock_has_is_as_planned() -> None:
    assert found(LOCKED) == ([], [])


@pytest.mark.parametrize(
    ("versions", "said", "known"),
    [
        ({"torch": "2.5.1"}, f"torch 2.5.1 instead of {LOCKED['torch']}", "CVE-2025-32434"),
        ({"vllm": "0.9.2"}, f"vllm 0.9.2 instead of {LOCKED['vllm']}", "CVE-2026-22778"),
        ({"left-pad": "1.0"}, "left-pad 1.0 instead of none", None),
    ],
)
def test_another_version_is_named_with_what_is_known_of_it(
    versions: dict[str, str], said: str, known: str | None
) -> None:
    others, holes = found({**LOCKED, **versions})
    assert [said in each for each in others] == [True]
    assert known is None or known in "\n".join(holes)


def packed(made: HostPlan, folder: Path) -> dict[str, Any]:
    return dict(audited._packed(replace(made, site=Site(builds=folder))))


def test_a_build_is_compared_with_the_archive_that_this_computer_keeps(tmp_path: Path) -> None:
    made = PLANS["cpu"]
    (build,) = (each for each in made.software if isinstance(each, Build))
    assert packed(made, tmp_path) == {}
    with tarfile.open(tmp_path / build.packed, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("./bin/empty"), io.BytesIO())
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert packed(made, tmp_path) == {build.directory: {"bin/empty": empty}}
