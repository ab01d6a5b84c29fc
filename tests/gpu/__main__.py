"""`python -m tests.gpu TASK`: build, write, run, speed, kernels, vllm."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from http.client import HTTPException
from itertools import groupby
from pathlib import Path
from typing import Any

from tests import temporary
from tests.gpu import building, kernels, measure, speed, surroundings, synthetic, vllm_speed
from tests.gpu.measure import Case, ServerError
from tests.gpu.networks import NETWORKS
from tests.gpu.shapes import SHAPES, Shape

RESULTS = Path(__file__).parent / "results"
_SMALL, _LARGE = "deepseek-r1-5-layers-q4_k_m", "deepseek-r1-16-layers-q4_k_m"
# Those of one model follow each other: its file is there only while it is measured.
CASES = (
    Case(model="qwen2.5-1.5b-q8_0", context=8192, parallel=1, fill=8000),
    Case(model="qwen2.5-1.5b-q8_0", context=32768, parallel=4),
    Case(model="qwen2.5-7b-f16", context=8192, parallel=1, fill=8000),
    Case(model="qwen2.5-7b-f16", context=32768, parallel=4),
    Case(model="qwen2.5-7b-f16", context=32768, parallel=1, kv_cache="q8_0", fill=32000),
    Case(model="qwen2.5-7b-f16", context=8192, parallel=4, ubatch=2048),
    Case(model=_SMALL, context=8192, parallel=1, fill=8000),
    Case(model=_SMALL, context=32768, parallel=4),
    Case(model=_SMALL, context=8192, parallel=1, cpu_experts=5, fill=512),
    Case(model=_SMALL, context=8192, parallel=1, gpu_layers=3, fill=512),
    Case(model=_SMALL, context=32768, parallel=1, kv_cache="q8_0", fill=8000),
    Case(model="qwen2.5-32b-q4_k_m", context=8192, parallel=1, fill=8000),
    Case(model="qwen2.5-32b-q4_k_m", context=32768, parallel=4),
    Case(model="qwen2.5-32b-q4_k_m", context=8192, parallel=1, gpu_layers=33, fill=512),
    Case(model="llama-70b-q4_k_m", context=8192, parallel=1, fill=8000),
    Case(model="llama-70b-q4_k_m", context=32768, parallel=4),
    Case(model=_LARGE, context=8192, parallel=1, fill=8000),
    Case(model=_LARGE, context=32768, parallel=4),
    Case(model=_LARGE, context=8192, parallel=1, cpu_experts=16, fill=512),
)


def main() -> int:
    arguments = _arguments()
    # Who is told to end takes the servers along that it has started.
    temporary.end_in_order()
    if arguments.task == "build":
        print(building.build(arguments.source, arguments.into, arguments.architecture))
        return 0
    if arguments.task == "write":
        for name in arguments.models:
            synthetic.file(SHAPES[name], arguments.folder)
        return 0
    if arguments.task == "vllm":
        named = {name: NETWORKS[name] for name in arguments.networks or NETWORKS}
        arguments.folder.mkdir(parents=True, exist_ok=True)
        given = (arguments.python, named, arguments.folder, arguments.output)
        asked = [each for each in vllm_speed.REQUESTS if each[0] <= arguments.most]
        of = {"chosen": arguments.ways, "card": arguments.card, "requests": asked}
        return 1 if vllm_speed.measure(*given, **of) else 0
    if arguments.task == "speed":
        speed.measure(arguments.settings, arguments.programs, arguments.output)
        return 0
    if arguments.task == "kernels":
        kernels.measure(arguments.programs, arguments.model, arguments.output)
        return 0
    cases = [case for case in CASES if not arguments.models or case.model in arguments.models]
    return _run(cases, arguments)


def _run(cases: Sequence[Case], arguments: argparse.Namespace) -> int:
    """Every case in turn; the result is written after each, so an end before time loses one."""
    result = {**surroundings.of(arguments.server, building.OPTIONS), "models": {}, "runs": []}
    arguments.folder.mkdir(parents=True, exist_ok=True)
    arguments.logs.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name, group in groupby(cases, key=lambda case: case.model):
        shape = SHAPES[name]
        model = synthetic.file(shape, arguments.folder)
        result["models"][name] = _described(shape)
        for case in group:
            number = len(result["runs"]) + failed + 1
            log = arguments.logs / f"{number:02d}-{name}.log"
            try:
                run = measure.measure(arguments.server, model, case, log)
            except (ServerError, OSError, HTTPException) as error:
                print(f"{case}: {error}", file=sys.stderr, flush=True)
                failed += 1
                continue
            print(f"{case}\n  {run['driver_mib']} {run['tokens_per_second']}", flush=True)
            result["engine"]["system"] = run.pop("system")
            result["runs"].append(run)
            arguments.output.write_text(json.dumps(result, indent=1) + "\n")
        model.unlink()
    return 1 if failed else 0


def _described(shape: Shape) -> dict[str, Any]:
    """The shape in numbers, and the bytes of its tensors by kind."""
    kinds: dict[str, int] = {}
    for weight in shape.weights():
        kind = weight.name.removesuffix(".weight")
        if weight.name.startswith("blk."):
            kind = "experts" if "_exps." in weight.name else "rest of the layers"
        kinds[kind] = kinds.get(kind, 0) + weight.size
    return {**asdict(shape), "tensor_bytes": kinds}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu")
    tasks = parser.add_subparsers(dest="task", required=True)
    build = tasks.add_parser("build", help="compile llama-server for this machine's GPU")
    build.add_argument("source", type=Path, help="source archive of llama.cpp, .tar.gz or .tar.xz")
    build.add_argument("into", type=Path)
    build.add_argument("--architecture", default="90", help="compute capability without its dot")
    write = tasks.add_parser("write", help="only write the models' files")
    run = tasks.add_parser("run", help="measure every case")
    for task in (write, run):
        task.add_argument("--folder", type=Path, required=True, help="room for the largest model")
        task.add_argument("--models", nargs="*", choices=SHAPES, default=[])
    run.add_argument("--server", type=Path, required=True, help="llama-server with CUDA in it")
    run.add_argument("--logs", type=Path, required=True, help="folder for the server's logs")
    run.add_argument("--output", type=Path, required=True, help=f"JSON, such as one in {RESULTS}")
    fast = tasks.add_parser("speed", help="measure a deployed service beside other settings")
    fast.add_argument("--settings", type=Path, required=True, help="/etc/modelrack/services/….env")
    fast.add_argument("--programs", type=Path, required=True, help="…/llama.cpp/current/bin")
    fast.add_argument("--output", type=Path, required=True)
    each = tasks.add_parser("kernels", help="what the time of a token goes into, by ncu")
    each.add_argument("--programs", type=Path, required=True, help="…/llama.cpp/current/bin")
    each.add_argument("--model", type=Path, required=True, help="its GGUF file")
    each.add_argument("--output", type=Path, required=True)
    vllm = tasks.add_parser("vllm", help="measure vLLM as planned, beside what how-tos set")
    vllm.add_argument("--python", type=Path, required=True, help="of an environment that has vLLM")
    vllm.add_argument("--folder", type=Path, required=True, help="for configurations and logs")
    vllm.add_argument("--networks", nargs="*", choices=NETWORKS, default=[])
    ways = ("how-to", *vllm_speed.PLANNED)
    vllm.add_argument("--ways", nargs="*", choices=ways, default=[])
    vllm.add_argument("--most", type=int, default=512, help="requests at a time")
    vllm.add_argument("--card", type=int, help="on this one of several, by the driver's number")
    vllm.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
