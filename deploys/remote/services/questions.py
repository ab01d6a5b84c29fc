"""What is asked of a started server to see that it works, by its task."""

from __future__ import annotations

import math
from typing import Any

from .model_server import ModelServer

# A question, a text that fits it and one that does not.
_QUESTION = "Which animal says meow?"
_TEXTS = ["A cat says meow.", "The bridge was opened in 1932, after eight years."]


def wrong(server: ModelServer, task: str, model: str, vector: int | None) -> str | None:
    """Return what is wrong with the server's answer to a question, or None if nothing is.

    + vector: numbers that a vector has; None where that is not known
    """
    if task == "embed":
        return _wrong_vectors(server.embed(model, _TEXTS)[0], vector)
    if task == "rerank":
        return _wrong_scores(server.rerank(model, _QUESTION, _TEXTS)[0])
    return None if server.chat(model, "Hello", 8) else "it answers a question with nothing"


def _wrong_vectors(vectors: list[Any], width: int | None) -> str | None:
    if len(vectors) != len(_TEXTS):
        return f"it returns {len(vectors)} vectors for {len(_TEXTS)} texts"
    for each in vectors:
        if width is not None and len(each) != width:
            return f"its vectors have {len(each)} numbers instead of {width}"
        if not all(map(_is_finite, each)):
            return "its vectors have numbers that are none"
    if vectors[0] == vectors[1]:
        return "it returns the same vector for different texts"
    return None


def _wrong_scores(scores: dict[int, Any]) -> str | None:
    # Which of them fits better a model may get wrong, and still be the one that was planned.
    if sorted(scores) != list(range(len(_TEXTS))):
        return f"it returns scores of {len(scores)} texts instead of {len(_TEXTS)}"
    if not all(map(_is_finite, scores.values())):
        return "its scores are no numbers"
    if scores[0] == scores[1]:
        return "it gives different texts the same score"
    return None


def _is_finite(number: object) -> bool:
    return isinstance(number, (int, float)) and math.isfinite(number)
