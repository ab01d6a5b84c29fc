"""How long a model takes to a verified single file: ``python -m tests.bench.weights``.

One server (nginx with sendfile, speaking a hub's addresses) and one file system for all: the usual
way (ModelScope's client, ``llama-gguf-split --merge``, ``sha256sum``), ``curl`` and a sync of the
same bytes, which is the limit although it neither hashes nor merges, and ours. They take turns, so
that what else the computer does hits all. Ours and curl do so with models of several sizes: a disk
may be slower with large ones. What is there is verified, beside a mere read of it from the disk.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from deploys.connection import programs
from tests import packs, temporary
from tests.bench.cost import CommandError, Cost, measure
from tests.bench.nginx import MODEL, Nginx, ServerError
from tests.lab import gguf_file
from tests.lab.gguf_file import U16, U32, Key

GIB = 1 << 30
SHARDS = 6
# What the issue of these programs asks for.
TARGETS = {
    "usual": 2.5,
    "curl": 1.2,
    "written": 1.02,
    "disk": 1.02,
    "rss_mb": 256,
    "growth": 0.1,
    "verify": 1.1,
}


@dataclass
class Way:
    """One way to get the model, and what its runs cost."""

    title: str
    runs: list[Cost] = field(default_factory=list)

    def middle(self, what: str) -> float:
        values: list[float] = [getattr(run, what) for run in self.runs]
        return median(values)


def main() -> int:
    arguments = _arguments()
    with temporary.folder("modelrack-weights-", arguments.folder) as folder:
        try:
            result = _measure(folder, arguments)
        except (ServerError, CommandError) as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(result))
    return 0


def _measure(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All sizes take turns, too: what else the computer does is not to look like growth."""
    sizes = sorted({*arguments.sizes, arguments.gib})
    tool = _merge_tool(work)
    if not tool:
        _say(
            "no llama-gguf-split that runs here: set LLAMA_GGUF_SPLIT, or leave the usual way out"
            " as now"
        )
    ways = {gib: {"ours": Way("modelrack"), "curl": Way("curl and sync")} for gib in sizes}
    with ExitStack() as stack:
        models = {}
        for gib in sizes:
            _write_model(work / f"{gib:g}" / "root" / MODEL, int(gib * GIB))
            models[gib] = stack.enter_context(Nginx(work / f"{gib:g}"))
        for turn in range(1, arguments.repetitions + 1):
            for gib, model in models.items():
                _say(
                    f"{turn} of {arguments.repetitions}, {gib:g} GiB, load {os.getloadavg()[0]:.1f}"
                )
                expected = _run_ours(work, model, ways[gib]["ours"])
                if gib == arguments.gib:
                    _run_verify(work, model, ways[gib])
                _run_curl(work, model, ways[gib]["curl"])
                if gib != arguments.gib or not tool:
                    continue
                usual = ways[gib].setdefault("usual", Way("client, merge, sha256sum"))
                if _run_usual(work, model, usual, tool) != expected:
                    raise ServerError(
                        "llama-gguf-split merges the shards to other bytes than we do"
                    )
        reports = {gib: _report(ways[gib], models[gib].size) for gib in sizes}
    result = {"bench": "weights", "targets": TARGETS, **reports[arguments.gib]}
    seconds: dict[str, dict[float, float]] = {
        f"{key}_s_per_gib": {gib: ways[gib][key].middle("seconds") / gib for gib in sizes}
        for key in ("ours", "curl")
    }
    # A disk that gets slower makes curl's growth as large: ours is to be seen beside it.
    ours, curl = seconds.values()
    seconds["ours_to_curl"] = {gib: ours[gib] / curl[gib] for gib in sizes}
    result["growth"] = {}
    for key, each in seconds.items():
        result[key] = {f"{gib:g}": round(value, 3) for gib, value in each.items()}
        middle = (max(each.values()) + min(each.values())) / 2
        result["growth"][key] = round(max(each.values()) / middle - 1, 3)
    return result


def _run_ours(work: Path, server: Nginx, way: Way) -> str:
    """The sha256 of the merged file, which the manifest has."""
    target = _fresh(work)
    spec = {
        "model": "bench",
        "directory": str(target),
        "sources": [
            {
                "kind": "modelscope",
                "endpoint": server.url,
                "repository": MODEL,
                "revision": "master",
            }
        ],
        "files": server.listing,
        "merge": {"output": "merged.gguf"},
    }
    (work / "spec.json").write_text(json.dumps(spec))
    (work / "modelrack.pyz").write_bytes(programs.zipapp())
    command = ["python3", str(work / "modelrack.pyz"), "weights", "fetch", str(work / "spec.json")]
    way.runs.append(measure(work, server.folder, [command]))
    manifest = json.loads((target / "manifest.json").read_bytes())
    return str(manifest["files"][0]["sha256"])


