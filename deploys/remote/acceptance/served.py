"""Print what services have loaded and what they answer, as one JSON object by service.

    python3 served.py < services.json      [{"name", "unit", "url", "served", "task", "engine",
                                            "directory", "entry", "settings", "template", "deep",
                                            "questions", "tokens"}]

"settings" is the file that says which weights an engine opens, "template" the sha256 of the chat
template that the profile sets, or null for that of the weights. With "deep" every byte of the
weights is read. Each question is asked alone and answered greedily.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from ..formats import gguf, gguf_metadata
from ..formats.declared import declared
from ..lib.content import no_callback
from ..lib.failure import Failure
from ..lib.probe import read, run
from ..model_dir import manifest, verify
from ..services.model_server import ModelServer, RequestFailed

# Seconds that an answer may keep us waiting; a thinking model on a processor takes its time.
_PATIENCE = 600
# Where each engine's settings say what it opens.
_OPENED = re.compile(r'^(?:LLAMA_ARG_MODEL=(.+)|model(?:-path)?: "(.+)")$', re.MULTILINE)


def main() -> int:
    services: list[dict[str, Any]] = json.load(sys.stdin)
    print(json.dumps({service["name"]: _seen(service) for service in services}))
    return 0


def _seen(service: dict[str, Any]) -> dict[str, Any]:
    found = {**_unit(service["unit"]), **_weights(service), **_answers(service)}
    opened = found["opened"] or service["entry"] or service["directory"]
    found.update(_quantization(Path(opened)))
    found.update(_template(service, opened))
    return found


def _unit(unit: str) -> dict[str, Any]:
    asked = ("ActiveState", "NRestarts", "UnitFileState", "MainPID")
    text, _ = run("systemctl", "show", f"--property={','.join(asked)}", unit)
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {
        "active": said.get("ActiveState", "unknown"),
        "restarts": int(said.get("NRestarts") or 0),
        "enabled": said.get("UnitFileState") or "disabled",
        "pid": int(said.get("MainPID") or 0),
    }


def _weights(service: dict[str, Any]) -> dict[str, Any]:
    """Return what a service opens, and what is wrong with what was fetched."""
    pid = _unit(service["unit"])["pid"]
    # What it was started with, where it says it there, else what its file says now.
    environment = read(f"/proc/{pid}/environ").replace("\0", "\n") if pid else ""
    match = _OPENED.search(environment) or _OPENED.search(read(service["settings"]))
    directory = Path(service["directory"])
    problem, done = "", "sizes and times"
    try:
        recorded = manifest.load(directory / manifest.NAME)
        if recorded is None:
            problem = f"{directory} has no manifest"
        elif service["deep"]:
            done = "every byte"
            problem = "; ".join(verify.problems(recorded, directory, no_callback))
        else:
            problem = "; ".join(manifest.problems(recorded, directory))
        if recorded is not None and not problem:
            problem = _other_files(recorded, service["files"])
    except Failure as failure:
        problem = str(failure)
    return {
        "opened": (match[1] or match[2]) if match else None,
        "weights_problem": problem,
        "weights_read": done,
        "weights": {each.path: each.sha256 for each in recorded.files} if recorded else {},
    }


def _other_files(recorded: manifest.Manifest, planned: dict[str, str]) -> str:
    """Return which files of the manifest are not those of the plan, by their hashes."""
    listed = {each.path: each.sha256 for each in recorded.sources}
    other = [path for path, sha256 in planned.items() if listed.get(path) != sha256]
    return f"{other[0]} is another file than that of the plan" if other else ""


def _answers(service: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "models": [],
        "context": None,
        "answers": [],
        "answers_error": "",
        "template": None,
    }
    server = ModelServer(service["url"], _PATIENCE)
    try:
        models = server.models()
        found["models"] = list(models)
        found["context"] = server.context(models.get(service["served"], {}))
        if service["engine"] == "llama.cpp":
            found["template"] = _sha256(server.template())
        if service["task"] == "generate":
            for question in service["questions"]:
                said = server.answer(service["served"], question, service["tokens"])
                found["answers"].append(said)
    except (RequestFailed, KeyError, IndexError, TypeError) as error:
        found["answers_error"] = str(error) or repr(error)
    finally:
        server.close()
    return found


def _quantization(opened: Path) -> dict[str, Any]:
    """Return how the weights that are served are quantized, as they say it themselves.

    Of a GGUF that is its number (general.file_type); of a folder its name.
    """
    try:
        if opened.is_file():
            kind = gguf_metadata.metadata(_header(opened)).get("general.file_type")
            return {"file_type": kind, "quantization": None, "quantization_error": ""}
        documents = {path.name: json.loads(read(path)) for path in opened.glob("*config*.json")}
        said = declared(documents)
        config = documents.get("config.json", {})
        kind = config.get("dtype") or config.get("torch_dtype")
        return {"file_type": kind, "quantization": said.name or None, "quantization_error": ""}
    except (OSError, ValueError, Failure) as error:
        return {"file_type": None, "quantization": None, "quantization_error": str(error)}


def _template(service: dict[str, Any], opened: str) -> dict[str, Any]:
    """Return the template that is wanted: the profile's, or that of the planned weights."""
    if service["template"]:
        return {"template_wanted": service["template"], "template_where": "profile"}
    wanted = None
    entry = Path(service["entry"] or opened)
    if entry.is_file():
        try:
            said = gguf_metadata.metadata(_header(entry)).get("tokenizer.chat_template")
            wanted = _sha256(str(said)) if said else None
        except (OSError, Failure):
            pass  # What is wrong with the file was said before.
    return {"template_wanted": wanted, "template_where": "weights"}


def _header(path: Path) -> gguf.Header:
    with path.open("rb") as file:
        size = path.stat().st_size

        def first(count: int) -> bytes:
            file.seek(0)
            return file.read(count)

        return gguf.beginning(first, size, path.name)[1]


def _sha256(text: str) -> str:
    # llama-server trims what it has read.
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


if __name__ == "__main__":
    raise SystemExit(main())
