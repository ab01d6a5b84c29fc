"""Settings that were renamed: an inventory with the old name is told the new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from deploys.planning.inputs.refusal import Refusal

T = TypeVar("T")


def renamed(**names: str) -> Callable[[type[T]], type[T]]:
    """Have a class raise Refusal for old names of its fields, given as old="new"."""

    def decorate(cls: type[T]) -> type[T]:
        construct: Callable[..., None] = cls.__init__

        @wraps(construct)
        def checked(self: T, *args: Any, **kwargs: Any) -> None:
            for old, new in names.items():
                if old in kwargs:
                    raise Refusal(
                        f"{cls.__name__}: {old} is now called {new}",
                        f"Write {new}={kwargs[old]!r} instead",
                    )
            construct(self, *args, **kwargs)

        cls.__init__ = checked  # type: ignore[assignment,method-assign]
        return cls

    return decorate
