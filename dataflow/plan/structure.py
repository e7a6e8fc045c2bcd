"""What a plan is made of: instructions over slots, views, regions, and the arena that the slots lie in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.operations.op import Op
from dataflow.shapes import TensorSpec, byte_count

ALIGNMENT = 64
"""Where a slot begins in the arena is a multiple of this: a cache line, in bytes."""
TILE_BYTES = 2**22
"""The memory that the arrays of a region take for one tile, at eight bytes an entry: small enough to stay in cache, and
large beside the cost of a call."""
TILE_LEAST = 4096
"""The fewest elements of a tile: with fewer, calls would take longer than the work."""
MOST_TILES = 4096
"""A backend may prepare each tile by itself; larger regions have larger tiles."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """``slots[output] = op(*slots[inputs], **attributes)``; the op is primitive. ``node`` is the graph's node that it
    belongs to."""

    op: Op
    inputs: tuple[int, ...]
    output: int
    attributes: Mapping[str, Any]
    node: str


@dataclass(frozen=True, slots=True)
class View:
    """A slot that copies nothing: a window on the slot ``base``, which is no view itself and lies in row-major order.

    ``offset`` and ``strides``, one for each axis, count elements; a stride is 0 where the view repeats, and may be
    negative. ``op`` and ``node`` say where it comes from.
    """

    base: int
    offset: int
    strides: tuple[int, ...]
    op: Op
    node: str

    def of(self, base: np.ndarray, spec: TensorSpec) -> np.ndarray:
        """The view itself, of ``spec``, given its base's array."""
        shape = concrete(spec)
        if 0 in shape:
            return np.empty(shape, spec.dtype)
        size = spec.dtype.itemsize
        strides = tuple(stride * size for stride in self.strides)
        return np.ndarray(shape, spec.dtype, base, self.offset * size, strides)


@dataclass(frozen=True, slots=True)
class Region:
    """``instructions[start:stop]``: elementwise ops whose results all have ``shape``, to be run tile by tile.

    ``inputs`` are the arrays read that the region does not make, ``outputs`` those it makes that are needed after it.
    Its other results live in ``registers``, scratch of a tile's length each, which are used again within the region;
    one register may hold different dtypes, one after the other.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    registers: Mapping[int, int]
    register_count: int

    @property
    def size(self) -> int:
        """Elements of one result."""
        return math.prod(self.shape)

    @property
    def tile(self) -> int:
        """Elements of a tile: the whole region, or as many as stay in cache."""
        arrays = len(self.inputs) + len(self.outputs) + self.register_count
        return min(self.size, max(TILE_LEAST, TILE_BYTES // (8 * max(1, arrays)), self.size // MOST_TILES))

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the registers, for each thread that runs the region."""
        return 8 * self.tile * self.register_count


@dataclass(frozen=True)
class Plan:
    """Instructions in an order in which they can run, in single-assignment form: each slot is written once.

    A pass makes a plan from a plan; the fields with defaults are filled by the last ones.
    """

    arguments: tuple[str, ...]
    """The inputs and parameters that a run is given, in order; they fill the first slots."""
    outputs: tuple[str, ...]
    output_slots: tuple[int, ...]
    specs: tuple[TensorSpec | None, ...]
    """What each slot holds; ``None`` for an optional input left out and for a plain number."""
    constants: Mapping[int, Any]
    """Slots that are filled beforehand: arrays, which are not to be written, plain numbers, ``None``."""
    instructions: tuple[Instruction, ...]
    views: Mapping[int, View] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    """In order and apart from each other; every elementwise instruction is in one."""
    offsets: Mapping[int, int] = field(default_factory=dict)
    """Where results lie in the arena, in bytes. Those of outputs, or of what outputs are views of, have no place there:
    the runner holds them, as it does registers."""
    arena_bytes: int = 0

    @property
    def output_roots(self) -> frozenset[int]:
        """The slots that hold the outputs: outputs themselves, and what outputs are views of."""
        return frozenset(self.root(slot) for slot in self.output_slots)

    @property
    def intermediate_bytes(self) -> int:
        """Bytes of everything that a run needs besides its arguments, constants and outputs."""
        return self.arena_bytes + max((region.scratch_bytes for region in self.regions), default=0)

    def spec(self, slot: int) -> TensorSpec:
        """The shape and dtype of a slot that holds an array."""
        spec = self.specs[slot]
        assert spec is not None, f"slot {slot} holds no array"
        return spec

    def root(self, slot: int) -> int:
        """The slot that holds the memory of a slot."""
        view = self.views.get(slot)
        return slot if view is None else view.base

    def read(self, slots: Sequence[Any] | Mapping[int, Any], slot: int) -> Any:
        """What a slot holds, given the arrays, in row-major order, of all that are no views."""
        view, spec = self.views.get(slot), self.specs[slot]
        return slots[slot] if view is None or spec is None else view.of(slots[view.base], spec)

    def bytes_of(self, slot: int) -> int:
        """Bytes of a slot's own array; 0 for plain numbers."""
        spec = self.specs[slot]
        return 0 if spec is None else byte_count(concrete(spec), spec.dtype)

    def stretches(self) -> Iterator[Instruction | Region]:
        """What runs, in order: regions, and the instructions outside them."""
        position = 0
        for region in self.regions:
            yield from self.instructions[position : region.start]
            yield region
            position = region.stop
        yield from self.instructions[position:]


def rounded(size: int) -> int:
    """Bytes up to the next multiple of ``ALIGNMENT``."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def concrete(spec: TensorSpec) -> tuple[int, ...]:
    """The shape of a plan's slot, whose sizes are numbers."""
    shape: tuple[int, ...] = spec.shape  # type: ignore[assignment]
    return shape


def stand_in(spec: TensorSpec | None, number: Any = None) -> Any:
    """An array for an op that looks at no entry, and takes no memory; the plain number where there is no array."""
    return number if spec is None else np.broadcast_to(np.zeros((), spec.dtype), concrete(spec))


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array in row-major order, in elements."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
