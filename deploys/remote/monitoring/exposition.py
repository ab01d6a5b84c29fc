"""Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable


class Sample:
    """One number now, with what it is called by."""

    def __init__(self, name: str, value: float, **labels: str) -> None:
        self.name, self.value, self.labels = name, value, labels

    def __str__(self) -> str:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in self.labels.items())
        # All digits of a byte count or of a time.
        return f"{self.name}{{{pairs}}} {self.value:.17g}"


def text(samples: Iterable[Sample]) -> str:
    """Return samples as a file; those of one name stand together, as a reader wants them."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, found in by_name.items():
        lines += [f"# TYPE {name} gauge", *map(str, found)]
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
