"""Known failures of engines built on ggml."""

from __future__ import annotations

from deploys.planning.engines.failures.known import FETCH, OTHER_USER, known

GGUF = (
    known(
        "network",
        r"invalid magic characters|model is corrupted or incomplete|failed to open GGUF file",
        "The model's file is damaged or not a GGUF: " + FETCH,
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
