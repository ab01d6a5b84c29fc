"""Which engine reads which quantization, and what is said of the others before a download."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deploys.planning.checkpoint.quantization import NAMES, PLAIN, canonical
from deploys.planning.engines import compatibility
from deploys.planning.engines.quantizations import SGLANG, VLLM
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from tests.plans.simulated import MACHINES
from tests.unit import ROOT
from tests.unit.checkpoints import CASES
from tests.unit.planning.plan_examples import model

HERE = Machine.from_json(MACHINES["rtx4090"])
# A card of each compute capability that an engine may begin with.
CARDS = {"7.5": "T4", "8.0": "A100", "8.9": "RTX 4090", "9.0": "H200", "10.0": "B200"}
# Rows that no column of the documentation has room for.
OTHERS = ("W8A16-ACTORDER", "W8A8-QUARK", "W4A16-FP8", "W4A16-QUARK", "W4A16-W8A16")
TABLES = {name: engine.reads.quantizations for name, engine in ENGINES.items()}


def refusals(engine: str, quantization: str, gpu: str | None, kind: str = "safetensors") -> str:
    of = model(format=kind, quantization=quantization)
    service = Service(name="tiny", engine=engine, model=of, port=8000)
    card = named(gpu) if gpu else None
    found = compatibility.refusals(service, of, card, stack_of(card), HERE)
    return " ".join(map(str, found))


@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_the_tables_have_every_case(case: dict[str, Any]) -> None:
    for engine, table in TABLES.items():
        if table is None:
            continue
        since = case["read"].get(engine)
        for compute, gpu in CARDS.items():
            right = since == "any" or (str(since)[0].isdigit() and _at_least(compute, since))
            assert table.reads(case["name"], named(gpu)) == bool(right), (engine, gpu)
        assert table.reads(case["name"], None) == (since is not None), engine


def _at_least(compute: str, since: str) -> bool:
    return [*map(int, compute.split("."))] >= [*map(int, since.split("."))]


def test_the_tables_have_names_that_there_are() -> None:
    for table in TABLES.values():
        for name in (*table.since, *table.without_cards) if table else ():
            assert name in NAMES and canonical(name) == name
    # What no case is of would be a row that nobody has looked at.
    of_cases = {case["name"] for case in CASES}
    rows = {name for table in TABLES.values() if table for name in table.since}
    assert rows - of_cases <= {
        *("FP8-CHANNEL", "MXFP8-AUTOROUND", "W4A16-FP8", "W4A16-QUARK", "W4A16-W8A16"),
        *("W8A16-ACTORDER", "W8A16-AUTOROUND", "W8A8-CHANNEL", "W8A8-QUARK"),
    }


@pytest.mark.parametrize(
    ("engine", "quantization", "gpu", "said"),
    [
        ("vllm", "GPTQ-desc_act", "H200", r"0\.32\.0 does not read GPTQ-DESC-ACT \(GPTQ with col"),
        ("vllm", "GPTQ-desc_act", "H200", "Serve it with SGLang"),
        ("vllm", "bnb", "RTX 4090", r"does not read BITSANDBYTES .*Choose the AWQ or FP8 variant"),
        ("sglang", "bnb", "H200", "or a GGUF variant for llama.cpp or Ollama"),
        ("vllm", "torchao", "H200", "does not read TORCHAO"),
        ("sglang", "FP8-PB-WO", "H200", r"does not read FP8-PB-WO .*Serve it with vLLM\."),
        ("sglang", "MXFP8", "H200", r"need compute capability 10\.0, and this is 9\.0"),
        ("sglang", "MXFP8", "H200", "Serve it with vLLM"),
        ("vllm", "W4AFP8", "H200", "Serve it with SGLang"),
        ("vllm", "W4AFP8-PACK", "A100", r"need compute capability 9\.0, and this is 8\.0"),
        ("vllm", "W4AFP8-PACK", "RTX 5090", "are Hopper's alone"),
        ("vllm", "MXFP4", "T4", r"need compute capability 8\.0"),
        ("vllm", "exl9", "H200", "EXL9. Set quantization of the model to what its maker calls it"),
        ("vllm", "torchao", None, "does not read TORCHAO"),
        ("ktransformers", "GPTQ", "RTX 4090", "experts in FP8, BF16 or INT4"),
    ],
)
def test_what_is_not_read_is_refused_with_what_would_do(
    engine: str, quantization: str, gpu: str | None, said: str
) -> None:
    found = refusals(engine, quantization, gpu)
    assert re.search(said, found), found
    assert found.count("cannot serve") == 1


def test_what_a_cpu_alone_reads_is_not_refused_there() -> None:
    assert refusals("vllm", "W4A8", None) == ""
    assert "does not read W4A8" in refusals("vllm", "W4A8", "H200")


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
def test_types_that_ggml_has_dropped_are_refused(engine: str) -> None:
    for name in ("Q4_0_4_4", "q4_0_8_8", "IQ4_NL_4_4"):
        found = refusals(engine, name, None, "gguf")
        assert "ggml has dropped such tensors" in found and "Choose the Q4_0" in found
    for name in ("Q8_0", "F16", "BF16", "IQ4_XS", "MXFP4", "Q4_0", "UD-IQ1_S", "TQ2_0", "IQ4_NL"):
        assert refusals(engine, name, None, "gguf") == ""


def test_the_table_of_the_documentation_says_what_is_refused() -> None:
    """Of each row, the least compute capability of each engine; two numbers are of two names."""
    text = (ROOT / "docs/hardware-and-engines.md").read_text().partition("## Formats")[2]
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    in_table = {name for names, *_ in rows for name in re.findall(r"`([^`]+)`", names)}
    for engine, table in (("vllm", VLLM), ("sglang", SGLANG)):
        column = 1 if engine == "vllm" else 2
        for row in rows:
            said = re.findall(r"[\d.]+|yes", row[column])
            for name in re.findall(r"`([^`]+)`", row[0]):
                least = next((c for c in CARDS if not refusals(engine, name, CARDS[c])), None)
                found = "yes" if name in PLAIN else least
                assert (found in said) if said else found is None, (engine, name, found, said)
        assert {*table.since} - in_table <= {*OTHERS}
