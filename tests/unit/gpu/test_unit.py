"""A service's journal, read for how long its starts took (tests/gpu/unit.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.gpu import unit

STARTED = "39f53479d3a045ac8e11786248231fbf"


def journal(*entries: tuple[float, str, str | None]) -> Iterator[str]:
    for seconds, message, kind in entries:
        entry = {"__REALTIME_TIMESTAMP": str(int(seconds * 1e6)), "MESSAGE": message}
        yield json.dumps({**entry, **({"MESSAGE_ID": kind} if kind else {})})


def test_each_start_took_until_its_server_was_ready() -> None:
    entries = journal(
        (100, "Started vllm@made-up.service.", STARTED),
        (301.5, "INFO:     Application startup complete.", None),
        (
            400,
            "Main process exited, code=killed, status=9/KILL",
            "98e322203f7a4ed290d09fe03c09fe15",
        ),
        (415, "Started vllm@made-up.service.", STARTED),
        (420, "ImportError", None),
        (440, "Started llama-server@made-up.service.", STARTED),
        (455.25, "main: server is listening on http://127.0.0.1:8080", None),
        (460, "INFO:     Application startup complete.", None),
    )
    assert unit.starts(entries) == [201.5, None, 15.2]


def test_memory_is_read_from_the_words_of_each_engine() -> None:
    said = """\
[2026-11-30 14:05:57] Load weight end. elapsed=2.38 s, avail mem=130.86 GB, mem usage=8.25 GB.
[2026-11-30 14:08:30] max_total_num_tokens=5127359, chunked_prefill_size=8192
"""
    for engine in ("sglang", "ktransformers"):
        assert unit.memory(said, engine) == {"kv_tokens": 5127359, "weights_gib": 8.25}
    assert unit.memory("Model loading took 18.51 GiB", "vllm")["weights_gib"] == 18.51


def test_nothing_was_started() -> None:
    assert unit.starts(journal((1, "Application startup complete.", None))) == []


def test_the_journal_can_be_read() -> None:
    assert unit.text(journal((3661, "Model loading took 18.51 GiB", None))) == (
        "01:01:01 Model loading took 18.51 GiB\n"
    )
