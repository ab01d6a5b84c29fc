"""The environment of Ollama, as `ollama serve --help` of 0.33 lists it.

https://github.com/ollama/ollama/blob/main/envconfig/config.go
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


def _flag(text: str) -> bool:
    # What Go's strconv.ParseBool takes.
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _duration(text: str) -> float:
    """Go's form, `1h30m`, or seconds; what is negative is forever."""
    if re.fullmatch(r"-?\d+", text):
        return float("inf") if text.startswith("-") else float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError(f"{text!r} is no duration")
    return sum(float(count) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[u] for count, u in parts)


def _cache_type(text: str) -> str:
    if text not in ("f16", "q8_0", "q4_0"):
        raise ValueError(f"{text!r} is no type of cache")
    return text


# What Ollama knows, and how it reads it. Others that begin with OLLAMA_ are refused here.
KNOWN: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(
        (
            *("OLLAMA_DEBUG", "OLLAMA_DEBUG_LOG_REQUESTS", "OLLAMA_FLASH_ATTENTION"),
            *("OLLAMA_GO_TEMPLATE", "OLLAMA_IGPU_ENABLE", "OLLAMA_NO_CLOUD", "OLLAMA_NOHISTORY"),
            *("OLLAMA_NOPRUNE", "OLLAMA_SCHED_SPREAD", "OLLAMA_VULKAN", "OLLAMA_AUTH"),
        ),
        _flag,
    ),
    **dict.fromkeys(
        (
            *("OLLAMA_CONTEXT_LENGTH", "OLLAMA_GPU_OVERHEAD", "OLLAMA_MAX_LOADED_MODELS"),
            *("OLLAMA_MAX_QUEUE", "OLLAMA_MAX_TRANSFER_STREAMS", "OLLAMA_NUM_PARALLEL"),
        ),
        _number,
    ),
    **dict.fromkeys(("OLLAMA_KEEP_ALIVE", "OLLAMA_LOAD_TIMEOUT"), _duration),
    **dict.fromkeys(
        (
            *("OLLAMA_EDITOR", "OLLAMA_HOST", "OLLAMA_LLM_LIBRARY", "OLLAMA_MODELS"),
            *("OLLAMA_ORIGINS", "OLLAMA_REMOTES"),
        ),
        str,
    ),
    "OLLAMA_KV_CACHE_TYPE": _cache_type,
}


@dataclass(frozen=True)
class Settings:
    """What the stand-in acts on."""

    host: str
    port: int
    models: Path
    context: int
    parallel: int
    loaded: int
    keep_alive: float
    cache_type: str
    prune: bool


def read(environment: Mapping[str, str]) -> Settings:
    """The settings; ValueError names what Ollama does not know or could not read."""
    found: dict[str, object] = {}
    for key, text in environment.items():
        if key.startswith("OLLAMA_"):
            if key not in KNOWN:
                raise ValueError(f"Ollama knows no {key}")
            try:
                found[key] = KNOWN[key](text.strip().strip("\"'"))
            except (KeyError, ValueError) as error:
                raise ValueError(f"{key}: {error}") from error
    host, _, port = str(found.get("OLLAMA_HOST", "127.0.0.1:11434")).rpartition(":")
    home = Path(environment["HOME"]) / ".ollama" / "models"
    return Settings(
        host=host,
        port=int(port),
        models=Path(str(found.get("OLLAMA_MODELS", home))),
        context=int(str(found.get("OLLAMA_CONTEXT_LENGTH", 0))) or 4096,
        parallel=int(str(found.get("OLLAMA_NUM_PARALLEL", 1))),
        loaded=int(str(found.get("OLLAMA_MAX_LOADED_MODELS", 0))) or 3,
        keep_alive=float(str(found.get("OLLAMA_KEEP_ALIVE", 300.0))),
        cache_type=str(found.get("OLLAMA_KV_CACHE_TYPE", "f16")),
        prune=not found.get("OLLAMA_NOPRUNE", False),
    )