def _run_verify(work: Path, server: Nginx, ways: dict[str, Way]) -> None:
    """What `_run_ours` has left, read from the disk: with its digest, and for nothing.

    Each is the first to read it once, and the last: memory that nobody had for a while costs more.
    """
    merged = work / "target" / "merged.gguf"
    verify = ["python3", str(work / "modelrack.pyz"), "weights", "verify", "--deep"]
    commands = {
        ("verify", "verify --deep"): [*verify, str(merged.parent)],
        ("read", "dd to nowhere"): ["dd", f"if={merged}", "of=/dev/null", "bs=1M"],
    }
    for (key, title), command in (*commands.items(), *reversed(commands.items())):
        way = ways.setdefault(key, Way(title))
        way.runs.append(measure(work, server.folder, [command]))


def _run_curl(work: Path, server: Nginx, way: Way) -> None:
    target = _fresh(work)
    target.mkdir()
    files = [str(target / file["path"]) for file in server.listing]
    fetch = ["curl", "--silent", "--fail"]
    for file, name in zip(server.listing, files, strict=True):
        fetch += [server.address(file["path"]), "-o", name]
    way.runs.append(measure(work, server.folder, [fetch, ["sync", *files]]))


def _run_usual(work: Path, server: Nginx, way: Way, tool: Path) -> str:
    target = _fresh(work)
    client = [str(Path(sys.executable).with_name("modelscope")), "download", "--model", MODEL]
    first, merged = target / server.listing[0]["path"], target / "merged.gguf"
    commands = [
        [*client, "--local_dir", str(target)],
        [str(tool), "--merge", str(first), str(merged)],
        ["sync", str(merged)],
        ["sha256sum", str(merged)],
    ]
    environment = {"MODELSCOPE_ENDPOINT": server.url, "TQDM_DISABLE": "1"}
    environment["MODELSCOPE_CACHE"] = str(work / "modelscope")
    way.runs.append(measure(work, server.folder, commands, environment))
    return (work / "output").read_text().split()[0]


def _fresh(work: Path) -> Path:
    target = work / "target"
    shutil.rmtree(target, ignore_errors=True)
    return target


def _write_model(folder: Path, size: int) -> None:
    """A GGUF model in shards, of rows of random bytes."""
    folder.mkdir(parents=True)
    rows = max(1, size // SHARDS // (32 << 20))
    noise = random.Random(1).randbytes(size // SHARDS // rows // 32 * 32)
    names = [[f"blk.{shard}.{row}.weight" for row in range(rows)] for shard in range(SHARDS)]
    for shard, tensors in enumerate(names):
        keys = [Key("general.architecture", gguf_file.STRING, "llama")] if shard == 0 else []
        keys += [Key("llama.block_count", U32, SHARDS)] if shard == 0 else []
        keys += [
            Key("split.no", U16, shard),
            Key("split.tensors.count", gguf_file.I32, SHARDS * rows),
            Key("split.count", U16, SHARDS),
        ]
        path = folder / f"bench-{shard + 1:05d}-of-{SHARDS:05d}.gguf"
        # Type 24 is I8: one byte an element, so that any size will do.
        infos = [(name, (len(noise),), 24, len(noise)) for name in tensors]
        with path.open("wb") as file:
            file.write(gguf_file.head(keys, infos))
            for number in range(rows):
                file.write(hashlib.sha256(f"{shard} {number}".encode()).digest() + noise[32:])


def _merge_tool(work: Path) -> Path | None:
    """llama.cpp's tool: the one that is named, or one from an engine that was compiled."""
    named = os.environ.get("LLAMA_GGUF_SPLIT")
    return Path(named) if named else packs.program("llama-gguf-split", work / "llama.cpp")


def _report(ways: dict[str, Way], size: int) -> dict[str, Any]:
    """Print a table and return what the JSON says of it."""
    print(
        f"\n{size / GIB:.2f} GiB, medians    seconds      min      max  processor  written   disk"
    )
    for way in ways.values():
        times = [run.seconds for run in way.runs]
        print(
            f"  {way.title:<24}{median(times):>7.2f}{min(times):>9.2f}{max(times):>9.2f}"
            f"{way.middle('processor'):>11.2f}{way.middle('written') / size:>9.3f}"
            f"{way.middle('disk') / size:>7.3f}",
            flush=True,
        )
    seconds = {key: way.middle("seconds") for key, way in ways.items()}
    runs = ways["ours"].runs
    ratios = {
        "curl": seconds["ours"] / seconds["curl"],
        "written": max(run.written for run in runs) / size,
        "disk": max(run.disk for run in runs) / size,
    }
    if "verify" in seconds:
        ratios["verify"] = seconds["verify"] / seconds["read"]
    if "usual" in seconds:
        ratios["usual"] = seconds["usual"] / seconds["ours"]
    return {
        "median_s": {key: round(value, 3) for key, value in seconds.items()},
        "best_s": {
            key: round(min(run.seconds for run in way.runs), 3) for key, way in ways.items()
        },
        "ratio": {key: round(value, 3) for key, value in ratios.items()},
        "rss_mb": round(max(run.memory for run in runs) / 1e6, 1),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.weights", description=__doc__)
    parser.add_argument("--gib", type=float, default=2, help="size of the model that is compared")
    parser.add_argument("--sizes", type=float, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where all takes place, else the usual /tmp")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
