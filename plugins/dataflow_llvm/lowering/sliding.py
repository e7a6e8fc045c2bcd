"""Where windows lie that slide over the last axes of an array: the tables that the kernels for windows read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, WINDOWS
from dataflow_llvm.kernels.windows import KINDS, SIDE
from dataflow_llvm.lowering.emitter import Emitter
from dataflow_llvm.lowering.places import Place

SHARED_WORK = 100_000
"""Visits of windows above which threads share them."""
LONG = 256
"""Windows in a row that are enough to fill vectors with."""


@dataclass(frozen=True)
class Sliding:
    """Windows over an array: from the first of them, how far their entries lie, and the rows of windows; within a row
    they lie ``step`` apart. All distances count entries."""

    place: Place
    entries: list[int]
    rows: list[int]
    columns: int
    step: int = 1

    def joined(self) -> Sliding:
        """Fewer and longer rows, where rows lie one behind the other."""
        count = len(self.rows)
        if self.rows != [row * self.columns * self.step for row in range(count)]:
            return self
        joined = next((n for n in range(1, count + 1) if count % n == 0 and n * self.columns >= LONG), count)
        return Sliding(self.place, self.entries, self.rows[::joined], joined * self.columns, self.step)


def padded(emitter: Emitter, x: Place, pairs: Sequence[tuple[int, int]], value: float = 0.0) -> Place:
    """x in the middle of so many entries in front of and behind each of its last axes; itself where there are none."""
    if not any(itertools.chain(*pairs)):
        return x
    kept = len(x.shape) - len(pairs)
    sizes = [size + sum(pair) for size, pair in zip(x.shape[kept:], pairs, strict=True)]
    target = emitter.places.scratch((*x.shape[:kept], *sizes), x.dtype)
    _fill(emitter, target, value)
    offset = sum(before * step for (before, _), step in zip(pairs, target.strides[kept:], strict=True))
    emitter.copy(x, target.window(offset, x.shape, target.strides))
    return target


def near(emitter: Emitter, x: Place) -> Place:
    """x, (N, C, ...), or a copy of it, so that entries along the last axis lie side by side, and examples one behind
    the other."""
    side_by_side = x.shape[-1] == 1 or x.strides[-1] == 1
    if side_by_side and (x.shape[0] == 1 or x.strides[0] == x.shape[1] * x.strides[1]):
        return x
    copy = emitter.places.scratch(x.shape, x.dtype)
    emitter.copy(x, copy)
    return copy


def one_apart(
    emitter: Emitter,
    x: Place,
    pairs: Sequence[tuple[int, int]],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    counts: Sequence[int],
    value: float = 0.0,
) -> Sliding:
    """Windows over the spatial axes of x, (N, C, spatial...), padded with that value, so laid out that neighbours in a
    row lie one entry apart: with a stride s along the last axis, it is parted into s, of every s-th entry each."""
    step = strides[-1]
    if step > 1:
        x = _parted(emitter, x, pairs, step, value)
        steps = [*x.strides[2:-2], 1]
        last = [k * dilation[-1] % step * x.strides[-2] + k * dilation[-1] // step for k in range(kernel[-1])]
    else:
        x = near(emitter, padded(emitter, x, pairs, value))
        steps = [*x.strides[2:-1], 1]
        last = [k * dilation[-1] for k in range(kernel[-1])]
    before = distances(kernel[:-1], scaled(steps[:-1], dilation[:-1]))
    rows = distances(counts[:-1], scaled(steps[:-1], strides[:-1]))
    return Sliding(x, [a + b for a in before for b in last], rows, counts[-1])


def _parted(emitter: Emitter, x: Place, pairs: Sequence[tuple[int, int]], step: int, value: float) -> Place:
    """(N, C, ..., length) padded, as (N, C, ..., step, ⌈length / step⌉)."""
    *outer, size = x.shape
    grown = [length + sum(pair) for length, pair in zip(outer[2:], pairs, strict=False)]
    before = pairs[-1][0]
    row = -(-(size + sum(pairs[-1])) // step)
    target = emitter.places.scratch((*outer[:2], *grown, step, row), x.dtype)
    if any(itertools.chain(*pairs)):
        _fill(emitter, target, value)
    start = sum(pair[0] * along for pair, along in zip(pairs[:-1], target.strides[2:-2], strict=True))
    done = 0
    while done < size:  # up to the end of a round over the parts, then whole rounds, then what is left
        number, part = divmod(before + done, step)
        rounds = (size - done) // step if part == 0 else 0
        shape = (step, rounds) if rounds else (min(step - part, size - done), 1)
        source = x.window(
            done * x.strides[-1], (*outer, *shape), (*x.strides[:-1], x.strides[-1], step * x.strides[-1])
        )
        place = target.window(start + part * row + number, source.shape, (*target.strides[:-2], row, 1))
        emitter.copy(source, place)
        done += shape[0] * shape[1]
    return target


def _fill(emitter: Emitter, target: Place, value: float) -> None:
    if value:
        emitter.fill(target, value)
    else:
        emitter.clear(target)


def emit_windows(
    emitter: Emitter,
    kind: str,
    places: Sequence[Place],
    sliding: Sliding,
    sizes: tuple[int, int],
    steps: Sequence[int],
    shared_axis: int,
    groups: tuple[int, int] = (1, 0),
    inside: tuple[int, int] = (0, 0),
) -> None:
    """An instruction for a kernel; the numbers are those of its walk (see ``Walk``)."""
    program, walk = emitter.program, len(emitter.program.walks)
    for place in places:
        program.walks += [place.base, place.offset]
    entries, rows = sliding.entries, sliding.rows
    program.walks += [*sizes, len(entries), len(rows), sliding.columns, sliding.step, *steps, *inside, *groups]
    program.walks += [*entries, *rows]
    shared = math.prod(sizes) * len(entries) * len(rows) * sliding.columns > SHARED_WORK
    unit = SIDE if kind == "correlate_kernel" else 1
    dtype = FLOAT_NAMES.index(places[-1].dtype.name)
    emitter.emit(WINDOWS, shared, KINDS.index(kind) * len(FLOAT_NAMES) + dtype, walk, shared_axis, unit)


def scaled(strides: Sequence[int], factors: Sequence[int]) -> list[int]:
    """Each stride times its factor."""
    return [step * factor for step, factor in zip(strides, factors, strict=True)]


def distances(sizes: Sequence[int], steps: Sequence[int]) -> list[int]:
    """How far each index lies from the first, in row-major order."""
    return [sum(i * step for i, step in zip(index, steps, strict=True)) for index in np.ndindex(*sizes)]
