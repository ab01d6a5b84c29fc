"""The engines there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from deploys.planning.engines.base import Engine
from deploys.planning.engines.ktransformers import KTRANSFORMERS
from deploys.planning.engines.llama_cpp import LLAMA_CPP
from deploys.planning.engines.ollama import OLLAMA
from deploys.planning.engines.sglang import SGLANG
from deploys.planning.engines.vllm import VLLM

ENGINES: Mapping[str, Engine] = {
    engine.name: engine for engine in (VLLM, SGLANG, OLLAMA, LLAMA_CPP, KTRANSFORMERS)
}
