"""Whether an engine's pinned version accepts the settings that are rendered for it.

planning/options/record.py has what it accepts, as update_options.py read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from deploys.planning.options.record import accepted, problem, replacements

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
        if option is None or option.instead is not None:
            instead = option.instead if option else removed.get(name, "")
            reason = "does not know" if option is None else "gave up"
            found.append(f"{engine} {version} {reason} {name}{_use(instead or '')}")
        # An environment file has texts alone; a flag's says whether it is set.
        elif wrong := problem(option, value if option.value else _flag(value)):
            found.append(f"{engine} {version}: {name} {wrong}")
    return found


def settings(path: str, content: str) -> dict[str, Any]:
    """Of a file below /etc/modelrack: YAML, or lines of an environment file."""
    if path.endswith(".yaml"):
        return yaml.safe_load(content) or {}
    lines = [line for line in content.splitlines() if line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def _is_variable(key: str) -> bool:
    return key.upper() == key and not key.startswith("-")


def _flag(value: Any) -> Any:
    return {"0": False, "1": True}.get(str(value), value)


def _use(instead: str) -> str:
    return f"; use {instead}" if instead else "; leave it out"
