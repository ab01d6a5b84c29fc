"""The programs of deploys/remote/, packed as a zipapp or as the text of one `python3 -c`.

`python -m deploys.connection.programs weights.pyz` writes an archive to copy by hand to a machine
that nothing is deployed to: `python3 weights.pyz --help`.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path

from pyinfra.api import QuoteString, StringCommand

_SOURCE = Path(__file__).resolve().parents[1] / "remote"
_MAIN = "from modelrack_remote.{} import main\n\nraise SystemExit(main())\n"


@cache
def zipapp(program: str = "__main__") -> bytes:
    """Return an archive that runs `program`; the same sources always give the same bytes."""
    archive = io.BytesIO(b"#!/usr/bin/env python3\n")
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as bundle:
        _add(bundle, "__main__.py", _MAIN.format(program))
        for source in sorted(_SOURCE.rglob("*.py")):
            name = source.relative_to(_SOURCE).as_posix()
            _add(bundle, f"modelrack_remote/{name}", source.read_text())
    return archive.getvalue()


def _add(bundle: zipfile.ZipFile, name: str, text: str) -> None:
    bundle.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), text)


def path() -> str:
    """Return the archive's path on the machine, named by digest: a running one is not replaced."""
    return f"/opt/modelrack/bin/modelrack-{hashlib.sha256(zipapp()).hexdigest()[:12]}.pyz"


def command(*words: object) -> StringCommand:
    """Return the command that runs the archive with these arguments."""
    return StringCommand("python3", path(), *(QuoteString(str(word)) for word in words))


def inline(program: str, *words: object) -> StringCommand:
    """Return the command that runs one program, such as "facts.machine", without the archive.

    Its source travels inside the command, compressed, together with the modules that it imports.
    """
    return StringCommand(
        *("python3", "-c", QuoteString(_UNPACK % _packed(program))),
        *(QuoteString(str(word)) for word in words),
    )


def source(program: str) -> str:
    """Return the text of a program that an interpreter of an engine is given as its input."""
    return _file(program).read_text()


# What a program imports of its package is made and run before it, and itself runs as __main__.
_UNPACK = """\
import base64, json, sys, types, zlib
def add(name):
    module = sys.modules[name] = types.ModuleType(name)
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules.get(parent) or add(parent), last, module)
    module.__package__, module.__path__ = parent, []
    return module
sources = json.loads(zlib.decompress(base64.b64decode("%s")))
for name, source in sources.items():
    module = add("modelrack_remote." + name)
    del module.__path__
    if name == list(sources)[-1]:
        module.__name__ = "__main__"
    exec(compile(source, name + ".py", "exec"), module.__dict__)
"""


@cache
def _packed(program: str) -> str:
    modules = {name: _file(name).read_text() for name in _with_imports(program)}
    return base64.b64encode(zlib.compress(json.dumps(modules).encode(), 9)).decode()


def _with_imports(program: str) -> list[str]:
    """Return the program and the modules of its package that it imports, dependencies first."""
    names: list[str] = []
    for node in ast.walk(ast.parse(_file(program).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = [*program.split(".")[: -node.level], *filter(None, [node.module])]
            for alias in node.names:
                inside = ".".join([*above, alias.name])
                names += _with_imports(inside if _file(inside).exists() else ".".join(above))
    return list(dict.fromkeys([*names, program]))


def _file(name: str) -> Path:
    return _SOURCE.joinpath(*name.split(".")).with_suffix(".py")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_bytes(zipapp(Path(name).stem))
        Path(name).chmod(0o755)
