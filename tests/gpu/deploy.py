"""`deploys/full.py` on this very machine, with its real cards: twice, and then what proves it.

Hub, GitHub and NVIDIA's repository are the lab's stand-ins, on the loopback address; the driver has
to be there, and for llama.cpp the toolkit. What package indexes have comes from a folder, by uv's
own settings (tests/gpu/pack.py). Everything else is what an operator types.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploys.planning.hardware.gpus import by_pci_id
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.remote.services.model_server import RequestFailed
from tests.e2e.rack import Run
from tests.gpu import entry, folder, surroundings, synthetic, unit, vllm_speed
from tests.gpu.measure import ServerError
from tests.gpu.networks import DEPLOYED
from tests.gpu.planned import planned
from tests.gpu.shapes import SHAPES
from tests.gpu.unit import Unit
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.nvidia_repository import NvidiaRepository
from tests.lab.process import PROJECT
from tests.lab.tiny_model import ANSWER
from tests.machine.conftest import unit_of

FOLDER = PROJECT / ".lab" / "gpu"
LOCKS = FOLDER / "locks"
TOLD = FOLDER / "told.json"
OWNER, NAME, PORT, CONTEXT = "made-up", "made-up", 8080, 16_384
# What tests/gpu/pack.py has brought; otherwise the lab makes it, and an index has the wheels.
REPOSITORY, WHEELS = Path("/srv/nvidia"), Path("/srv/wheels")
SERVICE = Path(f"/var/lib/modelrack/services/{NAME}.json")
STAMP = "/opt/modelrack/engines/{engine}/current/.modelrack.json"
INVENTORY = "tests/gpu/inventories/this.py"
ENGINES = ("llama.cpp", "vllm", "sglang", "ktransformers")
STEPS = ("first", "again", "proof", "speed", "killed", "restarted", "last", "rebooted")
FIRST, AGAIN, PROOF, SPEED, KILLED, RESTARTED, LAST, REBOOTED = STEPS
# Steps in which there is nothing to change.
STILL = (AGAIN, LAST)
_FULL = f"pyinfra {INVENTORY} deploys/full.py -y --json"
COMMANDS = {
    FIRST: _FULL,
    AGAIN: _FULL,
    PROOF: f"pytest -q -p no:cacheprovider tests/machine --inventory {INVENTORY}",
    LAST: _FULL,
}
# Requests at a time, tokens of the prompt and of the answer. Where there is no card: enough to see
# that it can be asked so.
FEW = ((1, 16, 16), (4, 16, 16))
# Where experts are computed on the processor: as many as it is planned for, and some that wait.
AT_HOME = ((1, 64, 256), (4, 64, 64))


def deploy(engine: str, model: str, output: Path, last: str = LAST) -> int:
    """0 if every run succeeded, those after the first without a change, and the service held.

    The result is written after each step, with the service's journal beside it, and none follows
    one that failed.
    """
    machine = surroundings.this_machine()
    result = surroundings.of_machine(bool(machine.gpus))
    result |= {"engine": {"name": engine}, "model": model, "steps": []}
    size = made_up(engine, model)
    result["planned_kv_tokens"] = _kv_tokens(engine, model, size, machine)
    nvidia = NvidiaRepository(REPOSITORY if REPOSITORY.is_dir() else None)
    server = _unit(engine)
    with Hub(FOLDER / "hub") as hub, GitHub() as github, nvidia:
        mirrors = {"modelscope": hub.url, "huggingface": hub.url}
        mirrors |= {"github": github.url, "cuda": nvidia.url}
        if WHEELS.is_dir():
            mirrors["pytorch"] = str(WHEELS)
        nvidia.pin(LOCKS)
        told = {"engine": engine, "model": model, "size": size, "mirrors": mirrors}
        TOLD.write_text(json.dumps(told | cards(machine)))
        for name in STEPS[: STEPS.index(last) + 1]:
            if _step(result, name, engine, server, output):
                return 1
    return 0


def rebooted(output: Path) -> int:
    """0 if the service whose deploy this is answers by itself after the machine was rebooted."""
    result = json.loads(output.read_text())
    engine = result["engine"]["name"]
    return _step(result, REBOOTED, engine, _unit(engine), output)


def _unit(engine: str) -> Unit:
    return Unit(name=unit_of({"engine": engine, "name": NAME}), model=NAME, port=PORT)


def _step(result: dict[str, Any], name: str, engine: str, server: Unit, output: Path) -> int:
    step = {"step": name, **_timed(name, engine, server)}
    print(json.dumps(step), flush=True)
    result["steps"].append(step)
    _note(result, engine, server, output)
    return int(step["code"])


def made_up(engine: str, model: str) -> int:
    """Have the model where the hub serves it; returns its size."""
    place = FOLDER / "hub" / OWNER / model
    if engine != "llama.cpp":
        return folder.write(DEPLOYED[model], place)
    place.mkdir(parents=True, exist_ok=True)
    return synthetic.file(SHAPES[model], place).stat().st_size


def _kv_tokens(engine: str, model: str, size: int, machine: Machine) -> int | None:
    """What the ledger says that the cache holds."""
    service = Service(name=NAME, engine=engine, model=entry.made_up(model, size), port=PORT)
    served, _ = planned(replace(service, context=CONTEXT), machine, cards(machine)["gpu"])
    return served.placement.ledger.kv_tokens


def cards(machine: Machine) -> dict[str, Any]:
    """Their kind and number, as a HostProfile has them."""
    (kind,) = {by_pci_id(gpu.pci_id) for gpu in machine.gpus} or {None}
    return {"gpu": kind and kind.name, "gpus": len(machine.gpus)}


def changed(printed: str) -> Any:
    """The operations that had something to change; all that was printed where it is not JSON."""
    try:
        return Run(0, printed, "").changed
    except (ValueError, KeyError):
        return printed[-4000:]


def _timed(name: str, engine: str, server: Unit) -> dict[str, Any]:
    begun = time.monotonic()
    if name in COMMANDS:
        step = _command(name)
    else:
        try:
            step = {"code": 0, "said": _OWN[name](engine, server)}
        except (RequestFailed, ServerError, subprocess.CalledProcessError) as error:
            step = {"code": 1, "said": str(error)}
    return {**step, "seconds": round(time.monotonic() - begun, 1)}


def _command(name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[name].split()],
        **{"cwd": PROJECT, "stdout": subprocess.PIPE, "text": True},
    )
    if name == PROOF:
        said, code = done.stdout.strip().rpartition("\n")[2], done.returncode
        print(done.stdout if code else "", file=sys.stderr, flush=True)
    else:
        said = changed(done.stdout)
        code = done.returncode or int(name in STILL and bool(said))
    return {"command": COMMANDS[name], "code": code, "said": said}


def _speed(engine: str, server: Unit) -> Any:
    """The answer that the weights hold, and tokens a second of one request and of many."""
    if engine == "llama.cpp":
        return "python -m tests.gpu speed"
    if (said := server.ask()) != ANSWER:
        raise RequestFailed(f"it says {said!r}, and its weights say {ANSWER!r}")
    requests = AT_HOME if engine == "ktransformers" else vllm_speed.REQUESTS
    found = []
    for number, prompt, answer in requests if json.loads(TOLD.read_text())["gpus"] else FEW:
        # The first answers compile and capture what the others use.
        vllm_speed.rate(PORT, number, min(prompt, 64), 16, NAME)
        found.append(vllm_speed.rate(PORT, number, prompt, answer, NAME))
    return found


_OWN: dict[str, Callable[[str, Unit], Any]] = {
    SPEED: _speed,
    KILLED: lambda engine, server: [each._asdict() for each in server.kill()],
    RESTARTED: lambda engine, server: {"seconds_to_answer": server.restart()},
    REBOOTED: lambda engine, server: {"seconds_to_answer": server.boot()},
}


def _note(result: dict[str, Any], engine: str, server: Unit, output: Path) -> None:
    """Write what is known by now."""
    stamp = Path(STAMP.format(engine=engine))
    if stamp.exists():
        result["engine"] |= json.loads(stamp.read_text())
    if SERVICE.exists():
        result["service"] = json.loads(SERVICE.read_text())
    with suppress(subprocess.CalledProcessError):
        journal = server.journal().splitlines()
        said = unit.text(journal)
        output.with_suffix(".journal").write_text(said)
        result["seconds_to_ready"] = unit.starts(journal)
        if engine != "llama.cpp":
            result["memory"] = unit.memory(said, engine)
    output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.deploy")
    parser.add_argument("--engine", choices=ENGINES, default="llama.cpp")
    parser.add_argument("--last", choices=STEPS[:-1], default=LAST, help="step after which to end")
    parser.add_argument("--model", choices=(*SHAPES, *DEPLOYED), default="qwen2.5-32b-q4_k_m")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rebooted", action="store_true", help="after that step")
    arguments = parser.parse_args()
    if arguments.rebooted:
        sys.exit(rebooted(arguments.output))
    if arguments.model not in (SHAPES if arguments.engine == "llama.cpp" else DEPLOYED):
        parser.error(f"{arguments.engine} does not read what is made up of {arguments.model}")
    sys.exit(deploy(arguments.engine, arguments.model, arguments.output, arguments.last))
