"""How fast vLLM is with the settings that a machine would get, beside those of the how-tos.

Nothing but the weights is made up: the machine is asked what it is, planned for, the settings are
rendered, and vLLM's own server is started with them and asked over HTTP.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from tests.gpu import measure as servers
from tests.gpu import speed, surroundings
from tests.gpu.measure import ServerError
from tests.gpu.networks import Network
from tests.gpu.planned import planned

NAME, PORT, CONTEXT = "bench", 18000, 8192
# Requests at a time, tokens of the prompt, tokens of the answer.
REQUESTS = (
    *((1, 64, 256), (8, 64, 256), (32, 64, 256), (64, 64, 256), (512, 64, 256)),
    (16, 4096, 256),
)
# Tokens of a prompt that is asked twice, as a chat that goes on repeats what was said.
REPEATED = 6000
# What a service says of itself, and is planned by.
PLANNED: dict[str, dict[str, str]] = {
    "balanced": {},
    "latency": {"performance": "latency"},
    "throughput": {"performance": "throughput"},
    "fp8-cache": {"kv_cache": "fp8"},
}
# Seconds that a start may take: kernels are tried out, compiled and captured.
PATIENCE = 600
# Which words are special to a parser is a matter of the real tokenizer.
_ABOUT_WORDS = ("reasoning-parser", "enable-auto-tool-choice", "tool-call-parser")
# Of the folders of a deployed engine, which is not what is started here.
_DEPLOYED = ("CUDA_HOME", "LD_LIBRARY_PATH", "MODELRACK_WEIGHTS", "MODELRACK_DIGEST")
_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
# What a prompt is made of, so that no two are alike.
_FRESH = itertools.count()
_GIB = re.compile(r"(Available KV cache memory|Model loading took):? ([\d.]+) GiB")


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to run a network.

    + settings: of vLLM, by their names in its YAML
    + environment: of its processes, beside what is there
    + kv_tokens: what the ledger says that the cache holds; None where nothing was planned
    """

    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    kv_tokens: int | None


def ways(network: Network, machine: Machine, gpu: str | None) -> dict[str, Way]:
    """As the how-tos have it, and as it is planned for each thing that settings may favour."""
    cards = ",".join(str(card.index) for card in machine.gpus)
    seen = {"CUDA_VISIBLE_DEVICES": cards} if cards else {}
    found = {"how-to": Way(settings=network.how_to, environment=seen, kv_tokens=None)}
    return found | {who: as_planned(network, machine, gpu, who) for who in PLANNED}


def as_planned(
    network: Network,
    machine: Machine,
    gpu: str | None,
    who: str,
    parallel: int | None = None,
) -> Way:
    """As it is planned for a service of that kind, or for so many requests at a time."""
    served, text = planned(
        Service(
            **{"name": NAME, "engine": "vllm", "model": network.model, "port": PORT},
            **{"context": CONTEXT, "parallel": parallel, **PLANNED[who]},
        ),
        machine,
        gpu,
    )
    settings = yaml.safe_load(text[".yaml"])
    environment = speed.read(text[".env"])
    return Way(
        settings={key: value for key, value in settings.items() if key not in _ABOUT_WORDS},
        environment={key: value for key, value in environment.items() if key not in _DEPLOYED},
        kv_tokens=served.placement.ledger.kv_tokens,
    )


def measure(
    python: Path,
    networks: Mapping[str, Network],
    folder: Path,
    output: Path,
    *,
    chosen: Sequence[str] = (),
    gpu: str | None = "H200",
    card: int | None = None,
    requests: Sequence[tuple[int, int, int]] = REQUESTS,
) -> int:
    """Every network in each of the chosen ways; what is known is written after each of them.

    + python: of an environment that has vLLM
    + folder: for configurations and logs
    + card: by the driver's number, where the others are left to somebody else

    Returns how many did not come to an end.
    """
    machine, failed, port = surroundings.this_machine(card), 0, PORT + (card or 0)
    result = {**surroundings.of_machine(gpu is not None), "engine": _engine(python), "runs": []}
    for name, network in networks.items():
        network.write(folder / name)
        for who, way in ways(network, machine, gpu).items():
            if chosen and who not in chosen:
                continue
            run = {"network": name, "who": who, "settings": {**way.settings}}
            try:
                beside = folder / f"{name}-{who}"
                run |= _run(python, folder / name, way, beside, port, requests)
                run["planned_kv_tokens"] = way.kv_tokens
            except ServerError as error:
                run["failed"], failed = str(error).splitlines()[-1:], failed + 1
                print(error, file=sys.stderr, flush=True)
            print(json.dumps(run), flush=True)
            result["runs"].append(run)
            output.write_text(json.dumps(result, indent=1) + "\n")
    return failed


