"""What an engine has written into its log while it started, and tells no client."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator

# Source: vLLM 0.32, config/model.py, get_diff_sampling_param; SGLang 0.5.23, serving_chat.py.
_SAMPLING = re.compile(
    r"(?:sampling parameters have been overridden|default chat sampling params)[^{]*(\{[^}]*\})"
)
# Source: llama.cpp at 0c1e570, src/llama.cpp and src/llama-model.cpp.
_DEVICE = re.compile(r"using device (\S+) \((.*)\) \(([^()]*)\) - \d+ MiB free")
_LAYERS = re.compile(r"offloaded (\d+)/\d+ layers to GPU")
# Lines of a start. A server that has run for long has written many more since.
_MOST = 20_000


def sampling(unit: str) -> dict[str, float] | None:
    """Return how the running engine draws answers that say nothing; None if its log has no word.

    By the names of generation_config.json.
    """
    for line in _lines(unit):
        found = _SAMPLING.search(line)
        if found:
            return _numbers(found[1])
    return None


def other_cards(unit: str, cards: list[str], layers: int) -> str | None:
    """Return what is other in where llama.cpp has put its model, or None if nothing is.

    + cards: PCI addresses that it is to have, and no others
    + layers: how many are to be on them, the output head counted as one
    """
    devices: dict[str, str] = {}
    for line in _lines(unit):
        device, offloaded = _DEVICE.search(line), _LAYERS.search(line)
        if device:
            devices[device[3]] = f"{device[1]} ({device[2]}) at {device[3]}"
        if offloaded:
            if sorted(devices) != sorted(cards):
                found = ", ".join(devices.values()) or "no card"
                return f"it computes on {found} instead of {', '.join(cards)}"
            if int(offloaded[1]) != layers:
                return f"{offloaded[1]} layers are on its cards instead of {layers}"
            return None
    return "its log of this start does not say which cards it has: restart it"


def _lines(unit: str) -> Iterator[str]:
    """Yield the first lines that the process of a unit has written since it was started."""
    shown = subprocess.run(
        ["systemctl", "show", "--value", "--property=InvocationID", "--", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    life = shown.stdout.strip()
    if not life:
        return
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat"]
    with subprocess.Popen(
        [*command, f"_SYSTEMD_INVOCATION_ID={life}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as journal:
        assert journal.stdout
        try:
            for _, line in zip(range(_MOST), journal.stdout, strict=False):
                yield line
        finally:
            journal.kill()


def _numbers(text: str) -> dict[str, float] | None:
    try:
        told = ast.literal_eval(text)
        return {name: float(value) for name, value in told.items()}
    except (ValueError, SyntaxError, TypeError):
        return None
