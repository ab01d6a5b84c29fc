"""On what something was measured: the machine and the versions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from deploys.planning.inputs.machine import Machine
from tests.gpu import building

_FIELDS = (
    "name,driver_version,memory.total,memory.reserved,compute_cap,pci.device_id,ecc.mode.current"
)


def of_machine(with_cards: bool = True) -> dict[str, Any]:
    """What a result begins with: the day and the machine."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "date": date.today().isoformat(),
        "machine": {
            **(_cards() if with_cards else {}),
            "cpu": cpu,
            "kernel": Path("/proc/sys/kernel/osrelease").read_text().strip(),
        },
    }


def this_machine(card: int | None = None) -> Machine:
    """What a deploy would find here, or would if the driver had this card alone."""
    command = [sys.executable, "-m", "deploys.remote.facts.machine", "modelrack-facts-machine", "/"]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    machine = Machine.from_json(json.loads(said))
    if card is None:
        return machine
    return replace(machine, gpus=tuple(gpu for gpu in machine.gpus if gpu.index == card), links=())


def _cards() -> dict[str, Any]:
    """The first of the cards, how many there are, and what their driver brings."""
    cards = subprocess.run(
        ["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"],
        **{"capture_output": True, "text": True, "check": True},
    ).stdout.splitlines()
    said = subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout
    cuda = next((word for word in said.split("CUDA Version:")[1:]), "").split()
    return {
        **dict(zip(_FIELDS.split(","), cards[0].split(", "), strict=True)),
        "cards": len(cards),
        "driver_cuda": cuda[0] if cuda else None,
    }


def of(server: Path, options: Sequence[str]) -> dict[str, Any]:
    """The same, and a llama.cpp that was compiled with these options."""
    version = subprocess.run([server, "--version"], capture_output=True, text=True)
    return {
        **of_machine(),
        "engine": {
            "name": "llama.cpp",
            "commit": building.COMMIT,
            "options": list(options),
            "toolkit": building.toolkit(),
            "version": (version.stdout + version.stderr).strip().splitlines(),
        },
    }


def of_deployed(programs: Path) -> dict[str, Any]:
    """The same, and how those in this folder were compiled, as a deploy has noted beside it."""
    stamp = json.loads((programs.parent / "build.json").read_text())
    found = of(programs / "llama-server", stamp["options"])
    return {**found, "toolchain": stamp["toolchain"]}
