"""Whether a split GGUF becomes one file: by the engine, or by the operator's word."""

from __future__ import annotations

import pytest

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights.merge_policy import needs_merge
from tests.unit.planning.plan_examples import attempt, locks, profile, service

READS_SHARDS = {"llama.cpp", "ktransformers"}


def test_every_engine_says_how_it_reads_shards() -> None:
    found = {name: engine.reads.split_gguf for name, engine in ENGINES.items()}
    assert {name for name, reading in found.items() if reading.shards} == READS_SHARDS
    assert all(reading.source and reading.date for reading in found.values())
    assert all(bool(reading.why) != reading.shards for reading in found.values())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("word", [None, True, False])
def test_the_engine_decides_unless_the_operator_does(engine: str, word: bool | None) -> None:
    services = [service(engine=engine, merge=word)]
    if word is False and engine not in READS_SHARDS:
        with pytest.raises(
            Refusal, match=f"{engine} needs a split GGUF as one file: (it opens|its)"
        ):
            needs_merge(services)
    else:
        assert needs_merge(services) == (engine not in READS_SHARDS if word is None else word)


def test_one_service_that_needs_one_file_is_enough() -> None:
    reading = service(name="a")
    assert not needs_merge([reading])
    assert needs_merge([reading, service(name="b", engine="ollama")])
    assert needs_merge([service(name="b", engine="ollama"), reading])


def test_two_words_that_cannot_both_hold() -> None:
    keeping = service(name="a", merge=False)
    for other in (service(name="b", engine="ollama"), service(name="b", merge=True)):
        with pytest.raises(Refusal, match=r"Service a keeps the shards .* b needs them as one"):
            needs_merge([keeping, other])


def test_the_plan_follows() -> None:
    made = attempt(profile(service(engine="ollama")))
    assert made.weights[0].merge == "tiny.gguf"
    refused = attempt(profile(service(engine="ollama", merge=False)))
    assert any("merge=False keeps the shards" in str(each) for each in refused.refusals)
    # A single file is one already, whatever is said about shards.
    single = attempt(profile(service(engine="ollama", merge=False)), pins=locks(["tiny.gguf"]))
    assert single.weights[0].merge is None
    assert not any("shards" in str(each) for each in single.refusals)
