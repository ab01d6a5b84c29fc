"""The templates as text, as deploys/rendering/render.py does it: compiled once a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.bench import content


def configuration(folder: Path, number: str) -> str:
    """The text of one file below /etc/bench."""
    template = _environment(folder).get_template(content.template_path(folder, number).name)
    return template.render(site=content.SITE, services=content.SERVICES)


@cache
def _environment(folder: Path) -> Environment:
    # What the playbook's template module does, too.
    return Environment(
        loader=FileSystemLoader(content.template_path(folder, "").parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
