"""llama-server with CUDA in it, from the pinned source: what the bench measures."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.lab.llama_cpp_source import COMMIT

__all__ = ["COMMIT", "OPTIONS", "build", "toolkit"]

# Those of deploys/planning/engines/llama_cpp.py, which tests/unit/gpu/test_results.py compares, and
# CUDA.
OPTIONS = (
    "BUILD_SHARED_LIBS=OFF",
    "CMAKE_BUILD_TYPE=Release",
    "GGML_NATIVE=OFF",
    "LLAMA_BUILD_EXAMPLES=OFF",
    "LLAMA_BUILD_TESTS=OFF",
    "LLAMA_BUILD_UI=OFF",
    "LLAMA_USE_PREBUILT_UI=OFF",
    "LLAMA_OPENSSL=OFF",
    "GGML_CUDA=ON",
)


def build(source: Path, into: Path, architecture: str) -> Path:
    """Compile in `into`; about five minutes on 16 cores. Returns the program."""
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source) as archive:
        archive.extractall(into, filter="data")
    options = (*OPTIONS, f"CMAKE_CUDA_ARCHITECTURES={architecture}")
    cmake = ["cmake", "-S", into / f"llama.cpp-{COMMIT}", "-B", into / "build", "-G", "Ninja"]
    subprocess.run([*cmake, *(f"-D{option}" for option in options)], check=True)
    jobs = str(len(os.sched_getaffinity(0)))
    subprocess.run(["ninja", "-C", into / "build", "-j", jobs, "llama-server"], check=True)
    program = into / "build/bin/llama-server"
    subprocess.run(["strip", program], check=True)
    return program


def toolkit() -> str | None:
    """Release of the CUDA compiler on the path, None without one."""
    if not shutil.which("nvcc"):
        return None
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return said.partition("release ")[2].partition(",")[0] or None
