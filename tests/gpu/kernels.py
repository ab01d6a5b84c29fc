"""What the time of one token goes into, kernel by kernel, as NVIDIA's profiler counts it.

The profiler runs each kernel on its own, so what overlaps in real life does not here: together they
take a little longer than a token does.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.gpu import surroundings

_TIME, _BYTES = "gpu__time_duration.sum", "dram__bytes_read.sum"
_SLOTS = "sm__inst_issued.avg.pct_of_peak_sustained_active"
# The first tokens are there to warm up; 340 kernels are 18 layers of a dense model.
_NCU = (
    *("--launch-skip", "2600", "--launch-count", "340", "--csv", "--print-units", "base"),
    # Clocks stay as they are when nobody looks.
    *("--clock-control", "none", "--metrics", f"{_TIME},{_BYTES},{_SLOTS}"),
)
_BENCH = ("-ngl", "99", "-fa", "1", "-p", "0", "-n", "8", "-r", "1")


def measure(programs: Path, model: Path, output: Path) -> None:
    """llama-bench under `ncu`, without CUDA graphs, which would be one kernel to it."""
    result = surroundings.of_deployed(programs)
    said = subprocess.run(
        ["ncu", *_NCU, programs / "llama-bench", "--model", model, *_BENCH],
        env={**os.environ, "GGML_CUDA_DISABLE_GRAPHS": "1"},
        **{"stdout": subprocess.PIPE, "text": True, "check": True},
    ).stdout
    result |= {"model": model.stem, "kernels": kernels(said)}
    output.write_text(json.dumps(result, indent=1) + "\n")


def kernels(printed: str) -> list[dict[str, Any]]:
    """Those of the same name and number of blocks together, what takes longest first.

    + launches: how often they ran
    + microseconds, bytes: all of them together took, and read from memory
    + issue_slots: share of the moments an instruction could have begun in which one did
    """
    launched: dict[str, dict[str, str]] = {}
    lines = (line for line in printed.splitlines() if line.startswith('"'))
    for row in csv.DictReader(lines):
        launch = launched.setdefault(row["ID"], {"name": _name(row), "blocks": row["Grid Size"]})
        launch[row["Metric Name"]] = row["Metric Value"].replace(",", "")

    def alike(launch: dict[str, str]) -> tuple[str, str]:
        return launch["name"], launch["blocks"]

    groups = groupby(sorted(launched.values(), key=alike), key=alike)
    found = [_together(name, blocks, group) for (name, blocks), group in groups]
    return sorted(found, key=lambda kernel: -kernel["microseconds"])


def _name(row: dict[str, str]) -> str:
    return row["Kernel Name"].removeprefix("void ").partition("(")[0]


def _together(name: str, blocks: str, launches: Iterable[dict[str, str]]) -> dict[str, Any]:
    all_of_them = list(launches)
    times = [float(launch[_TIME]) / 1000 for launch in all_of_them]
    slots = [float(launch[_SLOTS]) / 100 for launch in all_of_them]
    return {
        "kernel": name,
        "blocks": blocks,
        "launches": len(all_of_them),
        "microseconds": round(sum(times), 2),
        "bytes": round(sum(float(launch[_BYTES]) for launch in all_of_them)),
        "issue_slots": round(
            sum(time * share for time, share in zip(times, slots, strict=True)) / sum(times), 3
        ),
    }
