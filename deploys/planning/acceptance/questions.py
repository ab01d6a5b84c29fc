"""Questions that have one right answer, which a model that is served as it was made knows.

A model of a wrong quantization or behind a wrong template still writes fluently, but counts,
spells and follows wrongly; so each question is short, its answer is one word or number, and none
depends on what happened lately.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class KnownQuestion:
    """One question.

    + answer: pattern that is found in a right answer, whatever its case, and in no wrong one
    """

    question: str
    answer: str

    def is_right(self, said: str) -> bool:
        return re.search(self.answer, said, re.IGNORECASE) is not None


_SHORT = " Answer with the number alone."
_WORD = " Answer with one word."
QUESTIONS: tuple[KnownQuestion, ...] = tuple(
    KnownQuestion(question=question, answer=answer)
    for question, answer in (
        (f"What is 17 + 25?{_SHORT}", r"\b42\b"),
        (f"What is the capital of France?{_WORD}", r"\bparis\b"),
        ("中国的首都是哪座城市? 只回答城市名。", "北京"),
        (f"What is 9 times 8?{_SHORT}", r"\b72\b"),
        (f"Which planet is the third from the sun?{_WORD}", r"\bearth\b"),
        (f"What is 100 - 37?{_SHORT}", r"\b63\b"),
        ("一年有几个月? 只回答数字。", "12|十二"),
        (f"What is the chemical symbol of gold?{_WORD}", r"\bau\b"),
        (f"What is the opposite of hot?{_WORD}", r"\bcold\b"),
        (f"How many letters has the word planet?{_SHORT}", r"\b6\b|\bsix\b"),
        (f"What comes after Monday and before Wednesday?{_WORD}", r"\btuesday\b"),
        (f"What is the square root of 144?{_SHORT}", r"\b12\b"),
    )
)
# Of those, what is asked where it has to be quick.
QUICK = 4


def questions_of(told: Any) -> tuple[tuple[KnownQuestion, ...], float]:
    """Return the questions of an operator's own file, and the share that has to be right.

    Raise Refusal unless it is a table with `share` and a list of `questions`.
    """
    try:
        if not isinstance(told, Mapping):
            raise TypeError("it is no table")
        asked: Sequence[Mapping[str, str]] = told["questions"]
        found = tuple(
            KnownQuestion(question=str(each["question"]), answer=str(each["answer"]))
            for each in asked
        )
        for each in found:
            re.compile(each.answer)
        share = float(told["share"])
        if not found or not 0 < share <= 1:
            raise ValueError("share is above 0 and up to 1, and there is a question")
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise Refusal(
            f"The file of questions cannot be used: {error!r}",
            "Write share: 0.9 and questions: [{question: ..., answer: a pattern}, ...]",
        ) from error
    return found, share
