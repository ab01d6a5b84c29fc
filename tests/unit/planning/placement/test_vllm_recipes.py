"""What fits by vLLM's own recipes and what fits by our ledger; data/vllm_recipes.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.profile import Service
from deploys.planning.models.catalogue import model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.memory import Card
from tests.unit import UNIT
from tests.unit.planning.machines import machine

RECIPES = yaml.safe_load((UNIT / "data" / "vllm_recipes.yaml").read_text())
# The recipes' names of hardware that we know, with the GB that it is sold with; then more of ours.
HARDWARE = {
    "h100": ("H100", 80),
    "h200": ("H200", 141),
    "b200": ("B200", 180),
    "mi300x": ("MI300X", 192),
    "a100": ("A100", 80),
    "l40s": ("L40S", 48),
    "rtx4090": ("RTX 4090", 24),
}
COUNTS = (1, 2, 4, 8)
EVERY = pytest.mark.parametrize(
    "row", RECIPES["recipes"], ids=lambda row: f"{row['recipe']} {row['variant']}"
)


def fits(row: dict[str, Any], hardware: str, count: int) -> bool:
    gpu = named(HARDWARE[hardware][0])
    cards = [Card(index=index, total=gpu.memory) for index in range(count)]
    cache = "fp8" if row["fp8_cache"] else "auto"
    service = Service(name="it", engine="vllm", model=row["ours"], port=8000, kv_cache=cache)
    entry = model(row["ours"])
    return not place(service, entry, entry.size, gpu, cards, machine()).refusals


@EVERY
def test_we_agree_on_what_fits_or_say_why_not(row: dict[str, Any]) -> None:
    differences = {}
    for hardware, (_, gigabytes) in HARDWARE.items():
        for count in COUNTS:
            theirs = count * gigabytes >= row["vram_minimum_gb"]
            ours = fits(row, hardware, count)
            if ours != theirs:
                differences[f"{count} x {hardware}"] = "fits" if ours else "does not fit"
    explained = {where: why["we_say"] for where, why in row.get("differs", {}).items()}
    assert differences == explained
    assert all(why["because"] for why in row.get("differs", {}).values())


@EVERY
def test_what_was_seen_to_run_fits_on_eight_cards(row: dict[str, Any]) -> None:
    """But where a recipe's own minimum is more than eight: it was then seen on several machines."""
    known = [name for name in row["verified"] if name in HARDWARE]
    enough = [name for name in known if 8 * HARDWARE[name][1] >= row["vram_minimum_gb"]]
    assert all(fits(row, hardware, 8) for hardware in enough)


def test_the_recipes_were_read() -> None:
    assert len({row["recipe"] for row in RECIPES["recipes"]}) >= 20
    assert sum(len(set(row["verified"]) & set(HARDWARE)) for row in RECIPES["recipes"]) >= 50
