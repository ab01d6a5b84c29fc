"""What one llama-server takes of a machine's GPUs: started, asked, read and stopped.

Sizes that llama.cpp reports are MiB, as its log has them (two decimals). Memory that the driver
reports is MiB as well, of each whole card in turn: what was there before the start is subtracted by
whoever reads the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.temporary import DIES_WITH_US

PORT = 18080
# llama-server logs sizes from this level on.
VERBOSITY = 4
_SIZE = re.compile(r"(\S+) +(model|KV|compute|output) buffer size = +([\d.]+) MiB")
_KV = re.compile(r"size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +(\d+)/(\d+) seqs\)")
_SYSTEM = re.compile(r"system_info: (.+)")
_SETTING = re.compile(r"llama_context: (n_\w+|flash_attn|kv_unified) += (\S+)")
_DEVICE = re.compile(
    r"- (CUDA\d+) [^|]*\|\s*(\d+)\s*=\s*(\d+)\s*\+\s*"
    r"\(\s*(\d+)\s*=\s*(\d+)\s*\+\s*(\d+)\s*\+\s*(\d+)\s*\)\s*\+\s*(-?\d+)\s*\|"
)


class ServerError(RuntimeError):
    """The server ended, or did not get ready in time; says what its log ends with."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to serve one model.

    + context: tokens of one request; parallel: requests at a time
    + gpu_layers: as -ngl counts them, the output among them; None for all
    + cpu_experts: layers whose experts stay in host memory
    + kv_cache: f16 or q8_0, of keys and values alike
    + ubatch: tokens that are computed at once
    + fill: tokens of the prompts that are sent, one in each slot
    """

    model: str
    context: int
    parallel: int
    gpu_layers: int | None = None
    cpu_experts: int = 0
    kv_cache: str = "f16"
    ubatch: int = 512
    fill: int = 2048


def command(server: Path, model: Path, case: Case) -> list[str]:
    """The server's command line; nothing is left to its own fitting."""
    return [
        str(server),
        *("--model", str(model), "--port", str(PORT), "--no-ui", "--offline"),
        *("--fit", "off", "--flash-attn", "on", "--verbosity", str(VERBOSITY)),
        *("--ctx-size", str(case.context * case.parallel), "--parallel", str(case.parallel)),
        *("--gpu-layers", "999" if case.gpu_layers is None else str(case.gpu_layers)),
        *("--n-cpu-moe", str(case.cpu_experts), "--ubatch-size", str(case.ubatch)),
        *("--cache-type-k", case.kv_cache, "--cache-type-v", case.kv_cache),
        # Prompts that were answered would be kept in host memory.
        *("--cache-ram", "0"),
    ]


def measure(server: Path, model: Path, case: Case, log: Path) -> dict[str, Any]:
    """Serve `model` as `case` says, with the log in `log`."""
    memory: dict[str, list[int]] = {"idle": used()}
    begun = time.monotonic()
    with running(command(server, model, case), log) as process:
        ready = time.monotonic() - begun
        memory["ready"] = used()
        # Twice: the first answer compiles and captures what the second one uses.
        ask(1, 8, 16)
        alone = ask(1, 8, 128)[0]
        full = ask(case.parallel, case.fill, 32)
        memory["used"] = used()
        memory["process"] = _used_by(process.pid)
    return {
        "case": asdict(case),
        "file": model.stat().st_size,
        "seconds_to_ready": round(ready, 2),
        "tokens_per_second": {
            "generation": round(alone["predicted_per_second"], 2),
            "prompt": round(full[0]["prompt_per_second"], 1),
        },
        "driver_mib": memory,
        **reported(log.read_text(errors="replace")),
    }


def reported(log: str) -> dict[str, Any]:
    """What llama.cpp says in its log of sizes and settings."""
    sizes: dict[str, dict[str, float]] = {"model": {}, "kv": {}, "compute": {}, "output": {}}
    for place, kind, mib in _SIZE.findall(log):
        of = sizes[kind.lower()]
        # A model has a buffer per file and kind of memory; the others are reserved anew at times.
        of[place] = round((of.get(place, 0.0) if kind == "model" else 0.0) + float(mib), 2)
    caches = _KV.search(log)
    devices = {
        name: dict(
            zip(
                ("total", "free", "self", "model", "context", "compute", "unaccounted"),
                map(int, numbers),
                strict=True,
            )
        )
        for name, *numbers in _DEVICE.findall(log)
    }
    system = _SYSTEM.search(log)
    return {
        "system": system[1].strip() if system else None,
        "buffers_mib": sizes,
        "cells": int(caches[2]) * int(caches[5]) if caches else None,
        "cached_layers": int(caches[3]) if caches else None,
        "settings": dict(_SETTING.findall(log)),
        "at_exit_mib": devices,
    }


def used() -> list[int]:
    """MiB of each card in use, as the driver counts them."""
    return [int(mib) for mib in _query("--query-gpu=memory.used")]


def _used_by(pid: int) -> list[int]:
    """MiB of one process on each card; empty where the driver does not tell processes apart."""
    rows = (row.split(", ") for row in _query("--query-compute-apps=pid,used_memory"))
    return [int(mib) for found, mib in rows if found == str(pid) and mib.isdigit()]


def _query(query: str) -> list[str]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def wait(
    process: subprocess.Popen[bytes], log: Path, seconds: float = 240, port: int = PORT
) -> None:
    """Until a server of ours is ready; ServerError when it ends, or takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ServerError("\n".join(log.read_text(errors="replace").splitlines()[-15:]))


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 240,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours that is ready, and is ended so that it logs what it had of each device.

    + environment: what it is told beside what is there
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*DIES_WITH_US, *command],
            **{"env": {**os.environ, **(environment or {})}, "stdout": file, "stderr": file},
        )
    try:
        wait(process, log, seconds)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(slots: int, prompt: int, answer: int, port: int = PORT) -> list[dict[str, float]]:
    """Timings of as many requests at once, each with a prompt and an answer of so many tokens."""

    def one(slot: int) -> dict[str, float]:
        # Tokens of the padded part of the vocabulary, another row of them in each slot.
        tokens = [1000 + (slot * 7919 + n * 31) % 50_000 for n in range(prompt)]
        body = {"prompt": tokens, "n_predict": answer, "ignore_eos": True, "cache_prompt": False}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/completion",
            json.dumps({**body, "temperature": 0}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=240) as reply:
            timings: dict[str, float] = json.load(reply)["timings"]
        if timings["predicted_n"] != answer or timings["prompt_n"] != prompt:
            raise ServerError(f"asked {prompt} + {answer} tokens, got {timings}")
        return timings

    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(one, range(slots)))
