"""The options of SGLang and of KTransformers' fork of it, read from source without running it.

SGLang declares most of them as fields, `name: A[type, Arg(...)]`, in classes below
srt/arg_groups/fields; the others, and all of the fork, are calls of `add_argument`.
"""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = {"store_true", "store_false", "BooleanOptionalAction", "DeprecatedAction"}
FLAGS |= {"DeprecatedStoreTrueAction"}
# Where the names of parsers are: keys of one table each.
PARSERS = {
    "--reasoning-parser": "sglang/srt/parser/reasoning_parser.py",
    "--tool-call-parser": "sglang/srt/function_call/function_call_parser.py",
}


def read(wheel: Path) -> list[dict[str, Any]]:
    """Options and environment variables in a wheel."""
    with zipfile.ZipFile(wheel) as files:
        source = {
            name.removeprefix("sglang/srt/"): ast.parse(files.read(name))
            for name in files.namelist()
            if name.startswith(("sglang/srt/arg_groups/", "sglang/srt/server_args.py"))
            or name == "sglang/srt/environ.py"
            or name in PARSERS.values()
            if name.endswith(".py")
        }
    constants: dict[str, list[str]] = {}
    for tree in source.values():
        _constants(tree, constants)
    found = []
    for name, tree in source.items():
        if name.startswith("arg_groups/fields/"):
            found += [entry for field in _fields(tree) if (entry := _field(field, constants))]
    found += [_added(call, constants) for call in _calls(source["server_args.py"])]
    for option in filter(None, found):
        if option["name"] in PARSERS:
            path = PARSERS[option["name"]].removeprefix("sglang/srt/")
            option["choices"] = _tabled(source[path])
    return found + [
        {"name": name, "env": name, "value": True} for name in _variables(source["environ.py"])
    ]


def _constants(tree: ast.Module, known: dict[str, list[str]]) -> None:
    """Lists of choices that have a name."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and (values := _values(node.value, known)):
            known[ast.unparse(node.targets[0])] = values


def _values(node: ast.expr | None, known: dict[str, list[str]]) -> list[str] | None:
    """Choices, or None where source alone does not tell them."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        if all(isinstance(each, ast.Constant) for each in node.elts):
            return [str(each.value) for each in node.elts if isinstance(each, ast.Constant)]
    elif isinstance(node, ast.Name):
        return known.get(node.id)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _values(node.left, known), _values(node.right, known)
        return left + right if left and right else None
    return None


def _fields(tree: ast.Module) -> Iterator[ast.AnnAssign]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from (each for each in node.body if isinstance(each, ast.AnnAssign))


def _field(node: ast.AnnAssign, known: dict[str, list[str]]) -> dict[str, Any] | None:
    """What add_cli_args_from_dataclass makes of a field; None where it passes it over."""
    annotation = node.annotation
    if not (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "A"):
        return None
    kind, *notes = annotation.slice.elts  # type: ignore[attr-defined]
    about = next((n for n in notes if isinstance(n, ast.Call) and _called(n) == "Arg"), None)
    said = {word.arg: word.value for word in about.keywords} if about else {}
    plain = any(isinstance(n, ast.Constant | ast.JoinedStr | ast.BinOp) for n in notes)
    if "no_cli" in said or not (about or plain):
        return None
    default = "--" + ast.unparse(node.target).replace("_", "-")
    names = [_text(said["cli_name"]) if "cli_name" in said else default]
    names += [_text(alias) for alias in getattr(said.get("aliases"), "elts", ())]
    action = ast.unparse(said["action"]).rpartition(".")[2] if "action" in said else ""
    flag = action in FLAGS or (not action and ast.unparse(kind) == "bool")
    choices = _values(said.get("choices"), known) or _literal(kind)
    negative = action == "BooleanOptionalAction"
    made = entry(names, not flag, choices, negative=negative, type=_type(said, kind))
    if negative:
        # Its reader of files refuses these (utils/server_args_config_parser.py).
        made["command_line"] = True
    if "nargs" in said or ast.unparse(kind).startswith(("List", "Optional[List", "list")):
        made["many"] = not flag
    return made


def _literal(kind: ast.expr) -> list[str] | None:
    """Values of Literal[...], alone or in Optional[...]."""
    if isinstance(kind, ast.Subscript):
        if ast.unparse(kind.value) == "Optional":
            return _literal(kind.slice)
        if ast.unparse(kind.value) == "Literal":
            return _values(kind.slice, {})
    return None


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "add_argument":
            yield node


def _added(call: ast.Call, known: dict[str, list[str]]) -> dict[str, Any]:
    said = {word.arg: word.value for word in call.keywords}
    action = ""
    if "action" in said:
        action = ast.unparse(said["action"]).strip("'\"").rpartition(".")[2]
    flag = action in FLAGS
    names, choices = [_text(name) for name in call.args], _values(said.get("choices"), known)
    made = entry(names, not flag, choices, type=_type(said), many="nargs" in said)
    if action.startswith("Deprecated"):
        made["instead"] = _text(said.get("new_flag")) or _text(said.get("help"))
    return made


def _type(said: dict[str | None, ast.expr], kind: ast.expr | None = None) -> str:
    """What the value of an option is: by its parser, or by the type of its field."""
    by = said.get("type_parser") or said.get("type") or kind
    named = ast.unparse(by) if by else ""
    if named == "json.loads":
        return "json"
    wanted = re.fullmatch(r"(?:Optional\[)?(?:[Ll]ist\[)?(int|float)\]*", named)
    return wanted[1] if wanted else "text"


def entry(
    names: list[str],
    value: bool,
    choices: list[str] | None,
    negative: bool = False,
    type: str = "text",
    many: bool = False,
) -> dict[str, Any]:
    """One option as the data has it; `value` where it takes one."""
    if negative:
        names = [*names, names[0].replace("--", "--no-", 1)]
    made: dict[str, Any] = {"name": names[0]}
    if names[1:]:
        made["aliases"] = names[1:]
    made["value"] = value
    if value and type != "text":
        made["type"] = type
    if value and many:
        made["many"] = True
    if choices:
        made["choices"] = choices
    return made


def _tabled(tree: ast.Module) -> list[str]:
    """Keys of the table of parsers."""
    tables = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
        if ast.unparse(node.target) in ("DetectorMap", "ToolCallParserEnum")
    ]
    return [_text(key) for key in tables[0].keys]


def _variables(tree: ast.Module) -> list[str]:
    """Names of class Envs."""
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Envs"]
    return [
        ast.unparse(node.targets[0])
        for node in classes[0].body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    ]


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
