"""The catalogue: every known model, by the key that inventories use."""

from __future__ import annotations

import difflib

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.embeddings import EMBEDDINGS
from deploys.planning.models.entries import deepseek, distills, hybrids, others, qwen
from deploys.planning.models.model import Model


def model(key: str) -> Model:
    """Return the catalogue's entry; raise Refusal, with the closest keys, if there is none."""
    if key not in CATALOGUE:
        close = difflib.get_close_matches(key, CATALOGUE, n=3, cutoff=0.4)
        raise Refusal(
            f"There is no model {key!r} in the catalogue"
            + (f", did you mean {' or '.join(close)}" if close else ""),
            "Name it as its hub does, such as modelscope:OWNER/NAME, add an entry to"
            " a table of deploys/planning/models/entries, or give the service a Model",
        )
    return CATALOGUE[key]


_TABLES = (deepseek.ENTRIES, distills.ENTRIES, qwen.ENTRIES, hybrids.ENTRIES, others.ENTRIES)
CATALOGUE: dict[str, Model] = {
    entry.key: entry for table in (*_TABLES, EMBEDDINGS) for entry in table
}
