"""What a unit says on its console: how it is reached, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..facts import network
from ..lib import durable
from . import settings

# Shown by getty above its prompt. Root alone reads it, as it has the unit's key.
_ISSUE = Path("/etc/issue.d/modelrack.issue")
_ACTIVE = Path("/sys/class/tty/console/active")
_WIDTH = 78


def lines(told: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the card of a unit whose self-test has found this."""
    title = f"{found['hostname']}, serial number {found['serial'] or 'unknown'}"
    if found["problems"]:
        return [f"{title}: NOT READY", *found["problems"], "See: journalctl -b -p warning"]
    door = told["gateway"]
    names = ", ".join(found["services"])
    if not door:
        return [f"{title}: ready", f"models: {names}, on this machine alone"]
    there = network.own() or ["(no address yet)"]
    urls = [f"https://{f'[{each}]' if ':' in each else each}/v1" for each in there]
    return [
        f"{title}: ready",
        f"endpoint: {'  '.join(urls)}",
        f"models: {names}",
        f"API key: {settings.text_of(settings.KEY)}",
        f"certificate (SHA-256): {found['certificate']}",
        f"SSH host key: {found['host_key']}",
    ]


def show(card: list[str], *, keep: bool) -> None:
    """Write the card to every console; with `keep` it is above each prompt, too."""
    frame = "=" * _WIDTH
    text = "\n".join(("", frame, *card, frame, ""))
    if keep:
        _ISSUE.parent.mkdir(exist_ok=True)
        # getty reads a backslash as the beginning of something else.
        durable.replace(_ISSUE, f"{text}\n".replace("\\", "\\\\").encode(), mode=0o600)
    for name in (settings.text_of(_ACTIVE) or "").split():
        try:
            with Path("/dev", name).open("w") as console:
                console.write(text.replace("\n", "\r\n") + "\r\n")
        except OSError:
            continue  # One that nobody has attached.
