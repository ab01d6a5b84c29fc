"""CONTRIBUTING.md, "A new host class"."""

from __future__ import annotations

import re
import runpy

from deploys.planning.hardware.gpus import ACCELERATORS
from deploys.planning.hardware.software_stacks import STACKS
from tests.plans.simulated import MACHINES
from tests.unit import ROOT
from tests.unit.project.recipes import PLANS, Found, left_out, stems

INVENTORIES = ROOT / "inventories"
# Inventories that are no class of machines.
OTHERS = {"all", "lab", "local", "sandbox"}
RECIPE = "A new host class"


def in_readme(page: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", (ROOT / page).read_text(), re.M))


def classes() -> set[str]:
    """Those that any step was done for."""
    described = stems(INVENTORIES) | stems(INVENTORIES / "group_data")
    tested = {*MACHINES} | stems(PLANS, "*.txt")
    return (described | tested | in_readme("README.md") | in_readme("README.zh-CN.md")) - OTHERS


def gpus() -> dict[str, str]:
    """The GPU of every class that has any."""
    found = {}
    for name in stems(INVENTORIES / "group_data") - OTHERS:
        profile = runpy.run_path(str(INVENTORIES / "group_data" / f"{name}.py")).get("profile")
        if profile is not None and profile.gpu is not None:
            found[name] = profile.gpu
    return found


left_out(RECIPE, "inventories/<class>.py")(lambda: classes() - stems(INVENTORIES))
left_out(RECIPE, "inventories/group_data/<class>.py")(
    lambda: classes() - stems(INVENTORIES / "group_data")
)
left_out(RECIPE, "hardware/gpus.py")(lambda: {*gpus().values()} - {*ACCELERATORS})
left_out(RECIPE, "simulated.py")(lambda: classes() - {*MACHINES})
left_out(RECIPE, "tests.plans.update")(lambda: classes() - stems(PLANS, "*.txt"))
left_out(RECIPE, "`README.md`")(lambda: classes() - in_readme("README.md"))
left_out(RECIPE, "`README.zh-CN.md`")(lambda: classes() - in_readme("README.zh-CN.md"))


@left_out(RECIPE, "hardware/software_stacks.py")
def _generation() -> Found:
    known = {generation for stack in STACKS for generation in stack.generations}
    return {gpu.generation for gpu in ACCELERATORS.values()} - known
