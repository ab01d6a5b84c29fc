"""Known failures of engines built on PyTorch."""

from __future__ import annotations

from deploys.planning.engines.failures.known import FETCH, OTHER_USER, known

TORCH = (
    known(
        "libraries",
        r"(?P<file>/\S+): undefined symbol: \w*(?:3c10|2at|5torch)",
        "{file} was made for another version of PyTorch than is installed beside it: run"
        " deploys/full.py, which installs what goes together, and nothing by hand into that folder",
        "GNU ld.so; names of PyTorch's own functions",
    ),
    known(
        "network",
        r"Model architectures \['(?P<architecture>[^']+)'.*\] are not supported",
        "This version of {engine} does not support the architecture {architecture}: serve another"
        " model, or with another engine",
        "vLLM 0.33, model_executor/models/registry.py; SGLang 0.5.23, models/registry.py",
    ),
    known(
        "GPU memory",
        r"(?:CUDA|HIP) out of memory\. Tried to allocate (?P<size>[\d.]+ [KMG]iB)",
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
        "GPU memory",
        r"Cuda failure (?:\d+ )?'out of memory'",
        "A GPU has no memory left for NCCL, by which cards talk to each other: " + OTHER_USER + ","
        " or set a smaller gpu_memory_utilization for the service",
        "NCCL, alloc.h",
    ),
    known(
        "links",
        r"peer access is not supported",
        "The GPUs cannot reach each other as NCCL thinks they can: switch IOMMU and PCIe ACS off in"
        " the firmware (or boot with iommu=pt), or keep each copy on one card with"
        " tensor_parallel=1",
        "NCCL, transport/p2p.cc; vLLM, issues 406 and 6732",
    ),
    known(
        "links",
        r"unhandled system error",
        "NCCL, by which cards talk to each other, got an error from the system and not from a GPU,"
        " about shared memory or a network interface as a rule: look at df -h /dev/shm and ip -br"
        " address; with NCCL_DEBUG=INFO in its environment it says which",
        "NCCL, ncclSystemError",
    ),
    known(
        "links",
        r"Cuda failure (?:\d+ )?'(?P<what>[^']+)'",
        "NCCL, by which cards talk to each other, was told by CUDA: {what}; look whether nvidia-smi"
        " shows every card, and at dmesg -T | grep -iE 'nvrm|xid'",
        "NCCL, checks.h",
    ),
    known(
        "settings",
        r"Bfloat16 is only supported on GPUs with compute capability of at least (?P<least>\d+\.\d)"
        r"\. Your (?P<card>.+?) GPU has compute capability (?P<there>\d+\.\d)",
        "A {card} (compute capability {there}) has no arithmetic in bfloat16, which begins with"
        " {least}: serve a variant in FP16, AWQ or GPTQ, or a GGUF with llama.cpp",
        "vLLM 0.32, platforms/cuda.py",
    ),
    known(
        "settings",
        r"is not supported for the current GPU\. Min(?:imum|\.)? capability:"
        r" (?P<from>\d+)(?P<on>\d)\.? +Current capability: (?P<major>\d+)(?P<minor>\d)\b",
        "These GPUs are too old for the quantization of the model: they have compute capability"
        " {major}.{minor}, and {engine} computes with it from {from}.{on} on: choose another"
        " variant of the model",
        "vLLM 0.32, config/vllm.py; SGLang 0.5.23, model_loader/loader.py",
    ),
    known(
        "settings",
        r"torch\.(?P<dtype>\w+) is not supported for quantization method (?P<method>\w+)",
        "{engine} does not compute in {dtype} with weights in {method}: choose another variant of"
        " the model",
        "vLLM 0.32, config/vllm.py; SGLang 0.5.23, model_loader/loader.py",
    ),
    known(
        "settings",
        r"--kv-cache-dtype \S+: (?P<why>.+)|(?P<network>\S+) requires a BF16 main KV cache",
        "This model is not served with a cache in the type that was set: leave kv_cache out of the"
        " service, which then has the model's own",
        "vLLM, models of the Qwen4 family",
    ),
    known(
        "settings",
        r"No valid attention backend found for",
        "{engine} has no attention for this network on such a card with these settings: leave"
        " kv_cache out of the service, or serve the model with another engine",
        "vLLM 0.32, platforms/cuda.py",
    ),
    known(
        "files",
        r"Cannot find any model weights with `(?P<folder>[^`]+)`",
        "No file in {folder} is in a format that {engine} reads (safetensors): a GGUF is served by"
        " llama.cpp or Ollama; where there is nothing at all, run deploys.stages.weights.fetch",
        "vLLM 0.32, model_loader/default_loader.py; SGLang 0.5.23, model_loader/loader.py",
    ),
    known(
        "GPU memory",
        r"RuntimeError: The memory capacity is unbalanced",
        "One GPU has less memory free than the others: " + OTHER_USER + ", or leave that card out"
        " with fewer gpus in the profile",
        "SGLang 0.5.23, distributed/bootstrap.py",
    ),
    known(
        "files",
        r"SafetensorError: .*(?:header|Header|Metadata|[Bb]uffer)",
        "A file of the weights is cut short or damaged: " + FETCH,
        "safetensors, safetensors/src/tensor.rs",
    ),
    known(
        "files",
        r"does not appear to have a file named (?P<file>\S+)\.",
        "The model's folder has no {file}, which {engine} reads first: "
        + FETCH
        + "; a model of your"
        " own needs it among its files",
        "transformers, utils/hub.py",
    ),
    known(
        "network",
        r"has model type `(?P<kind>[^`]+)` but Transformers does not recognize",
        "This version of {engine} does not support the architecture {kind}: serve another model,"
        " or this one with another engine",
        "transformers, models/auto/configuration_auto.py",
    ),
    known(
        "network",
        r"contains custom code which must be executed|set the option `trust_remote_code=True`",
        "The model brings code of its own, which is not run here: serve another model, or a GGUF of"
        " this one with llama.cpp",
        "transformers, dynamic_module_utils.py; vLLM 0.32, transformers_utils/config.py",
    ),
    known(
        "network",
        r"There is no module or parameter named '(?P<name>[^']+)' in (?P<network>\w+)",
        "The weights have {name}, for which {engine} has no place in {network}: this checkpoint was"
        " made for another engine or version of it; choose another repository or quantization of"
        " the model",
        "vLLM 0.32, model_executor/models/utils.py",
    ),
    known(
        "network",
        r"weights were not initialized from checkpoint",
        "The checkpoint lacks weights that {engine} expects in this network: it was made for"
        " another engine or version of it; choose another repository or quantization of the model",
        "vLLM 0.32, model_loader/default_loader.py",
    ),
    known(
        "network",
        r"Unknown quantization method: (?P<method>[^.\s]+)",
        "This version of {engine} does not know the quantization {method} that the model's"
        " config.json names: choose another variant of the model",
        "vLLM 0.32, config/model.py",
    ),
    known(
        "graphs",
        r"Capture cuda graph failed: (?P<why>.+)|(?P<when>when stream is capturing)",
        "{engine} could not record its CUDA graphs: set a smaller gpu_memory_utilization or"
        " parallel for the service, which leaves them more memory, and if that changes nothing"
        " serve the model with another engine",
        "SGLang 0.5.23, decode_cuda_graph_runner.py; CUDA runtime, error 900",
    ),
    known(
        "compiler",
        r"Failed to find C compiler",
        "Kernels are compiled at the first start, and there is no compiler: apt-get install g++"
        " python3-dev",
        "Triton, runtime/build.py",
    ),
    known(
        "compiler",
        r"cuda_home is not None|Could not find (CUDA installation|nvcc)|nvcc: not found"
        r"|CUDA_HOME environment variable is not set",
        "Kernels are compiled at the first start, and CUDA's compiler is not found: run"
        " deploys/full.py, which brings the one that {engine} was made for",
        "FlashInfer 0.7.0, jit/cpp_ext.py; tvm_ffi 0.1.11, cpp/extension.py; PyTorch",
    ),
    known(
        "compiler",
        r"(?:Value '|Unsupported gpu architecture ')(?P<target>(?:sm|compute)_\w+)'",
        "The CUDA compiler that {engine} has found is older than the GPU ({target}): let it have"
        " the one of its own environment: run deploys/full.py, and remove what sets CUDA_HOME",
        "CUDA, ptxas and nvcc",
    ),
    known(
        "compiler",
        r"fatal error: (?P<header>\S+): No such file or directory",
        "Kernels are compiled at the first start, and the header {header} is not there: apt-get"
        " install python3-dev for Python.h, and run deploys/full.py for the others",
        "GCC; Triton, runtime/build.py",
    ),
    known(
        "process",
        r"Worker proc (?P<worker>\S+) died unexpectedly|scheduler died during initialization",
        "A process of {engine} has ended without saying why, as one does that is killed: dmesg -T |"
        " grep -iE 'oom|xid' tells whether for want of memory or by a GPU",
        "vLLM 0.32, executor/multiproc_executor.py; SGLang 0.5.23, entrypoints/engine.py",
    ),
    known(
        "process",
        r"unhandled cuda error|ncclUnhandledCudaError",
        "NCCL, by which cards talk to each other, got an error from CUDA that it does not name:"
        " with NCCL_DEBUG=INFO in its environment it does; look whether nvidia-smi shows every"
        " card",
        "NCCL, ncclUnhandledCudaError",
    ),
)
