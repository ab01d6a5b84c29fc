"""How an engine is compiled: source, options, and the packages needed for that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from deploys.planning.driver import packages as names
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Isa, Machine
from deploys.planning.inputs.refusal import Refusal

# Instruction sets on top of x86-64-v3, which is what llama.cpp assumes for a portable build.
# Source: ggml/CMakeLists.txt, INS_ENB.
_ISA_OPTIONS: dict[Isa, tuple[str, ...]] = {
    "x86-64-v2": (
        "GGML_AVX=OFF",
        "GGML_AVX2=OFF",
        "GGML_FMA=OFF",
        "GGML_F16C=OFF",
        "GGML_BMI2=OFF",
    ),
    "x86-64-v3": (),
    "x86-64-v4": ("GGML_AVX512=ON",),
    "aarch64": (),
}


@dataclass(frozen=True, kw_only=True)
class Build:
    """One compiled engine, identical on all machines with the same digest.

    + source: pinned archive
    + options: CMake cache entries, NAME=VALUE
    + targets: programs that are built and installed into bin/
    + toolchain: distribution release and architecture, which determine compiler and C library, and
      the CUDA release
    + packages: needed for compiling; installed only on the machine that compiles
    """

    name: str
    version: str
    source: ArtifactLock
    options: tuple[str, ...]
    targets: tuple[str, ...]
    toolchain: str
    packages: tuple[str, ...]
    how: ClassVar[str] = "compiled"

    @property
    def digest(self) -> str:
        """Digest of everything that determines the result, 12 hex digits."""
        decides = asdict(self)
        del decides["packages"]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def directory(self) -> str:
        """Directory of the installed programs on the machine."""
        return f"/opt/modelrack/engines/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """Command that must succeed on the machine before anything is switched to this version."""
        return (f"{self.directory}/bin/{self.targets[0]}", "--version")


def llama_cpp(
    machine: Machine,
    source: ArtifactLock,
    gpu: Accelerator | None = None,
    cuda: str | None = None,
) -> Build:
    """Return the build of llama.cpp for the CPU of `machine`; it downloads nothing while building.

    + gpu, cuda: NVIDIA cards to support as well, and the CUDA release; None for a CPU build
    """
    if machine.isa not in _ISA_OPTIONS:
        raise Refusal(
            f"llama.cpp is not built for a {machine.isa} processor ({machine.cpu})",
            "Give this machine's services to one with x86-64-v2 or newer",
        )
    toolchain = f"{machine.os}-{machine.os_version}-{machine.architecture}"
    built = Build(
        name="llama.cpp",
        version=source.version,
        source=source,
        options=(
            "BUILD_SHARED_LIBS=OFF",
            "CMAKE_BUILD_TYPE=Release",
            "GGML_NATIVE=OFF",
            *_ISA_OPTIONS[machine.isa],
            "LLAMA_BUILD_EXAMPLES=OFF",
            "LLAMA_BUILD_TESTS=OFF",
            # Both would fetch the web page of llama-server while building.
            "LLAMA_BUILD_UI=OFF",
            "LLAMA_USE_PREBUILT_UI=OFF",
            "LLAMA_OPENSSL=OFF",
        ),
        targets=("llama-server", "llama-gguf-split"),
        toolchain=toolchain,
        packages=("cmake", "g++", "ninja-build"),
    )
    if gpu is None or cuda is None:
        return built
    return replace(
        built,
        options=(*built.options, *_cuda_options(gpu, cuda)),
        # Each of them has all the kernels in it, so no more than are used.
        targets=("llama-server", "llama-bench"),
        toolchain=f"{toolchain}-cuda-{cuda}",
        packages=(*built.packages, *names.compiler(cuda)),
    )


def _cuda_options(gpu: Accelerator, cuda: str) -> tuple[str, ...]:
    """Return the options of a CUDA build: code for these cards only, independent of the host.

    The CUDA runtime and cuBLAS stay shared: linked statically (GGML_STATIC), cuBLAS would be in
    every program, and so would the C library, which then cannot load the driver's.
    GGML_CUDA_FORCE_MMQ is left off for Volta, too, whose tensor cores compute large batches in 16
    bits only, through cuBLAS.
    """
    return (
        "GGML_CUDA=ON",
        # Found, it would be linked; only tensor parallelism uses it.
        "GGML_CUDA_NCCL=OFF",
        f"CMAKE_CUDA_ARCHITECTURES={gpu.compute.replace('.', '')}-real",
        # CMake looks for libraries and for the compiler apart.
        f"CUDAToolkit_ROOT=/usr/local/cuda-{cuda}",
        f"CMAKE_CUDA_COMPILER=/usr/local/cuda-{cuda}/bin/nvcc",
    )
