"""Lines that engines and their libraries print when they cannot start, and what to do then.

Here are the rows that engines share; those of one engine are in its record, which also names the
groups that it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

# Causes come before their consequences: the first row that matches a line of a journal counts.
About = Literal[
    "port",
    "files",
    "network",
    "context",
    "GPU memory",
    "host memory",
    "shared memory",
    "GPU",
    "links",
    "settings",
    "process",
    "compiler",
]
ORDER: tuple[str, ...] = get_args(About)


@dataclass(frozen=True, kw_only=True)
class Known:
    """One kind of line.

    + about: what fails; the rows of an engine are tried in the order of `About`
    + pattern: searched for anywhere in the line
    + says: what it means and what to change; named groups of the pattern are filled in, and so are
      {engine} and the service's {port}
    + source: where the line is printed, or was seen
    """

    about: About
    pattern: re.Pattern[str]
    says: str
    source: str


def known(about: About, pattern: str, says: str, source: str) -> Known:
    """Return one row."""
    return Known(about=about, pattern=re.compile(pattern), says=says, source=source)


_FETCH = "run deploys.stages.weights.fetch, which fetches what is missing"
_DRIVER = "leave driver out of the profile and run deploys.stages.nvidia.install"
OTHER_USER = "stop what else uses the GPUs (nvidia-smi names it)"

# Of every engine.
EVERY = (
    known(
        "port",
        r"couldn't bind HTTP server socket|[Aa]ddress already in use",
        "Another process has port {port}: stop it (ss -ltnp 'sport = :{port}' names it), or give"
        " the service another port",
        "llama.cpp, tools/server/server-http.cpp; asyncio and uvicorn, errno 98; Go, net.Listen",
    ),
    known(
        "files",
        r"^(?P<problem>.+): run weights fetch again",
        "The weights are not what was fetched ({problem}): " + _FETCH,
        "deploys/remote, weights prove, before each start",
    ),
    known(
        "context",
        r"a request may take (?P<most>\d+) tokens instead of (?P<wanted>\d+)",
        "The server gives a request {most} tokens: set context={most} or less for the service",
        "deploys/remote/services/units.py",
    ),
    known(
        "host memory",
        r"killed by the OOM killer|Failed with result 'oom-kill'"
        r"|unable to allocate CPU buffer|failed to allocate CPU buffer"
        r"|DefaultCPUAllocator: can't allocate memory",
        "The host's memory is not enough: stop what else uses it (top), set a smaller context or"
        " parallel for the service, or serve a smaller quantization of the model",
        "systemd, core/unit.c; llama.cpp, src/llama-model.cpp; PyTorch, alloc_cpu.cpp",
    ),
    known(
        "GPU",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old"
        r"|nvidia driver is too old",
        "The GPU's driver is older than the CUDA of {engine}: " + _DRIVER + ", which brings the"
        " one that goes with it",
        "CUDA runtime, error 35; PyTorch, torch/csrc/cuda; Ollama, discover/gpu.go",
    ),
    known(
        "GPU",
        r"no kernel image is available|device kernel image is invalid",
        "{engine} has no code for this kind of GPU: choose an engine of its software stack in"
        " deploys/planning/hardware/software_stacks.py; llama.cpp is compiled for the GPUs of the"
        " profile",
        "CUDA runtime, errors 209 and 200",
    ),
    known(
        "GPU",
        r"system not yet initialized",
        "The GPUs wait for the fabric manager of their NVSwitch: " + _DRIVER + ", and look at"
        " journalctl -u nvidia-fabricmanager",
        "CUDA runtime, error 802",
    ),
    known(
        "GPU",
        r"no CUDA-capable device is detected|No CUDA GPUs are available",
        "{engine} sees no GPU: check whether nvidia-smi does, and " + _DRIVER,
        "CUDA runtime, error 100; PyTorch, torch/cuda",
    ),
    known(
        "settings",
        r"error: (invalid argument|unrecognized arguments): (?P<option>.+)"
        r"|environment variable \"(?P<variable>\w+)\"",
        "The installed {engine} does not take a setting that it was given: run"
        " deploys/full.py, which installs the pinned version and writes its settings anew",
        "llama.cpp, common/arg.cpp; Python, argparse",
    ),
    known(
        "settings",
        r"chat template is not supported|failed to initialize chat template"
        r"|default chat template is no longer allowed|TemplateSyntaxError|TemplateError",
        "The chat template that comes with the model is missing or broken: choose another"
        " repository or revision of the model, or another variant from"
        " deploys/planning/models/catalogue.py",
        "llama.cpp, common/chat.cpp; transformers, as quoted by vLLM 0.33, renderers/hf.py",
    ),
    known(
        "process",
        r"code=killed, status=9/KILL",
        "It was killed from outside, as the kernel does when memory is short: dmesg -T | grep -i"
        " oom shows it; stop what else uses the host's memory, or set a smaller context or"
        " parallel",
        "systemd, core/service.c",
    ),
    known(
        "process",
        r"status=4/ILL|Illegal instruction",
        "{engine} was compiled for another CPU: remove its folder under /opt/modelrack/engines and"
        " the packed build on your computer, and run deploys/full.py",
        "systemd, on SIGILL",
    ),
)

# Of engines built on ggml.
GGUF = (
    known(
        "network",
        r"invalid magic characters|model is corrupted or incomplete|failed to open GGUF file",
        "The model's file is damaged or not a GGUF: " + _FETCH,
        "llama.cpp, ggml/src/gguf.cpp and src/llama-model-loader.cpp",
    ),
    known(
        "network",
        r"unknown model architecture: '(?P<architecture>[^']+)'",
        "This version of {engine} does not support the architecture {architecture}: pin a newer"
        " one in deploys/locks/artifacts.yaml, or serve another model",
        "llama.cpp, src/llama-model.cpp",
    ),
    known(
        "GPU memory",
        r"failed to allocate (buffer for kv cache|\S+ buffer for kv cache)"
        r"|failed to initialize the context: failed to allocate",
        "The KV cache does not fit: set a smaller context or parallel for the service, or"
        ' kv_cache="q8_0"',
        "llama.cpp, src/llama-kv-cache.cpp and src/llama-context.cpp",
    ),
    known(
        "GPU memory",
        r"cudaMalloc failed: out of memory|CUDA error: out of memory|unable to allocate CUDA\d+",
        "The model does not fit into the GPUs as planned: " + OTHER_USER + ", set a smaller"
        " context or parallel for the service, fewer gpu_layers, or more cpu_experts",
        "llama.cpp, ggml/src/ggml-cuda/ggml-cuda.cu",
    ),
)

# Of engines built on PyTorch.
TORCH = (
    known(
        "network",
        r"Model architectures \['(?P<architecture>[^']+)'.*\] are not supported",
        "This version of {engine} does not support the architecture {architecture}: serve another"
        " model, or with another engine",
        "vLLM 0.33, model_executor/models/registry.py; SGLang 0.5.23, models/registry.py",
    ),
    known(
        "GPU memory",
        r"CUDA out of memory\. Tried to allocate (?P<size>[\d.]+ [KMG]iB)",
        "A GPU is full, {size} more were wanted: "
        + OTHER_USER
        + ", or set a smaller gpu_memory_utilization or"
        " context for the service",
        "PyTorch, c10/cuda/CUDACachingAllocator.cpp",
    ),
    known(
        "shared memory",
        r"No space left on device.*(/dev/shm|shared memory)|/dev/shm.*No space left on device",
        "Shared memory is full: remove what is left in /dev/shm of processes that are gone, or"
        " enlarge it with mount -o remount,size=75% /dev/shm",
        "NCCL, misc/shmutils.cc",
    ),
    known(
        "links",
        r"peer access is not supported|NCCL error.* unhandled cuda error|ncclUnhandledCudaError",
        "The GPUs cannot reach each other as NCCL thinks they can: switch IOMMU and PCIe ACS off in"
        " the firmware (or boot with iommu=pt), or keep each copy on one card with"
        " tensor_parallel=1",
        "NCCL, transport/p2p.cc; vLLM, issues 406 and 6732",
    ),
    known(
        "compiler",
        r"Failed to find C compiler",
        "Kernels are compiled at the first start, and there is no compiler: apt-get install g++"
        " python3-dev",
        "Triton, runtime/build.py",
    ),
)

# Of SGLang, and what is built on it.
SGLANG = (
    known(
        "context",
        r"context_length \((?P<wanted>\d+)\) is greater than the derived context_length"
        r" \((?P<longest>\d+)\)",
        "The model was trained for {longest} tokens, and context is {wanted}: set context={longest}"
        " or less for the service",
        "SGLang 0.5.23, srt/configs/model_config.py",
    ),
    known(
        "GPU memory",
        r"Not enough memory\. Please try to increase --mem-fraction-static"
        r"|leave no GPU memory for the KV cache",
        "The weights leave no room for the KV cache: set a larger gpu_memory_utilization for the"
        " service, more"
        " tensor_parallel, or serve a smaller quantization of the model",
        "SGLang 0.5.23, model_executor/pool_configurator.py, mem_cache/kv_cache_configurator.py",
    ),
)
