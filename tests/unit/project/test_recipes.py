"""Who follows a recipe of CONTRIBUTING.md and leaves out a step is told which one, in its words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.project.recipes import (
    CHECKS,
    Found,
    architecture,
    engine,
    host_class,
    model,
    outcome,
    stage,
    step,
)

RECIPES = (host_class, model, architecture, engine, outcome, stage)


def test_every_recipe_is_checked() -> None:
    assert {recipe for recipe, _, _ in CHECKS} == {module.RECIPE for module in RECIPES}


@pytest.mark.parametrize(
    ("recipe", "words", "found"), CHECKS, ids=[f"{recipe}: {words}" for recipe, words, _ in CHECKS]
)
def test_no_step_is_left_out(recipe: str, words: str, found: Callable[[], Found]) -> None:
    said = step(recipe, words)
    names = ", ".join(sorted({*found()}))
    assert not names, f"{said} Left out for: {names}"
