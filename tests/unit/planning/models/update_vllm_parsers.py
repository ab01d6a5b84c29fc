"""Write data/vllm_parsers.yaml anew from the recipes in a release of vLLM: facts alone.

python -m tests.unit.planning.models.update_vllm_parsers 0.33.0
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import yaml

from tests import temporary
from tests.lab.package_index import download
from tests.unit import UNIT

DATA = UNIT / "data" / "vllm_parsers.yaml"
HEAD = """\
# Facts from vLLM's recipes (recipes/models in its source distribution, Apache-2.0): the parsers of
# thoughts and of calls of tools, and the chat template that the latter need.
# Written by tests/unit/planning/models/update_vllm_parsers.py.
"""
NAMES = {
    "--reasoning-parser": "reasoning",
    "--tool-call-parser": "tools",
    "--chat-template": "template",
}


def main(version: str) -> None:
    recipes = {}
    with (
        temporary.folder("modelrack-recipes-") as folder,
        tarfile.open(download("vllm", f"vllm-{version}.tar.gz", folder)) as files,
    ):
        for member in files:
            path = PurePath(member.name)
            if path.match("recipes/models/*/*.yaml") and (file := files.extractfile(member)):
                recipes[f"{path.parent.name}/{path.stem}"] = dict(_said(yaml.safe_load(file)))
    data = {"vllm": version, "licence": "Apache-2.0", "recipes": recipes}
    DATA.write_text(HEAD + yaml.safe_dump(data, width=100))


def _said(part: Any) -> Iterator[tuple[str, str]]:
    """Yield what the lists of arguments in a recipe say, however deep they are."""
    if isinstance(part, dict):
        for value in part.values():
            yield from _said(value)
    elif isinstance(part, list):
        for at, word in enumerate(part):
            if not isinstance(word, str):
                yield from _said(word)
            elif name := NAMES.get(word.partition("=")[0]):
                yield name, word.partition("=")[2] or part[at + 1]


if __name__ == "__main__":
    main(*sys.argv[1:])
