"""Of one name there is one type, or a reader of one file takes it for that of another."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.unit import ROOT

# The same thing on both sides of a connection, as JSON in between: programs for the machine import
# nothing of ours. Each side names the other's file.
MIRRORED = {
    "ListedFile": ("deploys/planning/inputs/locks.py", "deploys/remote/lib/spec.py"),
    "ListingRequest": ("deploys/control/hub_clients.py", "deploys/remote/hubs/listing.py"),
    "Registration": (
        "deploys/operations/services/ollama.py",
        "deploys/remote/ollama/registration.py",
    ),
}


def types(tree: ast.Module) -> Iterator[str]:
    """What a file defines, or takes from pyinfra, by the names that are written like types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(
            statement.value, ast.Subscript | ast.BinOp | ast.Name
        ):
            names = [
                each.id.lstrip("_") for each in statement.targets if isinstance(each, ast.Name)
            ]
            yield from (name for name in names if name[:1].isupper() and not name.isupper())


def from_pyinfra(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyinfra":
            yield from (alias.name for alias in node.names if alias.name[:1].isupper())


def defined(sources: dict[str, str]) -> dict[str, list[str]]:
    """The places of every type: a file each time that it defines one, and pyinfra."""
    found = defaultdict(list)
    theirs: set[str] = set()
    for path, text in sources.items():
        tree = ast.parse(text)
        for name in types(tree):
            found[name].append(path)
        theirs |= {*from_pyinfra(tree)}
    return {name: [*places, *(["pyinfra"] * (name in theirs))] for name, places in found.items()}


def test_no_two_types_have_one_name() -> None:
    paths = sorted((ROOT / "deploys").rglob("*.py"))
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    more = {name: (*at,) for name, at in defined(sources).items() if len(at) > 1}
    assert more == MIRRORED, "rename one of the two by what it is, or name both in MIRRORED"
    for one, other in MIRRORED.values():
        assert one in sources[other] and other in sources[one]


def test_a_second_type_is_seen_however_it_is_defined() -> None:
    sources = {
        "a.py": "from pyinfra.api.state import State\nclass Source: ...\nclass _Unit: ...",
        "b.py": "Unit = str | int\nState = Literal['done']\nSOURCE = MODES[0]\nPATHS = A | B",
        "c.py": "def f():\n    class Source: ...",
    }
    found = {name: places for name, places in defined(sources).items() if len(places) > 1}
    assert found == {
        "Source": ["a.py", "c.py"],
        "Unit": ["a.py", "b.py"],
        "State": ["b.py", "pyinfra"],
    }
