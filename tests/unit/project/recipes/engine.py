"""CONTRIBUTING.md, "A new engine"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploys.planning import unit_names
from deploys.planning.hardware.software_stacks import STACKS, stack_of
from deploys.planning.inputs.profile import ENGINES
from deploys.planning.options.record import RECORDED
from deploys.rendering.render import SERVING
from tests.unit import ROOT, UNIT
from tests.unit.planning.engines.update_options import READERS
from tests.unit.project.recipes import DEPLOYS, E2E, FULL, Found, left_out, stems, verbs
from tests.unit.rendering.render_examples import OTHER_ENGINES, PLANS, PYTHON_ENGINES

DATA, LOCKS, TEMPLATES = UNIT / "data", DEPLOYS / "locks", ROOT / "templates"
# Those whose server is a package of another name.
PACKAGES = {"ktransformers": "sglang-kt"}
RECIPE = "A new engine"


def versions() -> Iterator[tuple[str, Any]]:
    """Every engine and software stack that name each other."""
    for stack in (*STACKS, stack_of(None)):
        yield from ((engine, stack) for engine in {*stack.engines, *stack.locks})


def records() -> set[str]:
    """Modules that hold a record."""
    for_all = (DEPLOYS / "planning" / "engines").glob("*.py")
    calls = {
        path.stem: [node for node in ast.walk(ast.parse(path.read_text())) if _makes_engine(node)]
        for path in for_all
    }
    return {name for name, found in calls.items() if found}


def _makes_engine(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "Engine"


def module_of(engine: str) -> str:
    return engine.replace(".", "_")


def engines() -> set[str]:
    """Those that any step was done for."""
    used = set(re.findall(r'plan\.uses\("(.*?)"\)', FULL))
    templates = {path.parent.name for path in TEMPLATES.glob("*/*.j2") if _is_of_a_server(path)}
    known = used | templates | {name for name, _ in versions()} | {*ENGINES}
    # A module has its engine's name but for the dots.
    names = {module_of(name): name for name in known}
    modules = records() | {name for name, found in verbs("engines").items() if found}
    return known | {names.get(name, name) for name in modules}


def _is_of_a_server(path: Path) -> bool:
    """Whether a unit runs models; those of the machine's other parts begin with our own name."""
    if path.parent.name == "systemd" or path.name.startswith(unit_names.PREFIX):
        return False
    return path.read_text().startswith('{% extends "systemd/')


def unit_templates(engine: str) -> list[Path]:
    return sorted((TEMPLATES / engine).glob("*.service.j2"))


left_out(RECIPE, "`registry.py`")(lambda: engines() - {*ENGINES})
left_out(RECIPE, "`software_stacks.py`")(lambda: engines() - {name for name, _ in versions()})


@left_out(RECIPE, "locks/artifacts.yaml")
def _archive() -> Found:
    artifacts = yaml.safe_load((LOCKS / "artifacts.yaml").read_text())
    locked = {engine for _, stack in versions() for engine in stack.locks}
    planned = {engine for engine, stack in versions() if engine not in locked}
    return planned - {*artifacts}


@left_out(RECIPE, "locks/engines/")
def _requirements() -> Found:
    named = {lock for _, stack in versions() for lock in stack.locks.values()}
    return named - stems(LOCKS / "engines", "*.in")


@left_out(RECIPE, "make lock-engines")
def _locked() -> Found:
    return stems(LOCKS / "engines", "*.in") - stems(LOCKS / "engines", "*.txt")


@left_out(RECIPE, "advisories.yaml")
def _advisories() -> Found:
    known = yaml.safe_load((LOCKS / "advisories.yaml").read_text())["advisories"]
    packages = {each["package"] for each in known}
    return {name for name in engines() if not packages & {name, PACKAGES.get(name)}}


@left_out(RECIPE, "update_options.py")
def _options() -> Found:
    recorded = stems(RECORDED, "*.json")
    return {
        name
        for name in engines()
        if name not in READERS or not any(file.startswith(f"{name}-") for file in recorded)
    }


@left_out(RECIPE, "templates/<engine>/")
def _confined() -> Found:
    for engine in engines():
        units = [path.read_text() for path in unit_templates(engine)]
        if not units or not all(text.startswith('{% extends "systemd/') for text in units):
            yield engine


@left_out(RECIPE, "the settings of a service")
def _settings() -> Found:
    for engine in engines():
        if not {*(TEMPLATES / engine).glob("*.j2")} - {*unit_templates(engine)}:
            yield engine


@left_out(RECIPE, "render_examples.py")
def _examples() -> Found:
    examples = (*PLANS.values(), *PYTHON_ENGINES.values(), *OTHER_ENGINES.values())
    return engines() - {service.engine for made in examples for service in made.services}


@left_out(RECIPE, "docs/zh-CN/hardware-and-engines.md")
def _engine_row() -> Found:
    for page in ("docs/hardware-and-engines.md", "docs/zh-CN/hardware-and-engines.md"):
        text = (ROOT / page).read_text()
        for name in engines():
            title = ENGINES[name].title if name in ENGINES else name
            if f"\n| {title} |" not in text:
                yield f"{name} in {page}"


@left_out(RECIPE, "`tests/e2e`")
def _engine_deployed() -> Found:
    """Disposable machines have no GPUs."""
    everything = "\n".join(E2E.values())
    return {name for name in stack_of(None).engines if f'"{name}"' not in everything}


@left_out(RECIPE, "deploys/engines/<engine>.py")
def _verbs() -> Found:
    found = verbs("engines")
    return {name for name in engines() if {*found.get(module_of(name), ())} != {"install", "start"}}


@left_out(RECIPE, "failures.yaml")
def _failures() -> Found:
    return engines() - {
        case["engine"] for case in yaml.safe_load((DATA / "failures.yaml").read_text())
    }


@left_out(RECIPE, "deploys/full.py")
def _in_full() -> Found:
    before, _, after = FULL.partition("\nweights.fetch()\n")
    for engine in engines():
        for verb, where in (("install", before), ("start", after)):
            line = f'\nif plan.uses("{engine}"):\n    {module_of(engine)}.{verb}()\n'
            if line not in where:
                yield f"{engine}, {verb}()"


@left_out(RECIPE, "deploys/rendering/<engine>.py")
def _rendered() -> Found:
    modules = stems(DEPLOYS / "rendering")
    return {name for name in engines() if name not in SERVING or module_of(name) not in modules}
