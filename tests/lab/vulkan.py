"""Mesa's Vulkan device, which is the processor, as a card of a machine's scripted hardware."""

from __future__ import annotations

import json

from tests.lab.hardware import PROGRAMS
from tests.lab.machine import Machine

LIBRARY, ADDRESS = "/usr/local/lib/vulkan_card.so", "/etc/vulkan/card"
MANIFEST = "/etc/vulkan/implicit_layer.d/card.json"
_PACKAGES = "gcc libc6-dev libvulkan-dev mesa-vulkan-drivers"


def show(machine: Machine, address: str) -> None:
    """Have the machine's Vulkan show its device at a PCI address, from the next instance on."""
    machine.ssh(f"mkdir -p /etc/vulkan && echo {address} >{ADDRESS}")
    if machine.ssh(f"test -e {MANIFEST}", check=False).returncode == 0:
        return
    machine.ssh("apt-get update -q && apt-get install -q -y --no-install-recommends " + _PACKAGES)
    compiled = f"gcc -shared -fPIC -O1 -x c -o {LIBRARY} -"
    machine.ssh(compiled, stdin=(PROGRAMS / "vulkan_card.c").read_text())
    layer = {
        "name": "VK_LAYER_LAB_card",
        "type": "GLOBAL",
        "library_path": LIBRARY,
        "api_version": "1.3.0",
        "implementation_version": "1",
        "description": "Mesa's device as a card",
        "disable_environment": {"LAB_NO_CARD": "1"},
    }
    text = json.dumps({"file_format_version": "1.2.0", "layer": layer})
    machine.ssh(f"mkdir -p $(dirname {MANIFEST}) && cat >{MANIFEST}", stdin=text)
