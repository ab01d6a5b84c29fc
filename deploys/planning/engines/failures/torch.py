"""Known failures of engines built on PyTorch."""

from __future__ import annotations

from deploys.planning.engines.failures.known import OTHER_USER, known

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
