"""CONTRIBUTING.md, "A new stage"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from tests.__main__ import TIERS
from tests.unit.project.recipes import DEPLOYS, E2E, FULL, OPERATING, PLANS, Found, left_out, verbs

RECIPE = "A new stage"


def stages() -> dict[str, dict[str, str]]:
    """Their verbs, of those that any step was done for."""
    imports = [node for node in ast.parse(FULL).body if isinstance(node, ast.ImportFrom)]
    names = [
        each.name for node in imports for each in node.names if node.module == "deploys.stages"
    ]
    rows = re.findall(r"^\| `deploys\.stages\.(\w+)\.", "".join(OPERATING.values()), re.M)
    return {**{name: {} for name in (*names, *rows)}, **verbs("stages")}


left_out(RECIPE, "@deploy(")(lambda: {name for name, found in stages().items() if not found})


@left_out(RECIPE, "plan = current_plan()")
def _planned() -> Found:
    for name in stages():
        path = DEPLOYS / "stages" / f"{name}.py"
        tree = ast.parse(path.read_text() if path.is_file() else "")
        for function in tree.body:
            verb = isinstance(function, ast.FunctionDef) and function.decorator_list
            if verb and "plan = current_plan(" not in ast.unparse(function):
                yield f"{name}.{function.name}()"


@left_out(RECIPE, "deploys/full.py")
def _called() -> Found:
    for name, found in stages().items():
        yield from (f"{name}.{v}()" for v in found if f"\n{name}.{v}()\n" not in FULL)


@left_out(RECIPE, "docs/zh-CN/operating.md")
def _stage_row() -> Found:
    for page, text in OPERATING.items():
        for name, found in stages().items():
            rows = {verb: f"\n| `deploys.stages.{name}.{verb}` |" for verb in found}
            yield from (f"{name}.{v} in {page}" for v, row in rows.items() if row not in text)


def without(texts: Iterable[str], form: str) -> Iterator[str]:
    """Stages that are in none of these texts in this form."""
    everything = "\n".join(texts)
    for name, found in stages().items():
        forms = [form.format(title=title, name=name) for title in found.values()]
        if found and not any(re.search(each, everything) for each in forms):
            yield name


@left_out(RECIPE, "tests.plans.update")
def _golden() -> Found:
    return without((path.read_text() for path in PLANS.glob("*.txt")), r"\n  {title} \| ")


@left_out(RECIPE, "`tests/e2e`")
def _deployed() -> Found:
    form = r"\b{title} \| |\bdeploys\.stages\.{name}\b|\ntest_\w*{name}\n"
    tiers = [f"test_{tier.name}" for tier in TIERS if tier.lab]
    return without(("", *E2E.values(), "", *E2E, *tiers, ""), form)
