"""`deploys/full.py` on this very machine, with its real cards: twice, and then what proves it.

Hub, GitHub and NVIDIA's repository are the lab's stand-ins, on the loopback address; the driver and
the toolkit have to be there. Everything else is what an operator types.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploys.planning.gpus import by_pci_id
from deploys.planning.machine import Machine
from tests.e2e.rack import Run
from tests.gpu import surroundings, synthetic
from tests.gpu.shapes import SHAPES, Shape
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.nvidia_repository import NvidiaRepository
from tests.lab.process import PROJECT

FOLDER = PROJECT / ".lab" / "gpu"
LOCKS = FOLDER / "locks"
TOLD = FOLDER / "told.json"
OWNER = "made-up"
# What tests/gpu/pack.py has brought; otherwise the lab makes it.
REPOSITORY = Path("/srv/nvidia")
SERVICE = Path("/var/lib/modelrack/services/made-up.json")
INVENTORY = "tests/gpu/inventories/this.py"
FIRST, AGAIN, PROOF = "first", "again", "proof"
STEPS = {
    FIRST: f"pyinfra {INVENTORY} deploys/full.py -y --json",
    AGAIN: f"pyinfra {INVENTORY} deploys/full.py -y --json",
    PROOF: f"pytest -q -p no:cacheprovider tests/machine --inventory {INVENTORY}",
}


def deploy(shape: Shape, output: Path) -> int:
    """0 if both runs succeeded, the second without a change, and tests/machine passed.

    The result is written after each step, and none follows one that failed.
    """
    machine = surroundings.this_machine()
    result = surroundings.of_machine(bool(machine.gpus)) | {"model": shape.name, "steps": []}
    folder = FOLDER / "hub" / OWNER / shape.name
    folder.mkdir(parents=True, exist_ok=True)
    size = synthetic.file(shape, folder).stat().st_size
    nvidia = NvidiaRepository(REPOSITORY if REPOSITORY.is_dir() else None)
    with Hub(FOLDER / "hub") as hub, GitHub() as github, nvidia:
        mirrors = {"modelscope": hub.url, "huggingface": hub.url}
        mirrors |= {"github": github.url, "cuda": nvidia.url}
        nvidia.pin(LOCKS)
        told = {"model": shape.name, "size": size, "mirrors": mirrors, **cards(machine)}
        TOLD.write_text(json.dumps(told))
        for name, words in STEPS.items():
            begun = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", *words.split()],
                **{"cwd": PROJECT, "stdout": subprocess.PIPE, "text": True},
            )
            step = {"step": name, "command": words, "code": done.returncode}
            said = _last(done.stdout) if name == PROOF else changed(done.stdout)
            step |= {"seconds": round(time.monotonic() - begun, 1), "said": said}
            print(json.dumps(step), flush=True)
            result["steps"].append(step)
            if SERVICE.exists():
                result["service"] = json.loads(SERVICE.read_text())
            output.write_text(json.dumps(result, indent=1) + "\n")
            if done.returncode or (name == AGAIN and said):
                return 1
    return 0


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


def _last(printed: str) -> str:
    return printed.strip().rpartition("\n")[2]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.deploy")
    parser.add_argument("--model", choices=SHAPES, default="qwen2.5-32b-q4_k_m")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    sys.exit(deploy(SHAPES[arguments.model], arguments.output))
