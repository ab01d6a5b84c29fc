"""CONTRIBUTING.md, "A new architecture"."""

from __future__ import annotations

from typing import get_args

from deploys.planning.checkpoint import architectures, dialects, gguf_network
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.shape import families
from deploys.planning.checkpoint.shape.family import Family
from deploys.planning.models.shapes import Dialect
from tests.unit.planning.checkpoint.checkpoints import PUBLISHED, config
from tests.unit.project.recipes import Found, left_out

RECIPE = "A new architecture"
# Families of which no published file is at hand.
NOT_AT_HAND = {"ERNIE_4_5", "GEMMA_2", "COHERE_2", "OLMO_3", "STEP_3_5"}
OURS = {name: found for name, found in vars(families).items() if isinstance(found, Family)}
LISTED = [*architectures._FAMILIES.values(), *gguf_network._FAMILIES.values()]


@left_out(RECIPE, "`_FAMILIES` of `architectures.py`")
def _listed() -> Found:
    return {name for name, found in OURS.items() if not any(found is each for each in LISTED)}


@left_out(RECIPE, "a published `config.json` of each family")
def _published() -> Found:
    there = set()
    for name in PUBLISHED:
        said = Documents(json={"config.json": config(name)})
        named = said.architecture or ""
        if architectures._FAMILIES[named] is None:
            part = next(each for key in architectures._PARTS if (each := said.config.get(key)))
            named = Documents(json={"config.json": part}).architecture or ""
        there.add(id(architectures._FAMILIES[named]))
    return {name for name, found in OURS.items() if id(found) not in there} - NOT_AT_HAND


@left_out(RECIPE, "A dialect has a sign")
def _sign() -> Found:
    told = {sign.dialect for sign in dialects._SIGNS} | {known for _, known in dialects._OF}
    return {*get_args(Dialect)} - told - {"plain"}
