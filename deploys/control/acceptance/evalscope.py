"""evalscope in an environment of its own on the operator's computer, from a lock with hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

from deploys.planning.inputs.refusal import Refusal

LOCK = Path(__file__).resolve().parents[2] / "locks" / "evalscope.txt"
_CACHE = Path.home() / ".cache" / "modelrack"


def installed() -> Path:
    """Return the program, after installing it where it is not; 118 packages, 800 MB, no torch."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = _CACHE / f"evalscope-{digest}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = str(Path(sys.executable).with_name("uv"))
            python = str(folder / "bin" / "python")
            _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
            _run(
                *(uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"),
                *("--python", python, str(LOCK)),
            )
            (folder / "complete").touch()
    return folder / "bin" / "evalscope"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        raise Refusal(
            f"evalscope cannot be installed here: {done.stderr.strip()[-300:]}",
            "Have UV_DEFAULT_INDEX name an index that this computer reaches, then run this again",
        )


def read(outputs: Path, parallel: int) -> dict[str, Any]:
    """Return what evalscope has written of so many requests at once."""
    found = sorted(outputs.glob(f"*/parallel_{parallel}_*/benchmark_summary.json"))
    if not found:
        raise ValueError(f"evalscope has written nothing of {parallel} requests at once")
    said: dict[str, Any] = json.loads(found[0].read_text())
    between = float(said["Avg TPOT (ms)"] or 0)
    return {
        "parallel": parallel,
        "asked": int(said["Total Requests"]),
        "failed": int(said["Failed Requests"]),
        "tokens_per_second": float(said["Output Throughput (tok/s)"]),
        "per_user": round(1000 / between, 2) if between > 0 else 0.0,
        "first_token_ms": float(said["Avg TTFT (ms)"]),
        "between_tokens_ms": between,
        "prompt_tokens": float(said["Avg Input Tokens"]),
        "answer_tokens": float(said["Avg Output Tokens"]),
    }
