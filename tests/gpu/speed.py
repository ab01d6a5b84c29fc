"""How fast a deployed service is, beside upstream's defaults and beside what how-tos set.

llama-bench reads the service's own settings; llama-server is the service itself, beside one that is
told nothing but the model. Upstream and plan take turns, so that neither has the warmer card.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.gpu import measure as servers
from tests.gpu import surroundings

# Settings of llama-server that llama-bench has, too, and what it calls them.
_OPTIONS = {
    "LLAMA_ARG_N_GPU_LAYERS": "--n-gpu-layers",
    "LLAMA_ARG_N_CPU_MOE": "--n-cpu-moe",
    "LLAMA_ARG_FLASH_ATTN": "--flash-attn",
    "LLAMA_ARG_CACHE_TYPE_K": "--cache-type-k",
    "LLAMA_ARG_CACHE_TYPE_V": "--cache-type-v",
    "LLAMA_ARG_SPLIT_MODE": "--split-mode",
    "LLAMA_ARG_DEVICE": "--device",
    "LLAMA_ARG_BATCH": "--batch-size",
    "LLAMA_ARG_THREADS": "--threads",
    "LLAMA_ARG_NUMA": "--numa",
}
# What Ollama's how-tos write as num_gpu.
HOW_TO = ("--n-gpu-layers", "16")
# Prompts and answers in tokens, and how many tokens are in the cache before.
_BENCHES = (("--n-prompt", "512,4096", "--n-gen", "128"), ("--n-prompt", "0", "--n-gen", "128"))
_DEPTHS = ("0", "8192")
_TURNS = 2
# Requests at a time, tokens of the prompt, tokens of the answer.
REQUESTS = ((1, 8, 128), (16, 8, 128), (1, 8192, 64), (16, 8192, 64))


def measure(settings_file: Path, programs: Path, output: Path) -> None:
    """Everything about one running service; stops it after its own part."""
    settings = read(settings_file.read_text())
    model = Path(settings["LLAMA_ARG_MODEL"])
    result = surroundings.of_deployed(programs)
    result |= {"model": model.stem, "file": model.stat().st_size}
    result |= {"settings": settings, "server": {}, "bench": {}}

    def note(program: str, who: str, value: Any) -> None:
        print(program, who, json.dumps(value), flush=True)
        result[program][who] = value
        output.write_text(json.dumps(result, indent=1) + "\n")

    note("server", "planned", _requests(int(settings["LLAMA_ARG_PORT"])))
    unit = f"llama-server@{settings_file.stem}.service"
    subprocess.run(["systemctl", "stop", unit], check=True)
    command = [programs / "llama-server", "--model", model, "--port", str(servers.PORT)]
    with servers.running(command, output.with_suffix(".log")):
        note("server", "upstream", _requests(servers.PORT))
    bench = programs / "llama-bench"
    planned, upstream = [], []
    for _ in range(_TURNS):
        upstream += _bench(bench, model, (), {})
        planned += _bench(bench, model, options(settings), settings)
    note("bench", "planned", planned)
    note("bench", "upstream", upstream)
    few = ("--n-prompt", "512", "--n-gen", "16", "--repetitions", "1")
    note("bench", "how-to", _run(bench, model, (*HOW_TO, *few), {}))


def read(text: str) -> dict[str, str]:
    """The settings of a service, as systemd reads them."""
    lines = (line.partition("=") for line in text.splitlines() if line and line[0] != "#")
    return {key: value for key, _, value in lines}


def options(settings: Mapping[str, str]) -> list[str]:
    """The same for llama-bench, which puts / between devices and , between values to try."""
    given = {_OPTIONS[key]: value for key, value in settings.items() if key in _OPTIONS}
    return [word for key, value in given.items() for word in (key, value.replace(",", "/"))]


def _requests(port: int) -> list[dict[str, float]]:
    """Tokens a second of all answers together, from the first request to the last answer."""
    servers.ask(1, 8, 16, port)
    found = []
    for requests, prompt, answer in REQUESTS:
        begun = time.monotonic()
        timings = servers.ask(requests, prompt, answer, port)
        seconds = time.monotonic() - begun
        found.append(
            {
                "requests": requests,
                "prompt": prompt,
                "answer": answer,
                "seconds": round(seconds, 3),
                "tokens_per_second": round(requests * answer / seconds, 2),
                "one_stream": round(timings[0]["predicted_per_second"], 2),
            }
        )
    return found


def _bench(
    program: Path, model: Path, chosen: Sequence[str], settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    points = []
    for sizes, depth in zip(_BENCHES, _DEPTHS, strict=True):
        given = (*chosen, *sizes, "--n-depth", depth, "--repetitions", "2")
        points += _run(program, model, given, settings)
    return points


def _run(
    program: Path, model: Path, given: Sequence[str], settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Tokens a second of each test of one call."""
    cuda = {key: value for key, value in settings.items() if key.startswith("CUDA_")}
    command = [program, "--model", model, *given, "--output", "json"]
    said = subprocess.run(command, env={**os.environ, **cuda}, stdout=subprocess.PIPE, check=True)
    return [
        {
            "prompt": test["n_prompt"],
            "answer": test["n_gen"],
            "depth": test["n_depth"],
            "tokens_per_second": [round(sample, 2) for sample in test["samples_ts"]],
        }
        for test in json.loads(said.stdout)
    ]
