"""Text of one file, from templates/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One file of the machine."""

    path: str
    content: str
    mode: str


def file(template: str, path: str, mode: str = "644", **values: Any) -> Rendered:
    """A template as a file of the machine."""
    return Rendered(path=path, content=text(template, **values), mode=mode)


def text(template: str, **values: Any) -> str:
    """What a template becomes; a value that it asks for and is not given is an error."""
    return _environment().get_template(f"{template}.j2").render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
