"""The rules of style that a program can check; each is explained in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from urllib.parse import urlsplit

import grimp
import pytest
from importlinter import api
from pip._internal.models.index import PyPI
from pyinfra.api.arguments import all_argument_meta

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.site import CN, GLOBAL
from tests.unit import ROOT

DEPLOYS = ROOT / "deploys"
REMOTE = DEPLOYS / "remote"
SOURCES = sorted(DEPLOYS.rglob("*.py"))
MODULES = [path for path in SOURCES if path.parent != DEPLOYS]
# Where operations are called: from the entry scripts down to the engines.
SCRIPTS = sorted(path for path in DEPLOYS.glob("*.py") if path.stem != "__init__")
CALLERS = [
    *SCRIPTS,
    *sorted((DEPLOYS / "stages").rglob("*.py")),
    *sorted((DEPLOYS / "engines").rglob("*.py")),
]
# Modules that a folder may have of its own; what is more than these has subjects of its own.
MODULES_OF_A_FOLDER = 15
GROUP_DATA = sorted((ROOT / "inventories" / "group_data").glob("*.py"))
URL = re.compile(r"https?://(?!127\.0\.0\.1|localhost|\[::1\])\w")
# A path that exists on the machine of whoever wrote the file, and on no other. On the machines of
# the lab one is root.
MACHINE_PATH = re.compile(r"(?<![\w.})])/(?:work|root)/")
LAB_PATH = re.compile(r"(?<![\w.})])/work/")


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def tracked() -> list[Path]:
    """What is in git, or will be."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
    )
    paths = [ROOT / name for name in listing.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix != ".gz"]


def operations() -> dict[str, inspect.Signature]:
    """Our operations by dotted name."""
    found = {}
    for path in (DEPLOYS / "operations").rglob("[a-z]*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name)
        for name, value in vars(module).items():
            if hasattr(value, "_inner") and value._inner.__module__ == module.__name__:
                found[f"{module.__name__}.{name}"] = inspect.signature(value._inner)
    return found


OPERATIONS = operations()


def imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or a.name: a.name for a in node.names}
    return names


def calls(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, ast.Call]]:
    """Calls of imported things, with dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            yield f"{names.get(first, first)}{'.' if rest else ''}{rest}", node


def is_operation(name: str) -> bool:
    return name in OPERATIONS or name.startswith("pyinfra.operations.")


def keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def lines(nodes: list[ast.AST]) -> list[str]:
    return [f"line {node.lineno}: {ast.unparse(node)[:80]}" for node in nodes]


@each(MODULES)
def test_modules_define_and_do_not_act(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = imported(tree)
    top = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    acting = [
        node for node in top if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    acting += [call for node in top for name, call in calls(node, names) if is_operation(name)]
    assert not lines(acting)


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every module of deploys/ and those that it imports, for type checkers alone included."""
    graph = grimp.build_graph("deploys", cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_no_modules_import_each_other(imports: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"{' <- '.join(error.args[1])}: what both need belongs in a module of its own")


@each(SCRIPTS)
def test_nothing_imports_a_script(path: Path, imports: dict[str, set[str]]) -> None:
    assert not [name for name, found in imports.items() if f"deploys.{path.stem}" in found]


def test_every_folder_is_a_layer_or_travels() -> None:
    layers = api.read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"][0]["layers"]
    named = {each.strip() for layer in layers for each in layer.split("|")} | {"deploys.remote"}
    assert named == {f"deploys.{path.parent.name}" for path in DEPLOYS.glob("*/__init__.py")}


def test_no_folder_has_too_many_modules() -> None:
    # Entry scripts are found by the table of docs/operating.md, each in a row.
    modules = [path for path in SOURCES if path not in SCRIPTS and path.stem[:2] != "__"]
    count = Counter(str(path.parent.relative_to(ROOT)) for path in modules)
    assert {name: n for name, n in count.items() if n > MODULES_OF_A_FOLDER} == {}


@each(CALLERS)
def test_operations_stand_in_straight_lines_or_in_host_loop(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = imported(tree)
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for loop in (node for node in ast.walk(tree) if isinstance(node, loops)):
        # A stage's own functions may hold operations, too.
        local = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        around = [
            call
            for name, call in calls(loop, names)
            if is_operation(name) or name in local or name.startswith("deploys.stages")
        ]
        if isinstance(loop, ast.For) and ast.unparse(loop.iter).startswith("host.loop("):
            around = [n for n in ast.walk(loop) if isinstance(n, ast.Break | ast.Return)]
        elif isinstance(loop, ast.ListComp | ast.GeneratorExp):
            around = [call for name, call in calls(loop, names) if is_operation(name)]
        assert not lines(around)


@each([*SOURCES, *GROUP_DATA])
def test_what_does_not_work_in_pyinfra_is_not_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    banned = [node for node in attributes if node.attr == "changed"]
    dotted = {"host.when", "host.arguments", "local.include", "server.shell"}
    banned += [node for node in attributes if ast.unparse(node) in dotted]
    assert not lines(banned)
    assert "--no-wait" not in path.read_text()


@each(CALLERS)
def test_every_operation_has_a_constant_name(path: Path) -> None:
    tree = ast.parse(path.read_text())
    named = [
        (call, keywords(call).get("name"))
        for name, call in calls(tree, imported(tree))
        if is_operation(name)
    ]
    assert not lines([call for call, name in named if not isinstance(name, ast.Constant)])
    texts = [name.value for _, name in named if isinstance(name, ast.Constant)]
    assert len(texts) == len(set(texts))


@each([path for path in SOURCES if "remote" not in path.parts])
def test_every_file_has_an_explicit_mode(path: Path) -> None:
    tree = ast.parse(path.read_text())
    writing = {"deploys.operations.files.File", "deploys.operations.files.upload"}
    modeless = [
        call
        for name, call in calls(tree, imported(tree))
        if name in writing and "mode" not in keywords(call)
    ]
    assert not lines(modeless)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_parameter_of_an_operation_hides_one_of_pyinfra(name: str) -> None:
    assert not set(OPERATIONS[name].parameters) & set(all_argument_meta)


@each(GROUP_DATA)
def test_group_data_defines_no_functions_and_no_classes(path: Path) -> None:
    defined = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
    ]
    assert not lines(defined)


@each([*SOURCES, *GROUP_DATA, *sorted((ROOT / "inventories").glob("*.py"))])
def test_addresses_come_from_the_site_alone(path: Path) -> None:
    if path == DEPLOYS / "planning" / "inputs" / "site.py":
        return
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    literals = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
        and URL.search(node.value)
    ]
    assert not lines(literals)


