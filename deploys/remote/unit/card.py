"""What a unit says on its console and at its door: how it is reached, or what is wrong with it."""

from __future__ import annotations

import grp
import html
from pathlib import Path
from typing import Any

from ..facts import network
from ..lib import durable
from . import settings

# Shown by getty above its prompt. Root alone reads it, as it has the unit's key.
_ISSUE = Path("/etc/issue.d/modelrack.issue")
_ACTIVE = Path("/sys/class/tty/console/active")
_WIDTH = 78
# In the folder of the gateway, which shows it to anybody (templates/gateway/usage.lua.j2).
_PAGE = "card.html"
_HTML = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em }} dd {{ overflow-wrap: anywhere }}</style>
<h1>{title}</h1>
<dl>
{rows}
</dl>
</html>
"""


def lines(told: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the card of a unit whose self-test has found this."""
    if found["problems"]:
        return [f"{_title(found)}: NOT READY", *found["problems"], "See: journalctl -b -p warning"]
    if not told["gateway"]:
        return [f"{_title(found)}: ready", f"models: {_models(found)}, on this machine alone"]
    key = settings.text_of(settings.KEY)
    rows = [*_reached(), ("models", _models(found)), ("API key", key), *_proofs(found)]
    return [f"{_title(found)}: ready", *(f"{name}: {value}" for name, value in rows)]


def page(found: dict[str, Any]) -> str:
    """Return the card as a page that anybody may read: without the key, and without the reasons."""
    if found["problems"]:
        title, rows = f"{_title(found)}: NOT READY", [("what is wrong", "is on its console")]
    else:
        title = f"{_title(found)}: ready"
        rows = [*_reached(), ("models", _models(found)), ("API key", "is on its console")]
        rows += _proofs(found)
    told = (f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    return _HTML.format(title=html.escape(title), rows="\n".join(told))


def publish(door: dict[str, Any], text: str) -> None:
    """Have the gateway show a page."""
    group = grp.getgrnam(door["group"]).gr_gid
    durable.replace(Path(door["folder"]) / _PAGE, text.encode(), mode=0o640, group=group)


def _title(found: dict[str, Any]) -> str:
    return f"{found['hostname']}, serial number {found['serial'] or 'unknown'}"


def _reached() -> list[tuple[str, str]]:
    there = network.own() or ["(no address yet)"]
    urls = [f"https://{f'[{each}]' if ':' in each else each}/v1" for each in there]
    return [("endpoint", "  ".join(urls))]


def _models(found: dict[str, Any]) -> str:
    return ", ".join(found["services"])


def _proofs(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("certificate (SHA-256)", found["certificate"]),
        ("SSH host key", found["host_key"]),
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
