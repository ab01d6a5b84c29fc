"""Models made by `ollama create`, for versions of Ollama whose folder layout is not known here.

The command keeps up to three copies of the weights for a while, and needs a server. One is started
for it alone, under the account that Ollama runs as, on a port of its own: the regular server may be
unable to write and need not be running. The files it wrote are recorded in `.modelrack/<name>.json`
in the folder.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..lib import space
from ..lib.durable import replace
from ..lib.failure import Failure
from ..lib.folders import make_directories
from ..lib.spec import take_ownership

# Copies of the weights that lie in the folder at one time: uploaded, rewritten, and as a blob.
COPIES = 3
PATIENCE = 60.0


@dataclass(frozen=True)
class GgufSource:
    """The GGUF file that a model is made from, and the parameters that its Modelfile sets."""

    file: Path
    sha256: str
    size: int
    parameters: dict[str, int | float]


def create(models: Path, name: str, source: GgufSource, program: str, ids: tuple[int, int]) -> None:
    """Create the model in Ollama, and record what it was made from and which files were written."""
    make_directories(models, ids)
    space.require(models, COPIES * source.size, 16)
    before = _files(models)
    with _server(models, program, ids) as (run, folder):
        recipe = folder / "Modelfile"
        settings = [f"PARAMETER {key} {value}\n" for key, value in source.parameters.items()]
        recipe.write_text("".join([f"FROM {source.file}\n", *settings]), "utf-8")
        take_ownership(recipe, ids)
        run("create", name, "-f", str(recipe))
    made = {path: size for path, size in _files(models).items() if before.get(path) != size}
    record = {"sha256": source.sha256, "parameters": source.parameters, "files": made}
    make_directories(_record(models, name).parent, (-1, -1))
    replace(_record(models, name), json.dumps(record).encode())


def holds(models: Path, name: str, sha256: str, parameters: dict[str, int | float]) -> bool:
    """Return whether the model was made from this file and all files written for it still exist."""
    try:
        found: dict[str, Any] = json.loads(_record(models, name).read_bytes())
    except (OSError, ValueError):
        return False
    there = _files(models)
    return (found["sha256"], found["parameters"]) == (sha256, parameters) and all(
        there.get(path) == size for path, size in found["files"].items()
    )


def exists(models: Path, name: str) -> bool:
    """Return whether a model of this name was made here."""
    return _record(models, name).exists()


def remove(models: Path, name: str, program: str, ids: tuple[int, int]) -> None:
    """Remove the model from Ollama, and its record."""
    with _server(models, program, ids) as (run, _):
        run("rm", name)
    forget(models, name)


def forget(models: Path, name: str) -> None:
    """Remove the record of a model that has been replaced by one not made here."""
    _record(models, name).unlink(missing_ok=True)


def _record(models: Path, name: str) -> Path:
    return models / ".modelrack" / f"{name.replace('/', ',')}.json"


def _files(models: Path) -> dict[str, int]:
    return {
        str(path.relative_to(models)): path.stat().st_size
        for path in models.rglob("*")
        if path.is_file() and ".modelrack" not in path.parts
    }


@contextlib.contextmanager
def _server(models: Path, program: str, ids: tuple[int, int]) -> Iterator[tuple[Any, Path]]:
    """Run a server of its own; yield a function that runs an Ollama command on it, and its folder.

    The folder is temporary and belongs to `ids`. Raise Failure if the program is missing or the
    server does not answer.
    """
    if not shutil.which(program):
        raise Failure(f"{program} is not there: install Ollama, then run this again")
    with tempfile.TemporaryDirectory(prefix="ollama-") as name:
        folder = Path(name)
        take_ownership(folder, ids)
        port = _free_port()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": name,
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_MODELS": str(models),
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_NOPRUNE": "1",
        }
        who: dict[str, Any] = {}
        if ids[0] > 0:
            group = ids[1] if ids[1] >= 0 else pwd.getpwuid(ids[0]).pw_gid
            who = {"user": ids[0], "group": group, "extra_groups": []}
        process = subprocess.Popen(
            [program, "serve"], env=environment, stdin=subprocess.DEVNULL, cwd=name, **who
        )

        def run(*words: str) -> None:
            done = subprocess.run(
                [program, *words], env=environment, stdin=subprocess.DEVNULL, cwd=name, **who
            )
            if done.returncode:
                raise Failure(
                    f"ollama {' '.join(words)} ended with code {done.returncode}: it says why above"
                )

        try:
            _wait(process, port)
            yield run, folder
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/version")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure("ollama serve does not answer: it says why above")
        time.sleep(0.1)
