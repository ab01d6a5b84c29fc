"""llama.cpp."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.driver import packages as names
from deploys.planning.engines import rules
from deploys.planning.engines.base import (
    BY_TEMPLATE,
    CACHE_IN_Q8_0,
    HONOURED,
    NOTHING_TO_COPY,
    OF_VLLM_AND_SGLANG,
    ONE_ADAPTER_IN_GGUF,
    ONE_COPY,
    ONE_PERFORMANCE,
    DealsLayers,
    Engine,
    Metrics,
    Reads,
    ServiceSettings,
    Setting,
    SplitGguf,
)
from deploys.planning.engines.failures.ggml import GGUF
from deploys.planning.engines.failures.known import known
from deploys.planning.engines.software import Build, FromSource
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Isa, Machine
from deploys.planning.inputs.refusal import Refusal

_NAME = "llama.cpp"
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
# Systems whose Vulkan it compiles with, and whose Mesa knows the cards of the table. Seen on Debian
# 13: headers 1.4.309, Mesa 25.0.7.
_VULKAN = (("debian", "13"),)
# What Arm's processors may have, as the kernel and as compilers call it; without, llama.cpp builds
# for the first of them. Source: ggml/src/ggml-cpu/CMakeLists.txt, GGML_CPU_ARM_ARCH.
_ARM_FEATURES = {"asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve"}


def _build(
    machine: Machine,
    source: ArtifactLock,
    gpu: Accelerator | None,
    cuda: str | None,
) -> Build:
    """Return the build of llama.cpp for the CPU of `machine`; it downloads nothing while building.

    + gpu, cuda: cards to support as well, and the CUDA release that does it; with no release it
      is Vulkan, and without a card a CPU build
    """
    if machine.isa not in _ISA_OPTIONS:
        raise Refusal(
            f"llama.cpp is not built for a {machine.isa} processor ({machine.cpu})",
            "Move this machine's services to one with x86-64-v2 or newer",
        )
    toolchain = f"{machine.os}-{machine.os_version}-{machine.architecture}"
    built = Build(
        name=_NAME,
        version=source.version,
        source=source,
        options=(
            "BUILD_SHARED_LIBS=OFF",
            "CMAKE_BUILD_TYPE=Release",
            "GGML_NATIVE=OFF",
            *_ISA_OPTIONS[machine.isa],
            *_arm_options(machine),
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
    if gpu is None:
        return built
    if cuda is None:
        return _with_vulkan(built, machine)
    return replace(
        built,
        options=(*built.options, *_cuda_options(gpu, cuda)),
        # Each of them has all the kernels in it, so no more than are used.
        targets=("llama-server", "llama-bench"),
        toolchain=f"{toolchain}-cuda-{cuda}",
        packages=(*built.packages, *names.compiler(cuda)),
    )


def _with_vulkan(built: Build, machine: Machine) -> Build:
    """Return a build that reaches cards through Vulkan, whoever made them, by Mesa's drivers."""
    if (machine.os, machine.os_version) not in _VULKAN:
        known = " or ".join(f"{name.title()} {version}" for name, version in _VULKAN)
        raise Refusal(
            f"llama.cpp reaches these cards through Vulkan, and {machine.os} {machine.os_version}"
            " has no Mesa and no headers of it that are new enough",
            f"Install {known} on this machine, or use a profile without a GPU",
        )
    return replace(
        built,
        options=(*built.options, "GGML_VULKAN=ON"),
        targets=("llama-server", "llama-bench"),
        packages=(*built.packages, "glslc", "libvulkan-dev", "spirv-headers"),
        needs=("libvulkan1", "mesa-vulkan-drivers"),
    )


def _arm_options(machine: Machine) -> tuple[str, ...]:
    """Return the option that names what an Arm processor has beyond the first of its kind."""
    there = [name for feature, name in _ARM_FEATURES.items() if feature in machine.features]
    if machine.isa != "aarch64" or not there:
        return ()
    return (f"GGML_CPU_ARM_ARCH={'+'.join(['armv8.2-a', *there])}",)


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


_SETTINGS = ServiceSettings(
    task=HONOURED,
    context=HONOURED,
    parallel=HONOURED,
    tensor_parallel=OF_VLLM_AND_SGLANG,
    pipeline_parallel=HONOURED,
    replicas=ONE_COPY,
    # Source: llama-server --help, --cache-type-k, read 2026-11-22.
    kv_cache=CACHE_IN_Q8_0,
    performance=ONE_PERFORMANCE,
    gpu_memory_utilization=OF_VLLM_AND_SGLANG,
    gpu_layers=HONOURED,
    cpu_experts=HONOURED,
    min_tokens_per_second=HONOURED,
    reasoning_parser=BY_TEMPLATE,
    tool_parser=BY_TEMPLATE,
    chat_template=HONOURED,
    sampling=HONOURED,
    options=HONOURED,
    adapters=HONOURED,
    merge=HONOURED,
    allow_copy=NOTHING_TO_COPY,
)

