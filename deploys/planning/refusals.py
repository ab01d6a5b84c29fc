"""The refusals of a plan, collected so that the operator sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from deploys.planning.inputs.refusal import Refusal

P = ParamSpec("P")
T = TypeVar("T")


class Refusals:
    """The refusals of a plan, in the order in which they were found."""

    def __init__(self, service: str = "", refusals: list[Refusal] | None = None) -> None:
        self._service = service
        self.refusals = [] if refusals is None else refusals

    def attempt(self, otherwise: T, decide: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of `decide`; if it raises Refusal, collect that, return `otherwise`."""
        try:
            return decide(*args, **kwargs)
        except Refusal as refusal:
            self.all_of([refusal], self._service)
            return otherwise

    def of(self, service: str) -> Refusals:
        """Return the same refusals, to which more of this service are added."""
        return Refusals(service, self.refusals)

    def all_of(self, refusals: Iterable[Refusal], service: str = "") -> None:
        """Add refusals without duplicates, attributed to `service` if one is named."""
        for refusal in refusals:
            found = Refusal(refusal.reason, refusal.hint, service or refusal.service)
            if str(found) not in map(str, self.refusals):
                self.refusals.append(found)
