"""Documents of real checkpoints: their config.json, and what their templates hold."""

from __future__ import annotations

import json
from typing import Any

import yaml

from deploys.planning.checkpoint.documents import Documents
from tests.unit import UNIT

CONFIGS = UNIT / "planning" / "checkpoint" / "configs"
PUBLISHED: dict[str, dict[str, Any]] = yaml.safe_load(
    (UNIT / "data" / "checkpoints.yaml").read_text()
)
TEMPLATES: dict[str, dict[str, Any]] = yaml.safe_load(
    (UNIT / "data" / "chat_templates.yaml").read_text()
)


def config(name: str) -> dict[str, Any]:
    """Return a config.json as it was published."""
    found = json.loads((CONFIGS / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def template(stem: str) -> str:
    """Return a text that holds what the template of that name does."""
    words = "\n".join(TEMPLATES[stem]["words"])
    end = "add_generation_prompt <think>" if TEMPLATES[stem]["asks"] else "add_generation_prompt"
    return f"{words}\n{end}"


def documents(name: str, **more: Any) -> Documents:
    """Return the documents of a checkpoint of the table."""
    said = PUBLISHED.get(name, {})
    files: dict[str, Any] = {"config.json": config(name)}
    if modules := said.get("modules"):
        kinds = [f"sentence_transformers.models.{kind}" for kind in modules]
        files["modules.json"] = [{"idx": at, "type": kind} for at, kind in enumerate(kinds)]
    shown = template(said["template"]) if "template" in said else None
    return Documents(json=files | more, template=shown)
