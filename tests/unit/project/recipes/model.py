"""CONTRIBUTING.md, "A new model"."""

from __future__ import annotations

import ast

import yaml

from deploys.planning.models import catalogue, dense, experts, glm, hybrids
from deploys.planning.models.shapes import Network
from tests.unit import UNIT
from tests.unit.project.recipes import Found, left_out

RECIPE = "A new model"


LISTINGS = yaml.safe_load((UNIT / "data" / "listings.yaml").read_text())
LISTED = {key for listing in LISTINGS for key in listing["selects"]}


@left_out(RECIPE, "models/entries/")
def _entry() -> Found:
    yield from LISTED - {*catalogue.CATALOGUE}
    served = {entry.network.name for entry in catalogue.CATALOGUE.values()}
    for module in (dense, experts, glm, hybrids):
        for name, value in vars(module).items():
            if isinstance(value, Network) and value.name not in served:
                yield name


@left_out(RECIPE, "listings.yaml")
def _listing() -> Found:
    entries = catalogue.CATALOGUE
    patterns = {entries[key].files for key in LISTED & {*entries}}
    for key, entry in entries.items():
        if entry.files not in patterns or (entry.format == "gguf" and key not in LISTED):
            yield key


@left_out(RECIPE, "parsers.py")
def _dialect() -> Found:
    return {key for key, entry in catalogue.CATALOGUE.items() if entry.network.dialect is None}


@left_out(RECIPE, "bits a weight")
def _bits() -> Found:
    tree = ast.parse((UNIT / "planning" / "models" / "test_catalogue.py").read_text())
    (bits,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "bits"
    )
    return {each.quantization for each in catalogue.CATALOGUE.values()} - {*ast.literal_eval(bits)}