@each(sorted((ROOT / "templates").rglob("*.j2")))
def test_a_template_takes_addresses_from_the_site(path: Path) -> None:
    text = [line for line in path.read_text().splitlines() if not line.startswith(("#", "//"))]
    assert not [line for line in text if URL.search(line) and "Documentation=" not in line]


# Where engines are named one by one: pyinfra tells their operations apart by line, and a version
# belongs to a software stack. `Origin` names places, and Ollama's archive lies in one of its name.
# KTransformers is built on SGLang, and imports its module.
NAMING_ENGINES = {
    "full.py",
    "planning/hardware/software_stacks.py",
    "planning/inputs/site.py",
    "planning/engines/ktransformers.py",
}


@each([path for path in SOURCES if REMOTE not in path.parents])
def test_an_engine_is_named_in_its_own_files_alone(path: Path) -> None:
    """What is particular to one engine stands in its record, deploys/planning/engines."""
    if str(path.relative_to(DEPLOYS)) in NAMING_ENGINES:
        return
    names = [name for name in ENGINES if path.stem != name.replace(".", "_")]
    units = [ENGINES[name].unit_prefix for name in names]
    named = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value in names or node.value.startswith(tuple(units)))
    ]
    assert not lines(named)


def test_no_package_registry_is_named() -> None:
    registries = {PyPI.netloc, PyPI.file_storage_domain}
    mirrors = {getattr(site, entry.name) for site in (CN, GLOBAL) for entry in fields(site)}
    chosen = {urlsplit(address).hostname for address in mirrors if address}
    # What this machine's own apt reads, where it has one.
    for path in Path("/etc/apt").glob("sources.list*/*"):
        hosts = re.findall(r"https?://([\w.-]+)", path.read_text(errors="replace"))
        registries |= set(hosts) - chosen
    named = [
        (str(path.relative_to(ROOT)), registry)
        for path in tracked()
        for registry in registries
        if registry in path.read_text(errors="replace")
    ]
    assert not named


def test_no_file_names_the_machine_it_was_written_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (LAB_PATH if {"lab", "e2e", "browser"} & set(path.parts) else MACHINE_PATH).search(line)
    ]
    assert not found


@each(SOURCES)
def test_a_file_is_short_named_for_its_subject_and_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) < 300
    assert path.stem not in {"utils", "util", "helpers", "manager", "common", "misc"}
    # The documentation of a program's main is that of its module.
    public = [
        node
        for node in [tree, *tree.body]
        if isinstance(node, ast.Module)
        or (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and node.name != "main"
        )
    ]
    undocumented = [
        getattr(node, "name", "the module") for node in public if not ast.get_docstring(node)
    ]
    assert not undocumented


@each(sorted(REMOTE.rglob("*.py")))
def test_programs_on_the_machine_need_python_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
        # They travel as one folder, so nothing lies above it.
        above = len(path.relative_to(REMOTE).parts)
        assert not isinstance(node, ast.ImportFrom) or node.level <= above
