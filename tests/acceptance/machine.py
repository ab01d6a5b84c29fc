"""One machine with two scripted cards, a gateway and llama.cpp, that is accepted or is not.

Its programs are those of a processor under the name of those for its cards: what these would
compute, no scripted card can. Everything around them is what a machine with cards has.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploys.planning.inputs.site import Site
from tests.e2e.rack import PROJECT, Rack, Run
from tests.lab import Lab, Machine
from tests.lab.classes import HARDWARE
from tests.lab.hardware import Hardware, change, fit
from tests.lab.nvidia_repository import NvidiaRepository, connect
from tests.lab.tiny_model import ANSWER

# Of Debian, whose archive has what a gateway needs.
HARDWARE_OF_IT = replace(HARDWARE["a100"], system=None)
UNIT = "llama-server@tiny"
DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(
    site,
    mirrors=replace(site.mirrors, cuda={cuda!r}),
    secrets=_here / "secrets",
    builds=_here / "builds",
)
profile = replace(
    profile,
    gpu="A100 PCIe",
    gpus=2,
    services=(replace(profile.services[0], gpu_layers=0),),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml"),
)
"""
# What only a program for cards knows, and one for processors ends on.
SERVER = b"""\
#!/bin/sh
unset LLAMA_ARG_DEVICE LLAMA_ARG_SPLIT_MODE LLAMA_ARG_N_GPU_LAYERS LLAMA_ARG_N_CPU_MOE
exec "$(dirname "$(readlink -f "$0")")/llama-server.processor" "$@"
"""


@dataclass
class AcceptedMachine:
    """The machine, its inventory, and where reports about it are written."""

    rack: Rack
    machine: Machine
    reports: Path
    hardware: Hardware = field(default=HARDWARE_OF_IT)

    def accept(self, **data: object) -> Run:
        """Accept it, quickly."""
        return self.rack.deploy(*self.options(**data), deploy="deploys/accept.py")

    def options(self, **data: object) -> list[str]:
        """What an operator types for it."""
        told = {"quick": "true", "output": self.reports, "questions": self.questions, **data}
        return [word for name, value in told.items() for word in ("--data", f"{name}={value}")]

    @property
    def questions(self) -> Path:
        """What the tiny model knows."""
        path = self.rack.folder / "questions.yaml"
        asked = [{"question": question, "answer": ANSWER} for question in ("Hello", "Are you up?")]
        path.write_text(json.dumps({"share": 1.0, "questions": asked}))
        return path

    def failures(self, **data: object) -> list[str]:
        """Why it is not accepted; it has to be refused for something."""
        done = self.accept(**data)
        assert done.code == 1, done.output
        assert not self.report["accepted"]
        return [
            check["why"]
            for check in self.report["checks"]
            if check["result"] == "failed" or (check["required"] and check["result"] == "not run")
        ]

    def restart(self) -> None:
        """Have its service read its settings anew, and wait until it answers."""
        self.machine.ssh(
            "systemctl daemon-reload; systemctl reset-failed; systemctl restart " + UNIT
        )
        self.machine.ssh("until curl -sf http://127.0.0.1:8080/health; do sleep 0.2; done")

    @property
    def report(self) -> dict[str, Any]:
        """The last report about it."""
        found: dict[str, Any] = json.loads((self.reports / f"{self.machine.name}.json").read_text())
        return found

    def becomes(self, **changes: Any) -> None:
        """Let its second card be in another state."""
        self.hardware = self.hardware.with_board(self.hardware.boards[1].address, **changes)
        change(self.machine, self.hardware)

    def is_well(self) -> None:
        """Let its hardware be as it was."""
        self.hardware = HARDWARE_OF_IT
        change(self.machine, self.hardware)


def deployed(lab: Lab, hub: str, nvidia: NvidiaRepository, folder: Path) -> AcceptedMachine:
    """Boot and deploy it."""
    (machine,) = lab.machines
    cuda = nvidia.listen(lab.host)
    connect(machine, cuda, "debian", alone=False)
    fit(machine, HARDWARE_OF_IT)
    rack = Rack(lab, hub, hub, folder, DATA.format(cuda=cuda, host=machine.address))
    nvidia.pin(folder / ".lab/sandbox/locks")
    new = ["new", "alice", "research", "--keys", str(folder / "keys.toml")]
    subprocess.run(
        [sys.executable, "-m", "deploys.keys", *new], cwd=PROJECT, check=True, capture_output=True
    )
    plan = rack.deploy("--data", "format=json", deploy="deploys/plan.py")
    assert plan.code == 0, plan.output
    (line,) = [each for each in plan.output.splitlines() if each.startswith('{"host"')]
    (software,) = [each for each in json.loads(line)["software"] if each["name"] == "llama.cpp"]
    _pack(folder / "builds", software)
    done = rack.deploy()
    assert done.code == 0, done.output
    return AcceptedMachine(rack, machine, folder / "reports")


def _pack(builds: Path, software: dict[str, Any]) -> None:
    """Pack the programs of the lab's own processor as those that the plan wants."""
    version, digest = software["version"], software["digest"]
    builds.mkdir()
    for archive in Site().builds.glob(f"llama.cpp-{version}-*.tar.gz"):
        with tarfile.open(archive) as packed:
            stamp = json.loads(packed.extractfile("./build.json").read())  # type: ignore[union-attr]
            if "GGML_CUDA=ON" in stamp["options"] or "debian-12" not in stamp["toolchain"]:
                continue
            target = builds / f"llama.cpp-{version}-{digest}.tar.gz"
            with tarfile.open(target, "w:gz") as made:
                for member in packed.getmembers():
                    if member.name.endswith("bin/llama-server"):
                        wrapper = tarfile.TarInfo(member.name)
                        wrapper.size, wrapper.mode = len(SERVER), 0o755
                        made.addfile(wrapper, io.BytesIO(SERVER))
                        member.name += ".processor"
                    made.addfile(member, packed.extractfile(member) if member.isfile() else None)
        return
    raise AssertionError("deploy to a machine of the lab first: llama.cpp is compiled there")
