"""Rendering of the Jinja2 templates in templates/."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One rendered file."""

    path: str
    content: str
    mode: str


def file(template: str, path: str, mode: str = "644", **values: Any) -> Rendered:
    """Return a template rendered as a file at `path`."""
    return Rendered(path=path, content=text(template, **values), mode=mode)


def text(template: str, **values: Any) -> str:
    """Return a rendered template; raise an error if it uses a value that is not given."""
    return _environment().get_template(f"{template}.j2").render(**values)


def source(path: str) -> str:
    """Return a template that others render: a chat template, which engines do."""
    return (_TEMPLATES / path).read_text(encoding="utf-8")


def digest_of(decides: object) -> str:
    """Return a digest of what decides how a process runs, which is made of JSON's types."""
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


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
