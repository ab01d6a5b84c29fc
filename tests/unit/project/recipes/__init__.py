"""The recipes of CONTRIBUTING.md as checks, one module a recipe: test_recipes.py runs them all."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.unit import ROOT

DEPLOYS, PLANS = ROOT / "deploys", ROOT / "tests" / "plans"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
FULL = (DEPLOYS / "full.py").read_text()
# The page that says what runs what, in both languages.
OPERATING = {
    page: (ROOT / page).read_text() for page in ("docs/operating.md", "docs/zh-CN/operating.md")
}
# By file name, without its ending.
# Beside it what costs more than a machine may, and runs when it is named.
E2E = {
    path.stem if folder == "e2e" else f"{folder}.{path.stem}": path.read_text()
    for folder in ("e2e", "acceptance")
    for path in (ROOT / "tests" / folder).rglob("*.py")
}

Found = Iterable[str]
# Recipe, words of the step, and what finds that for which the step was left out.
CHECKS: list[tuple[str, str, Callable[[], Found]]] = []


def step(recipe: str, words: str) -> str:
    """The sentence of a recipe that has these words, and which step it is of."""
    (part,) = re.findall(rf"^## {recipe}\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.M | re.S)
    steps = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\S|\Z)", part, re.M | re.S)
    for number, text in steps:
        for sentence in re.split(r"(?<=[.:]) (?=[A-Z`])", " ".join(text.split())):
            if words in sentence:
                return f"CONTRIBUTING.md, {recipe}, step {number}: {sentence}"
    return pytest.fail(f"CONTRIBUTING.md, {recipe}: no step says {words!r}, which is checked here")


def left_out(recipe: str, words: str) -> Callable[[Callable[[], Found]], Callable[[], Found]]:
    """Marks what finds that for which the step with these words was left out."""

    def register(found: Callable[[], Found]) -> Callable[[], Found]:
        CHECKS.append((recipe, words, found))
        return found

    return register


def stems(folder: Path, pattern: str = "*.py") -> set[str]:
    return {path.stem for path in folder.glob(pattern) if not path.stem.startswith("__")}


def verbs(folder: str) -> dict[str, dict[str, str]]:
    """What each module's deploys are called, by function."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((DEPLOYS / folder).glob("[a-z]*.py")):
        found[path.stem] = {}
        functions = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
        for function in functions:
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "deploy":
                    found[path.stem][function.name] = ast.literal_eval(mark.args[0])
    return found
