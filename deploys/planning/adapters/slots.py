"""The memory of LoRA adapters: room on each card for those that are there at once.

Source: vLLM 0.32, lora/layers, create_lora_weights: for each matrix that may be adapted, of rank x
inputs and outputs x rank for each adapter at once, in 16 bits; matrices that are one in the engine
(queries, keys and values; gate and up) have room for all of them. SGLang 0.5.23, lora/mem_pool.py,
has the same. Only one side of a pair is split over the cards that share a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploys.planning.adapters.adapter import Adapter, Matrix
from deploys.planning.adapters.fits import adapters_of
from deploys.planning.engines.base import Adapters
from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import Service

_BYTES = 2
# Adapters that cards hold together; the others are brought in from host memory.
_AT_ONCE = 8
# Matrices that engines keep as one.
_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
# Those that are split over cards by their inputs; others are by their outputs.
_BY_INPUTS = {"o_proj", "down_proj", "experts.down_proj"}


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Room for adapters of one service.

    + count: of adapters at once; rank: that there is room for
    + matrices: all that any of them adapts
    + size: bytes of the files, which are in host memory as a whole
    """

    count: int
    rank: int
    matrices: tuple[Matrix, ...]
    size: int

    def of_card(self, tensor_parallel: int, pipeline_parallel: int) -> int:
        """Return the bytes on one card of a copy."""
        total = 0
        for matrix in self.matrices:
            split, whole = matrix.outputs, matrix.inputs
            if matrix.name in _BY_INPUTS:
                split, whole = whole, split
            total += matrix.count * (whole + split // tensor_parallel)
        return self.count * self.rank * total * _BYTES // pipeline_parallel

    @property
    def targets(self) -> tuple[str, ...]:
        """What they adapt, by the last word of each name."""
        return tuple(sorted({matrix.name.rpartition(".")[2] for matrix in self.matrices}))


def slots_of(service: Service) -> Slots | None:
    """Return the room that an engine makes for the adapters of a service; None without any."""
    record, adapters = ENGINES[service.engine].adapters, [*adapters_of(service).values()]
    if record is None or not adapters:
        return None
    return Slots(
        count=min(_AT_ONCE, len(adapters)) + record.without,
        rank=_rank(record, adapters),
        matrices=tuple(_matrices(adapters)),
        size=sum(adapter.size for adapter in adapters),
    )


def _rank(record: Adapters, adapters: Sequence[Adapter]) -> int:
    """Return the smallest rank that room can be made for and that is enough for all."""
    most = max(adapter.rank for adapter in adapters)
    return next((rank for rank in record.ranks if rank >= most), most)


def _matrices(adapters: Sequence[Adapter]) -> Iterator[Matrix]:
    """Yield each kind of matrix that any of them adapts, as the one with the most of them has it.

    With those that the engine keeps together with it, which are no larger than the largest.
    """
    widest: dict[str, Matrix] = {}
    for matrix in (each for adapter in adapters for each in adapter.matrices):
        known = widest.setdefault(matrix.name, matrix)
        if _numbers(matrix) > _numbers(known):
            widest[matrix.name] = matrix
    yield from widest.values()
    for group in _TOGETHER:
        there = [widest[name] for name in group if name in widest]
        for _ in range(len(group) - len(there) if there else 0):
            yield max(there, key=_numbers)


def _numbers(matrix: Matrix) -> int:
    return matrix.count * (matrix.inputs + matrix.outputs)
