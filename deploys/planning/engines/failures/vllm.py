"""What vLLM prints when it cannot start."""

from __future__ import annotations

from deploys.planning.engines.failures.known import OTHER_USER, TAKEN, known

VLLM = (
    known(
        "port",
        r"OSError: \[Errno 98\] Address already in use$",
        TAKEN,
        "vLLM 0.32, entrypoints/launchers/launcher.py, before it loads",
    ),
    known(
        "context",
        r"max seq len \((?P<wanted>\d+)\).*maximum model length is (?P<most>\d+)",
        "The KV cache has room for {most} tokens, and context is {wanted}: set context={most}"
        ' or less for the service, or kv_cache="fp8", or a larger gpu_memory_utilization',
        "vLLM 0.33, v1/core/kv_cache_planning.py",
    ),
    known(
        "context",
        r"max seq len \((?P<wanted>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed",
        "A request of {wanted} tokens needs {needed} GiB of KV cache, and there is less: set a"
        " smaller context for the service, or a larger gpu_memory_utilization",
        "vLLM 0.33, v1/core/kv_cache_planning.py",
    ),
    known(
        "context",
        r"No available memory for the cache blocks",
        "The weights leave no room for the KV cache: set a larger gpu_memory_utilization for"
        " the service, more tensor_parallel, or serve a smaller quantization of the model",
        "vLLM 0.33, v1/core/kv_cache_planning.py",
    ),
    known(
        "context",
        r"Value error, User-specified max_model_len \((?P<wanted>\d+)\) is greater than the"
        r" derived max_model_len \(\w+=(?P<longest>\d+)",
        "The model was trained for {longest} tokens, and context is {wanted}: set"
        " context={longest} or less for the service",
        "vLLM 0.33, config/model.py",
    ),
    known(
        "GPU memory",
        r"Free memory on device (\S+ )?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\).*utilization"
        r" \((?P<share>[\d.]+), (?P<wanted>[\d.]+) GiB\)",
        "Of {total} GiB only {free} are free on a GPU, and gpu_memory_utilization {share} is"
        " {wanted}: " + OTHER_USER + ", or set a smaller gpu_memory_utilization for the service",
        "vLLM 0.33, v1/worker/utils.py",
    ),
)
