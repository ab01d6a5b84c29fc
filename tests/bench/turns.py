"""How long one answer stands still while llama-server reads somebody else's prompt on a processor.

As planned, and as planned for throughput, which leaves the size of a piece to llama-server: on this
computer, with a model of random weights in the shape of Qwen2.5-1.5B in Q8_0 (1.6 GB). The program
is the newest that was compiled for processors here: by `make demo`, for one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from deploys.facts import locks
from deploys.planning import render
from deploys.planning.profile import HostProfile, Performance, Service
from deploys.planning.resolve import resolve
from deploys.planning.site import Site
from tests.gpu import measure as servers
from tests.gpu import speed, surroundings, synthetic
from tests.gpu.entry import entry
from tests.gpu.shapes import SHAPES

SHAPE = SHAPES["qwen2.5-1.5b-q8_0"]
CONTEXT, REQUESTS, PROMPT, ANSWER = 4096, 4, 1800, 100
WAYS: tuple[Performance, ...] = ("throughput", "balanced")


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="modelrack-turns-") as name:
        folder = Path(name)
        model = synthetic.file(SHAPE, folder)
        try:
            server = _program(folder)
            ways = {kind: _planned(model.stat().st_size, kind) for kind in WAYS}
        except LookupError as error:
            print(error, file=sys.stderr)
            return 1
        found: dict[Performance, list[tuple[float, float]]] = {kind: [] for kind in WAYS}
        for _ in range(arguments.repetitions):
            for kind, settings in ways.items():
                found[kind].append(_measure(server, model, settings, folder / "log"))
    _report(found)
    return 0


def _program(folder: Path) -> Path:
    """llama-server of the newest build without CUDA."""
    archives = Site().builds.glob("llama.cpp-*.tar.gz")
    for archive in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True):
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "build", filter="data")
        options = json.loads((folder / "build/build.json").read_text())["options"]
        if "GGML_CUDA=ON" not in options:
            return folder / "build/bin/llama-server"
    raise LookupError("no llama-server was compiled on this computer yet: make demo does")


def _planned(size: int, kind: Performance) -> dict[str, str]:
    machine = replace(surroundings.this_machine(), gpus=(), links=())
    # A plan wants a place to fetch it from; nobody is asked.
    model = replace(entry(SHAPE, size), modelscope="made/up")
    service = Service(
        **{"name": "bench", "engine": "llama.cpp", "model": model, "port": 8080},
        **{"context": CONTEXT, "parallel": REQUESTS, "performance": kind},
    )
    plan = resolve(HostProfile(services=(service,)), Site(), machine, locks.read(Site().locks))
    if plan.refusals:
        raise LookupError("; ".join(map(str, plan.refusals)))
    rendered, _ = render.service(plan, plan.services[0])
    return speed.read(next(file.content for file in rendered if file.path.endswith(".env")))


def _measure(
    server: Path, model: Path, settings: Mapping[str, str], log: Path
) -> tuple[float, float]:
    """Seconds: the longest between two tokens of one answer, and the prompt's until its first."""
    command = [server, "--model", model, "--port", str(servers.PORT)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=file, stderr=file
        )
    try:
        servers.wait(process, log)
        _times(8, 8)
        with ThreadPoolExecutor(1) as other:
            answer = other.submit(_times, 8, ANSWER)
            time.sleep(0.3)
            asked, first, *_ = _times(PROMPT, 2)
            _, *times = answer.result()
    finally:
        servers.stop(process)
    if times[-1] < first:
        raise RuntimeError("the answer ended before the prompt was read")
    longest = max(after - before for before, after in pairwise(times))
    return longest, first - asked


def _times(prompt: int, answer: int) -> list[float]:
    """When it was asked, and when each token came."""
    tokens = [1000 + n * 31 % 50_000 for n in range(prompt)]
    body = {"prompt": tokens, "n_predict": answer, "ignore_eos": True, "cache_prompt": False}
    request = urllib.request.Request(
        f"http://127.0.0.1:{servers.PORT}/completion",
        json.dumps({**body, "stream": True}).encode(),
        {"Content-Type": "application/json"},
    )
    asked = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as reply:
        return [asked, *(time.monotonic() for line in reply if line.startswith(b"data: "))]


def _report(found: Mapping[Performance, list[tuple[float, float]]]) -> None:
    print(f"\n{SHAPE.name}, a prompt of {PROMPT} tokens beside one answer; medians")
    print("              the answer stood still, s    the prompt took, s")
    of = {kind: tuple(map(median, zip(*runs, strict=True))) for kind, runs in found.items()}
    for kind, (longest, prompt) in of.items():
        print(f"{kind:<12}{longest:>27.1f}{prompt:>22.1f}")
    still, took = (
        round(ours / its_own, 2)
        for its_own, ours in zip(of["throughput"], of["balanced"], strict=True)
    )
    print(json.dumps({"bench": "turns", "times": "throughput", "still": still, "prompt": took}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.turns", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
