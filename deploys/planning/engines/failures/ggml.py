"""Known failures of engines built on ggml."""

from __future__ import annotations

from deploys.planning.engines.failures.known import FETCH, OTHER_USER, known

GGUF = (
    known(
        "folders",
        r"failed to open (?P<path>/\S+): Permission denied",
        "{engine} runs as a user of its own, who may not open {path}: give it that file and the way"
        " there (namei -l {path} shows both)",
        "llama.cpp, src/llama-mmap.cpp",
    ),
    known(
        "host memory",
        r"mmap failed: Cannot allocate memory",
        "The host's memory is not enough to map the model's file: stop what else uses it (top), or"
        " look at sysctl vm.overcommit_memory, which may forbid it (2)",
        "llama.cpp, src/llama-mmap.cpp",
    ),
    known(
        "files",
        r"failed to open GGUF file '(?P<file>[^']+)' \(No such file",
        "{file} is named, and is not there: " + FETCH,
        "llama.cpp, ggml/src/gguf.cpp",
    ),
    known(
        "files",
        r"invalid split file(?: name)?: (?P<file>\S+)",
        "{file} says that it is one of several shards and is not called like one, as after cat or a"
        " new name: shards are joined by us alone (merge=True), so fetch them anew with"
        " deploys.stages.weights.fetch",
        "llama.cpp, src/llama-model-loader.cpp, llama_get_list_splits",
    ),
    known(
        "files",
        r"failed to load GGUF split from (?P<file>\S+)",
        "The shard {file} is missing or damaged: " + FETCH,
        "llama.cpp, src/llama-model-loader.cpp",
    ),
    known(
        "files",
        r"illegal split file idx: \d+ \(file: (?P<file>[^)]+)\)",
        "{file} is not the first of its shards, with which a model begins: run deploys/full.py,"
        " which writes the settings of the service anew",
        "llama.cpp, src/llama-model-loader.cpp",
    ),
    known(
        "files",
        r"invalid split (?:count|file idx)|missing key \S+ in GGUF split"
        r"|corrupted model: \d+ tensors expected but \d+ found",
        "The shards do not belong together, or one is missing: " + FETCH,
        "llama.cpp, src/llama-model-loader.cpp",
    ),
    known(
        "network",
        r"unknown (?:pre-tokenizer type|tokenizer): '(?P<kind>[^']+)'",
        "This version of {engine} does not know the tokenizer {kind} of the model: pin a newer one"
        " in deploys/locks/artifacts.yaml, or serve another model",
        "llama.cpp, src/llama-vocab.cpp",
    ),
    known(
        "network",
        r"missing tensor '(?P<tensor>[^']+)'|wrong number of tensors; expected (?P<count>\d+)",
        "The file does not have the tensors that {engine} expects in a network of its kind: it was"
        " made for another version; choose another repository of the model, or pin another version"
        " in deploys/locks/artifacts.yaml",
        "llama.cpp, src/llama-model-loader.cpp",
    ),
    known(
        "network",
        r"invalid magic characters|model is corrupted or incomplete",
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
