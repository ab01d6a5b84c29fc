"""An engine is complete: its record, its templates, what renders them, and its two verbs."""

from __future__ import annotations

import ast
from typing import get_args

import pytest

from deploys.planning.engines.failures.known import About
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.software_stacks import STACKS
from deploys.planning.models.model import Format
from deploys.rendering import render
from tests.unit import ROOT

EVERY = pytest.mark.parametrize("name", ENGINES)


def module(name: str) -> str:
    return name.replace(".", "_")


def test_the_settings_of_every_engine_are_rendered() -> None:
    assert list(render.SERVING) and set(render.SERVING) == set(ENGINES)
    for name, serving in render.SERVING.items():
        assert serving.__name__ == f"deploys.rendering.{module(name)}"


@EVERY
def test_a_record_lies_in_a_file_of_its_name_and_runs_somewhere(name: str) -> None:
    record = ROOT / "deploys" / "planning" / "engines" / f"{module(name)}.py"
    assert f'"{name}"' in record.read_text()
    assert any(name in stack.engines for stack in STACKS)


@EVERY
def test_an_engine_has_templates_and_two_verbs_that_full_calls(name: str) -> None:
    engine = ENGINES[name]
    assert (ROOT / "templates" / name / f"{engine.template_unit}.j2").is_file()
    verbs = ast.parse((ROOT / "deploys" / "engines" / f"{module(name)}.py").read_text())
    defined = {node.name for node in verbs.body if isinstance(node, ast.FunctionDef)}
    assert {"install", "start"} <= defined
    full = (ROOT / "deploys" / "full.py").read_text()
    for verb in ("install", "start"):
        assert f'if plan.uses("{name}"):\n    {module(name)}.{verb}()\n' in full


def test_an_engine_reads_what_there_is() -> None:
    for engine in ENGINES.values():
        assert engine.reads.formats and set(engine.reads.formats) < set(get_args(Format))
        assert engine.reads.other.verdict == "refuse"


def test_a_unit_of_its_own_has_a_place_for_the_service() -> None:
    for engine in ENGINES.values():
        assert ("{}" in engine.unit) == (not engine.shared)
        assert "{}" in engine.model_id
    units = [engine.unit for engine in ENGINES.values()]
    assert len(units) == len(set(units))


def test_a_topic_of_known_failures_is_used() -> None:
    from deploys.planning.engines.failures.every import EVERY as rows

    used = {row.about for engine in ENGINES.values() for row in (*engine.failures, *rows)}
    assert used == set(get_args(About))
