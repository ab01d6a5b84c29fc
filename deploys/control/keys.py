"""The keys file on the operator's computer."""

from __future__ import annotations

from pathlib import Path

from deploys.planning.gateway import keys
from deploys.planning.gateway.key import NEW, Key
from deploys.planning.inputs.refusal import Refusal


def read(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file; raise Refusal if there is none, or something wrong in it."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Refusal(
            f"There is no {path}, so nobody could ask the gateway",
            f"{NEW} --keys {path} makes it, with a first key",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} cannot be read: {error}", "Name the file with the keys as keys of the Gateway"
        ) from error
    return keys.parse(text, str(path))


def read_or_refusal(path: Path) -> tuple[Key, ...] | Refusal:
    """Return the keys of a file, or what is wrong with it, for a plan that collects refusals."""
    try:
        return read(path)
    except Refusal as refusal:
        return refusal
