"""Numbers and words of one JSON document, each of which is what it should be or refused by name."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from deploys.planning.inputs.refusal import Refusal

# No published network comes near; whoever says more has made a mistake, or wants to cost us memory.
MOST = 10**9
MOST_LAYERS = 1000
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 1, 4, 2
_SHORT.maxstring = 40


class Configuration:
    """What a document says of a network.

    Where a document gives one value for every layer, and all are the same, that is the value. null
    is as good as nothing.

    + name: of the model, for refusals
    + path: of the document, for refusals
    + called: keys that the document itself calls otherwise, for refusals
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        path: str = "config.json",
        called: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self._values = values
        self._called = called or {}

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def get(self, key: object) -> Any:
        """Return a value as it is in the document."""
        return self._values.get(key) if isinstance(key, str) else None

    def first(self, *keys: str) -> str | None:
        """Return the first of these keys that is there."""
        return next((key for key in keys if key in self), None)

    def count(self, field: str, *keys: str, least: int = 1, most: int = MOST) -> int:
        """Return the number under the first of these keys that is there; refuse if none is.

        + field: of Network, which the refusal asks for
        """
        found = self.maybe(field, *keys, least=least, most=most)
        if found is None:
            raise self.unknown(field, f"{self.path} has no {self._called.get(keys[0], keys[0])}")
        return found

    def maybe(self, field: str, *keys: str, least: int = 1, most: int = MOST) -> int | None:
        """Return the number under the first of these keys that is there, or None."""
        key = self.first(*keys)
        if key is None:
            return None
        value = self.get(key)
        if isinstance(value, list) and value and all(_same(one, value[0]) for one in value):
            value = value[0]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(field, key)
        return value

    def flag(self, field: str, key: str, default: bool = False) -> bool:
        """Return whether something is so, or the default where the document is silent."""
        if key not in self:
            return default
        value = self.get(key)
        if not isinstance(value, bool):
            raise self._wrong(field, key)
        return value

    def word(self, field: str, key: str) -> str | None:
        """Return a word, or None where the document is silent."""
        if key not in self:
            return None
        value = self.get(key)
        if not isinstance(value, str):
            raise self._wrong(field, key)
        return value

    def words(self, field: str, key: str) -> tuple[str, ...] | None:
        """Return a list of words, or None where the document is silent."""
        return self._many(field, key, str)

    def numbers(self, field: str, key: str) -> tuple[int, ...] | None:
        """Return a list of numbers, or None where the document is silent."""
        return self._many(field, key, int)

    def inner(self, *keys: str) -> Configuration | None:
        """Return the part of the document under the first of these keys that is one."""
        for key in keys:
            part = self.get(key)
            if isinstance(part, Mapping):
                return Configuration(self.name, part, f"{self.path} ({key})", self._called)
        return None

    def with_defaults(self, defaults: Mapping[str, Any]) -> Configuration:
        """Return the same with what its class fills in where the document is silent."""
        said = {key: value for key, value in self._values.items() if value is not None}
        return Configuration(self.name, {**defaults, **said}, self.path, self._called)

    def unknown(self, field: str, what: str) -> Refusal:
        """Return the refusal of a network of which a figure that sizing needs is not known."""
        return Refusal(
            f"{self.name}: {what}, so its {field} cannot be read",
            "Describe it in the inventory, with the figures of its model card: "
            f"model=Model(..., network=Network({field}=..., ...))",
        )

    def _wrong(self, field: str, key: str) -> Refusal:
        called, value = self._called.get(key, key), shown(self.get(key))
        return self.unknown(field, f"{self.path} says {called} is {value}")

    def _many(self, field: str, key: str, kind: type[Any]) -> tuple[Any, ...] | None:
        if key not in self:
            return None
        value = self.get(key)
        # Far more than one for each layer is no list of layers.
        right = isinstance(value, list) and len(value) <= 2 * MOST_LAYERS
        if not right or not all(type(one) is kind and _bounded(one) for one in value):
            raise self._wrong(field, key)
        return tuple(value)


def shown(value: Any) -> str:
    """Return a value as a refusal shows it: on one line, and not at any length."""
    return _SHORT.repr(value)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _bounded(one: Any) -> bool:
    return abs(one) <= MOST if isinstance(one, int) else len(one) <= 100
