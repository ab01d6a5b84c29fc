"""The keys file on the operator's computer: read as text, with entries added and taken away."""

from __future__ import annotations

from pathlib import Path

from deploys.planning.inputs.refusal import Refusal


def read(path: Path) -> str | None:
    """Return the text of a keys file, or None where there is none."""
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} cannot be read: {error}", "Name the file with the keys as keys of the Gateway"
        ) from error
