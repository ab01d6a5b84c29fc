"""CONTRIBUTING.md, "A new outcome script"."""

from __future__ import annotations

import ast
import re

from tests.unit.project.recipes import DEPLOYS, E2E, OPERATING, Found, left_out, stems

RECIPE = "A new outcome script"
# Modules whose functions change a machine.
ACTS = r"deploys\.(stages|engines|operations)\.|pyinfra\.operations\."
# The lock is a program in Python.
BEFORE_THE_LOCK = {"python"}

SCRIPTS = {name: ast.parse((DEPLOYS / f"{name}.py").read_text()) for name in stems(DEPLOYS)}


def outcomes() -> set[str]:
    """Those that any step was done for."""
    rows = re.findall(r"^\| `deploys/(\w+)\.py` \|", "".join(OPERATING.values()), re.M)
    return {*SCRIPTS, *rows}


@left_out(RECIPE, "deploys/<outcome>.py`: a docstring")
def _command() -> Found:
    for name in outcomes():
        shown = ast.get_docstring(SCRIPTS[name]) or "" if name in SCRIPTS else ""
        typed = rf"^(pyinfra inventories/\w+\.py deploys/{name}\.py|python -m deploys\.{name}\b)"
        if not re.search(typed, shown, re.M):
            yield f"deploys/{name}.py"


@left_out(RECIPE, "host_lock.acquire")
def _locks() -> Found:
    for name, tree in SCRIPTS.items():
        acting = first_lines(tree)
        lock = acting.pop("host_lock", None)
        if acting and (lock is None or lock > min(acting.values())):
            yield f"deploys/{name}.py"


@left_out(RECIPE, "REQUIRE_PYINFRA_VERSION")
def _requires() -> Found:
    for name, tree in SCRIPTS.items():
        if first_lines(tree) and "config.REQUIRE_PYINFRA_VERSION" not in ast.unparse(tree):
            yield f"deploys/{name}.py"


def first_lines(tree: ast.Module) -> dict[str, int]:
    """Where each of the modules that can change a machine is first called."""
    acting = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if re.match(ACTS, f"{getattr(node, 'module', '')}.{alias.name}".lstrip("."))
    }
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func).rpartition(".")[0]):
            owner = name if name in acting else name.partition(".")[0]
            if owner in acting and owner not in BEFORE_THE_LOCK:
                found[owner] = min(node.lineno, found.get(owner, node.lineno))
    return found


@left_out(RECIPE, "docs/zh-CN/operating.md")
def _outcome_row() -> Found:
    for page, text in OPERATING.items():
        yield from (f"{n} in {page}" for n in outcomes() if f"\n| `deploys/{n}.py` |" not in text)


@left_out(RECIPE, "`tests/e2e`")
def _outcome_run() -> Found:
    texts = "".join(E2E.values())
    return {n for n in outcomes() if not re.search(rf'"deploys(/{n}\.py|\.{n})"', texts)}