_PLANS = {
    "model": "model",
    "alias": "name",
    "embedding": "task",
    "rerank": "task",
    "port": "port",
    "ctx-size": "context",
    "parallel": "parallel",
    "batch-size": "performance",
    "ubatch-size": "performance",
    "cache-type-k": "kv_cache",
    "cache-type-v": "kv_cache",
    "gpu-layers": "gpu_layers",
    "n-cpu-moe": "cpu_experts",
    "load-mode": "",
    "chat-template-file": "chat_template",
    **dict.fromkeys(("lora", "lora-scaled", "lora-init-without-apply"), "adapters"),
    **dict.fromkeys(
        ("temp", "top-p", "top-k", "min-p", "repeat-penalty", "presence-penalty"), "sampling"
    ),
    **dict.fromkeys(
        (
            *("host", "flash-attn", "cache-ram", "threads", "numa", "fit", "device", "split-mode"),
            *("metrics", "slots", "ui", "offline", "api-prefix"),
            # A start through Vulkan is proven by what it says.
            "verbosity",
            *("mmproj", "mmproj-auto", "mmproj-url"),
            # Our own questions are asked without.
            *("api-key-file", "ssl-key-file", "ssl-cert-file"),
            # They say what is there and end, where a server is wanted.
            *("help", "version", "list-devices", "cache-list", "completion-bash"),
        ),
        "",
    ),
}

LLAMA_CPP = Engine(
    name=_NAME,
    title="llama.cpp",
    unit="llama-server@{}.service",
    shared=(),
    model_id="{}",
    # A bare system has the C++ library already, apt needs it.
    software=FromSource(build=_build, packages=("libgomp1",)),
    glibc=None,
    reads=Reads(
        formats=("gguf",),
        other=rules.NO_SAFETENSORS,
        split_gguf=SplitGguf(
            shards=True,
            source="served from its first shard, with the llama.cpp 0.5.0-dev that xllamacpp"
            " contains",
            date="2026-11-22",
        ),
    ),
    # Of --ubatch-size, whose default is the smaller; --batch-size is the larger.
    takes=DealsLayers(
        experts_in_host=False, prompt_cache=True, chooses_memory=True, steps=(2048, 512)
    ),
    settings=_SETTINGS,
    settings_without_cards=replace(
        _SETTINGS,
        cpu_experts=Setting(values=(0,), why="without cards all experts are in host memory"),
        # rendering/chunked_prefill.py
        performance=Setting(
            values=("throughput",),
            why="without cards it reads long prompts in small chunks anyway, so that nobody waits",
            hint='Leave performance out, or set it to "throughput" for larger chunks',
        ),
    ),
    parsers=None,
    plans=_PLANS,
    adapters=ONE_ADAPTER_IN_GGUF,
    # Of its cache it says nothing any more.
    metrics=Metrics(
        running="llamacpp:requests_processing",
        waiting="llamacpp:requests_deferred",
        cache=None,
        read="llamacpp:prompt_tokens_total",
        written="llamacpp:tokens_predicted_total",
        source="llama.cpp, tools/server/server-task.cpp",
    ),
    options_on_command_line=True,
    rules=rules.GGML,
    failures=(
        *GGUF,
        known(
            "GPU",
            r"invalid device: (?P<device>\w+)",
            "{device} is a card of the plan that its programs do not reach: see which they do with"
            " llama-server --list-devices, and look for the driver with dmesg and ls"
            " /dev/dri/by-path",
            "llama.cpp, common/arg.cpp, parse_device_list",
        ),
        known(
            "settings",
            r"Pooling type 'none' is not OAI compatible",
            "The file does not say how a text's tokens become one vector: set"
            ' options={{"pooling": "last"}} for the service, or mean or cls, whichever the model is'
            " for",
            "llama.cpp, tools/server/server-context.cpp, handle_embeddings_impl",
        ),
        known(
            "process",
            r"status=4/ILL|Illegal instruction",
            "{engine} was compiled for another CPU: remove its folder under /opt/modelrack/engines"
            " and the packed build on your computer, and run deploys/full.py",
            "systemd and the shell, on SIGILL",
        ),
    ),
)
