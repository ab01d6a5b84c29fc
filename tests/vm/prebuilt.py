"""Programs that are compiled beside a machine that is translated, which would take it hours.

The cache of packed builds is the operator's own: a machine whose processor reads as the other's
compiles into it, in the same way, and the other one is given what it finds there.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.rack import Rack
from tests.lab import Lab
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.process import LabError

# A computer that is busy with other machines may not hear of a job for so long that a run ends.
_RUNS = 20
_SHOW = "cat > /run/cpuinfo && mount --bind /run/cpuinfo /proc/cpuinfo"


def llama_cpp(suite: str, cpuinfo: str, hub: Hub, github: GitHub, folder: Path) -> None:
    """Have the cache hold llama.cpp for this suite and processor; nothing is done if it does.

    + cpuinfo: what the kernel says of the processor, as in /proc/cpuinfo
    + folder: an empty one, for an inventory
    """
    with Lab(1, name="compiles", suite=suite) as lab:
        lab.machines[0].ssh(_SHOW, stdin=cpuinfo)
        rack = Rack(lab, hub.listen(lab.host), github.listen(lab.host), folder)
        for _ in range(_RUNS):
            done = rack.deploy(deploy="deploys.engines.llama_cpp.install")
            if not done.code:
                return
        raise LabError(f"llama.cpp was not compiled:\n{done.output}")
