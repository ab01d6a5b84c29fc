"""Options that the plan sets of several engines, and the field of Service to set instead."""

from __future__ import annotations

# What the plan sets of SGLang, and of KTransformers, which is built on it.
OF_SGLANG = {
    "model-path": "model",
    "served-model-name": "name",
    "port": "port",
    "is-embedding": "task",
    "context-length": "context",
    "max-running-requests": "parallel",
    "mem-fraction-static": "gpu_memory_utilization",
    "reasoning-parser": "reasoning_parser",
    "tool-call-parser": "tool_parser",
    "chat-template": "chat_template",
    **dict.fromkeys(
        ("host", "config", "enable-metrics", "nnodes", "node-rank", "dist-init-addr"),
        "",
    ),
}
