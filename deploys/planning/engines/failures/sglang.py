"""Known failures of SGLang, and of what is built on it."""

from __future__ import annotations

from deploys.planning.engines.failures.known import known

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
