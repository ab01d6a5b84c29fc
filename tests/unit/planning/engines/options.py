"""Whether an engine's pinned version accepts the settings that are rendered for it.

data/options/<engine>-<version>.json lists what it accepts, as update_options.py read it;
removed.yaml beside it, written by hand, has what went away and what is used instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from tests.unit import UNIT

DATA = UNIT / "data" / "options"
# Versions whose source nobody here could read, and the one nearest to them that was.
NEAREST = {("ollama", "0.35.0"): "0.33.0-rc2"}
# Variables that other programs in a service's process read: ours, systemd's, libraries'.
OTHERS = re.compile(
    r"MODELRACK_|(HOME|PATH|TMPDIR|LD_PRELOAD|LD_LIBRARY_PATH|CC|CXX|NO_PROXY|HTTPS?_PROXY)$"
    r"|(XDG|HF|TRANSFORMERS|TORCH|TORCHINDUCTOR|TRITON|CUDA|NCCL|GLOO|OMP|KMP|NUMBA|PYTHON|UCX)_"
    # SGLang reads it where it opens sockets, and not with its other variables.
    r"|SGLANG_HOST_IP$"
    r"|(FLASHINFER|TOKENIZERS|PROMETHEUS|OTEL|GGML|HIP|ROCR|HSA|ASCEND|DG_JIT|MODELSCOPE)_"
)


def check(engine: str, version: str, settings: Mapping[str, Any]) -> list[str]:
    """What the engine would not take of these settings, a sentence each.

    + settings: by name, as the file has it: a variable, or an option without its dashes
    """
    known, removed = accepted(engine, version), replacements(engine)
    found = []
    for key, value in settings.items():
        name = key if _is_variable(key) else f"--{key.replace('_', '-')}"
        option = known.get(name)
        if _is_variable(key) and option is None and OTHERS.match(key):
            continue
        if option is None or "instead" in option:
            instead = option["instead"] if option else removed.get(name, "")
            reason = "does not know" if option is None else "gave up"
            found.append(f"{engine} {version} {reason} {name}{_use(instead)}")
        elif problem := _problem(option, value, is_text=_is_variable(key)):
            found.append(f"{engine} {version}: {name} {problem}")
    return found


def settings(path: str, content: str) -> dict[str, Any]:
    """Of a file below /etc/modelrack: YAML, or lines of an environment file."""
    if path.endswith(".yaml"):
        return yaml.safe_load(content) or {}
    lines = [line for line in content.splitlines() if line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


@cache
def accepted(engine: str, version: str) -> dict[str, dict[str, Any]]:
    """Options by each of their names, variables among them."""
    path = DATA / f"{engine}-{NEAREST.get((engine, version), version)}.json"
    found = {}
    for option in json.loads(path.read_text()):
        for name in (option["name"], *option.get("aliases", ()), option.get("env")):
            if name:
                found[name] = option
    return found


@cache
def replacements(engine: str) -> dict[str, str]:
    """What to use instead of options that went away; "" is nothing."""
    return yaml.safe_load((DATA / "removed.yaml").read_text()).get(engine, {})


def _is_variable(key: str) -> bool:
    return key.upper() == key and not key.startswith("-")


def _use(instead: str) -> str:
    return f"; use {instead}" if instead else "; leave it out"


def _problem(option: dict[str, Any], value: Any, is_text: bool) -> str:
    """What is wrong with a value; an environment file has texts alone."""
    choices = option.get("choices")
    if not is_text and not option["value"]:
        return "" if isinstance(value, bool) else f"takes no value, and got {value!r}"
    if not is_text and isinstance(value, bool):
        return f"wants a value, and got {value}"
    for each in value if isinstance(value, list) else [value]:
        if choices and str(each) not in choices:
            return f"is one of {', '.join(choices)}, and not {each}"
    return ""
