"""Lines of engines that cannot start, and the one sentence that is made of them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploys.planning.engines.failures.every import EVERY
from deploys.planning.engines.failures.explain import explain
from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import HostProfile, Service
from tests.unit import UNIT

DATA = UNIT / "data"
CASES: list[dict[str, Any]] = yaml.safe_load((DATA / "failures.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("run") or case["source"])
def test_a_known_failure_is_explained(case: dict[str, Any]) -> None:
    lines = case["log"].splitlines()
    # Between lines that say nothing, as in a journal.
    lines = ["INFO loading", *lines, "Scheduled restart job, restart counter is at 1.", ""]
    found = explain(case["engine"], lines, port=8080)
    assert found is not None
    assert found.says.startswith(case["says"])
    assert found.line in [line.strip() for line in lines]


def test_every_row_is_proven_by_a_case() -> None:
    rows = {name: (*engine.failures, *EVERY) for name, engine in ENGINES.items()}
    proven = {
        row.pattern.pattern
        for case in CASES
        for row in rows[case["engine"]]
        if any(map(row.pattern.search, case["log"].splitlines()))
    }
    assert {row.pattern.pattern for each in rows.values() for row in each} - proven == set()


def test_settings_that_are_named_exist() -> None:
    named = {
        "context",
        "parallel",
        "gpu_memory_utilization",
        "kv_cache",
        "tensor_parallel",
        "gpu_layers",
    }
    named |= {"cpu_experts", "min_tokens_per_second", "port"}
    assert named <= set(Service.__dataclass_fields__)
    assert "driver" in HostProfile.__dataclass_fields__


def test_a_cause_is_told_before_what_follows_from_it() -> None:
    lines = [
        "E ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "E llama_init_from_model: failed to initialize the context:"
        " failed to allocate buffer for kv cache",
        "Main process exited, code=killed, status=9/KILL",
    ]
    found = explain("llama.cpp", lines, port=1)
    assert found and found.says.startswith("The KV cache does not fit")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_good_start_is_explained_by_nothing(engine: str) -> None:
    lines = (DATA / "llama_server_two_cards.log").read_text().splitlines()
    assert lines
    assert explain(engine, lines, port=8080) is None


def test_another_engines_words_are_not_taken_for_ones_own() -> None:
    line = "ValueError: No available memory for the cache blocks."
    assert explain("vllm", [line], port=1)
    assert explain("llama.cpp", [line], port=1) is None


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        # A warning, after which it goes on.
        (
            "llama.cpp",
            "warning: failed to mlock 184791040-byte buffer (after previously locking 0 bytes):"
            " Cannot allocate memory",
        ),
        # It follows from another line.
        (
            "vllm",
            "RuntimeError: Engine core initialization failed. See root cause above. Failed core"
            " proc(s): {}",
        ),
        # An end without a cause.
        ("llama.cpp", "Main process exited, code=dumped, status=6/ABRT"),
        # What programs only try, and do without.
        ("vllm", "WARNING Failed to import from vllm._C: ImportError('libcudart.so.12: cannot')"),
        ("vllm", "WARNING no write access: Permission denied: '/var/lib/x/.config'"),
        ("ollama", "Error: listen tcp 127.0.0.1:80: bind: permission denied"),
    ],
)
def test_what_names_no_cause_is_explained_by_nothing(engine: str, line: str) -> None:
    assert explain(engine, [line], port=8080) is None


@pytest.mark.parametrize("port", [30001, 8080])
def test_a_port_is_the_services_own_or_another(port: int) -> None:
    line = f"[Errno 98] error while attempting to bind on address ('::', {port}): address already"
    line += " in use"
    found = explain("sglang", [line], port=8080)
    assert found and found.says.startswith(f"Another process has port {port}")
    assert ("give the service another port" in found.says) is (port == 8080)


def test_nccl_without_memory_is_no_matter_of_links() -> None:
    lines = [
        "NCCL WARN Cuda failure 2 'out of memory'",
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled"
        " cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5",
        "ncclUnhandledCudaError: Call to CUDA function failed.",
    ]
    found = explain("vllm", lines, port=1)
    assert found and found.says.startswith("A GPU has no memory left for NCCL")
    assert "IOMMU" not in found.says
