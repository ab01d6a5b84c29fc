"""CONTRIBUTING.md, "A new outcome script"."""

from __future__ import annotations

import ast
import re

from tests.unit.project.recipes import DEPLOYS, E2E, OPERATING, Found, left_out, stems

RECIPE = "A new outcome script"


SCRIPTS = {name: ast.parse((DEPLOYS / f"{name}.py").read_text()) for name in stems(DEPLOYS)}


def outcomes() -> set[str]:
    """Those that any step was done for."""
    rows = re.findall(r"^\| `deploys/(\w+)\.py` \|", "".join(OPERATING.values()), re.M)
    return {*SCRIPTS, *rows}


@left_out(RECIPE, "deploys/<outcome>.py`: a docstring")
def _command() -> Found:
    for name in outcomes():
        shown = ast.get_docstring(SCRIPTS[name]) or "" if name in SCRIPTS else ""
        if not re.search(rf"^pyinfra inventories/\w+\.py deploys/{name}\.py", shown, re.M):
            yield f"deploys/{name}.py"


@left_out(RECIPE, "host_lock.acquire")
def _locks() -> Found:
    for name, tree in SCRIPTS.items():
        text = ast.unparse(tree)
        acts = "deploys.operations" in text or "deploys.stages" in text or "deploys.engines" in text
        if acts and not ("host_lock.acquire(" in text and "REQUIRE_PYINFRA_VERSION" in text):
            yield f"deploys/{name}.py"


@left_out(RECIPE, "docs/zh-CN/operating.md")
def _outcome_row() -> Found:
    for page, text in OPERATING.items():
        yield from (f"{n} in {page}" for n in outcomes() if f"\n| `deploys/{n}.py` |" not in text)


@left_out(RECIPE, "`tests/e2e`")
def _outcome_run() -> Found:
    return {n for n in outcomes() if not any(f'"deploys/{n}.py"' in text for text in E2E.values())}