def _engine(python: Path) -> dict[str, str]:
    asked = "import json, torch, vllm; print(json.dumps([vllm.__version__, torch.__version__]))"
    said = subprocess.run([python, "-c", asked], stdout=subprocess.PIPE, check=True).stdout
    vllm, torch = json.loads(said.splitlines()[-1])
    return {"name": "vllm", "version": vllm, "torch": torch}


def _run(
    python: Path,
    model: Path,
    way: Way,
    beside: Path,
    port: int,
    requests: Sequence[tuple[int, int, int]],
) -> dict[str, Any]:
    """Start, ask and stop one server."""
    here = {"model": str(model), "served-model-name": [NAME], "host": "127.0.0.1", "port": port}
    # A name may have a dot in it.
    settings, log = (beside.with_name(beside.name + end) for end in (".yaml", ".log"))
    settings.write_text(yaml.safe_dump({**way.settings, **here, "load-format": "dummy"}))
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--config", settings]
    begun = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **way.environment},
            **{"stdout": file, "stderr": file, "start_new_session": True},
        )
    try:
        servers.wait(process, log, PATIENCE, port)
        ready = time.monotonic() - begun
        # The first answers compile and capture what the others use.
        for number, *_ in requests:
            _ask(port, number, 64, 16)
        found = [rate(port, *each) for each in requests]
        repeated = again(port)
    finally:
        # Its workers are processes of their own.
        subprocess.run(["pkill", "--signal", "KILL", "--session", str(process.pid)], check=False)
        process.wait()
    return {
        "seconds_to_ready": round(ready, 1),
        **reported(log.read_text(errors="replace")),
        "requests": found,
        "repeated": repeated,
    }


def again(port: int, model: str = NAME) -> dict[str, Any]:
    """Seconds until the first token of a long prompt, and of the same prompt asked once more."""
    asked = next(_FRESH)
    waited = [round(_ask(port, 1, REPEATED, 16, model, asked)[0], 3) for _ in range(2)]
    return {"prompt": REPEATED, "seconds_to_first_token": waited}


def reported(log: str) -> dict[str, Any]:
    """What vLLM says of memory: tokens that its cache holds, GiB of cache and of weights."""
    tokens = _TOKENS.search(log)
    sizes = dict(_GIB.findall(log))
    return {
        "kv_tokens": int(tokens[1].replace(",", "")) if tokens else None,
        "kv_gib": float(sizes.get("Available KV cache memory", 0)) or None,
        "weights_gib": float(sizes.get("Model loading took", 0)) or None,
    }


def rate(port: int, requests: int, prompt: int, answer: int, model: str = NAME) -> dict[str, Any]:
    """Tokens a second of as many requests at once, and how long one of them waits for its own."""
    begun = time.monotonic()
    first, each = _ask(port, requests, prompt, answer, model)
    seconds = time.monotonic() - begun
    return {
        "requests": requests,
        "prompt": prompt,
        "answer": answer,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(requests * answer / seconds, 2),
        "one_of_them": {
            "seconds_to_first_token": round(first, 3),
            "milliseconds_a_token": round(1000 * each, 2),
        },
    }


def _ask(
    port: int, requests: int, prompt: int, answer: int, model: str = NAME, asked: int | None = None
) -> tuple[float, float]:
    """As many requests at once, each of so many tokens, none of them seen before unless `asked` so.

    The first is read as it comes, the others as a whole: to read all of them token by token would
    keep this side busy. Returns its seconds until the first token, and between two of the others.
    """
    began = next(_FRESH) if asked is None else asked

    def one(slot: int) -> tuple[float, float]:
        tokens = random.Random(f"{began} {slot}").choices(range(2, 252), k=prompt)
        body = {"model": model, "prompt": tokens, "max_tokens": answer, "ignore_eos": True}
        if slot == 0:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps({**body, "temperature": 0}).encode(),
            {"Content-Type": "application/json"},
        )
        sent = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=240) as reply:
                times, usage = streamed(reply) if slot == 0 else ([], json.load(reply)["usage"])
        except OSError as error:
            raise ServerError(f"a request failed: {error}") from error
        if (usage["prompt_tokens"], usage["completion_tokens"]) != (prompt, answer):
            raise ServerError(f"asked {prompt} + {answer} tokens, got {usage}")
        return (times[0] - sent, (times[-1] - times[0]) / (answer - 1)) if times else (0, 0)

    with ThreadPoolExecutor(requests) as pool:
        first, *_ = pool.map(one, range(requests))
    return first


def streamed(reply: Iterable[bytes]) -> tuple[list[float], dict[str, int]]:
    """When each part of the answer came, and what the last event says of the tokens."""
    times, usage = [], {}
    for line in reply:
        event = line.removeprefix(b"data: ").strip()
        if event and event != b"[DONE]":
            said = json.loads(event)
            usage = said.get("usage") or usage
            if said["choices"]:
                times.append(time.monotonic())
    return times, usage
