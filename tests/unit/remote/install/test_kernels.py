"""Kernels that are compiled inside an environment, by a FlashInfer that notes what it was told."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.__main__ import main

# What the program asks of FlashInfer 0.7: jit/env.py, jit/sampling.py, jit/core.py.
ENV = """
import os
from pathlib import Path
HERE = Path(__file__).resolve().parents[1]
FLASHINFER_AOT_DIR = HERE / "data" / "aot"
WORK = Path(os.environ["FLASHINFER_WORKSPACE_BASE"])
"""
SAMPLING = """
import os, subprocess
from flashinfer.jit import env
class Module:
    jit_library_path = env.WORK / "cached_ops" / "sampling" / "sampling.so"
    def build(self):
        print("building")
        subprocess.run(["ninja"], check=True)
        self.jit_library_path.parent.mkdir(parents=True)
        told = [os.environ["FLASHINFER_CUDA_ARCH_LIST"], os.environ["CUDA_HOME"]]
        self.jit_library_path.write_text(" ".join(told))
def gen_sampling_module():
    return Module()
"""


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    environment = tmp_path / "made"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    for name, content in (("env", ENV), ("sampling", SAMPLING), ("__init__", "")):
        (packages / "flashinfer/jit").mkdir(parents=True, exist_ok=True)
        (packages / f"flashinfer/jit/{name}.py").write_text(content)
    (packages / "flashinfer/__init__.py").write_text("")
    ninja(environment, 0)
    return {
        "environment": str(environment),
        "modules": ["sampling"],
        "compute": "9.0",
        "work": str(tmp_path / "work"),
        "pack": str(tmp_path / "pack.tar.gz"),
    }


def ninja(environment: Path, code: int) -> None:
    program = environment / "bin/ninja"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)


def run(spec: dict[str, Any], folder: Path) -> int:
    (folder / "spec.json").write_text(json.dumps(spec))
    return main(["kernels", str(folder / "spec.json")])


def test_they_are_packed_as_the_package_looks_for_them(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    assert run(spec, tmp_path) == 0
    environment = Path(spec["environment"])
    with tarfile.open(spec["pack"]) as archive:
        (entry,) = archive.getmembers()
        archive.extractall(environment, filter="data")
    assert (entry.uname, entry.uid) == ("root", 0)
    (library,) = environment.glob(
        "lib/python3*/site-packages/flashinfer/data/aot/sampling/sampling.so"
    )
    # For cards that need not be there, by the compiler of the environment.
    assert library.read_text() == f"9.0 {environment}/cuda"
    assert not Path(spec["work"]).exists()


def test_what_does_not_compile_is_said_and_packs_nothing(
    spec: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ninja(Path(spec["environment"]), 3)
    assert run(spec, tmp_path) == 1
    assert not Path(spec["pack"]).exists()
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last == "FlashInfer's sampling did not compile, see the lines above (exit code 1)"
    # The next run goes on.
    ninja(Path(spec["environment"]), 0)
    assert run(spec, tmp_path) == 0
