"""Windows that slide over the last axes of an array: how many there are, and which entries each covers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from dataflow import OpError, ShapeError, format_shape
from dataflow.errors import counted
from dataflow.shapes import Dim, Shape, Size

PerAxis: TypeAlias = int | tuple[int, ...]
"""One number for all axes, or one for each."""
Padding: TypeAlias = Literal["valid", "same_upper", "same_lower"] | int | tuple[int | tuple[int, ...], ...]
"""Entries in front of and behind each axis: one number, one for each axis, or a pair for each; "valid" is none; "same"
is so many that there are ⌈size / stride⌉ windows, an odd one behind ("upper") or in front ("lower")."""
Pairs: TypeAlias = tuple[tuple[int, int], ...]


def for_each_axis(name: str, value: PerAxis, count: int, least: int = 1) -> tuple[int, ...]:
    """The numbers of an attribute, one for each of ``count`` axes."""
    numbers = (value,) * count if isinstance(value, int) else value
    if len(numbers) != count:
        raise OpError(
            f"{name} has {counted(len(numbers), 'number')} for {counted(count, 'axis')}; give one number, "
            f"or one for each axis"
        )
    if any(number < least for number in numbers):
        raise OpError(f"{name} is {value}; its numbers are at least {least}")
    return numbers


def padding_pairs(padding: Padding, sizes: Shape, extents: Sequence[int], strides: Sequence[int]) -> Pairs:
    """The padding in front of and behind each axis; ``extents`` are the kernel's sizes with its dilation."""
    count = len(sizes)
    if padding == "valid":
        return ((0, 0),) * count
    if isinstance(padding, str):
        pairs = []
        for size, extent, stride in zip(sizes, extents, strides, strict=True):
            if isinstance(size, Size):
                raise ShapeError(f'padding="{padding}" needs sizes that are numbers here, not {size}')
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            less, more = total // 2, total - total // 2
            pairs.append((less, more) if padding == "same_upper" else (more, less))
        return tuple(pairs)
    each = (padding,) * count if isinstance(padding, int) else padding
    if len(each) != count:
        raise OpError(
            f"padding has {counted(len(each), 'entry')} for {counted(count, 'axis')}; give one number, or "
            f"for each axis a number or a pair"
        )
    both = tuple((pair, pair) if isinstance(pair, int) else pair for pair in each)
    if any(len(pair) != 2 for pair in both):
        raise OpError(f"padding is {list(each)}; an axis has one number or a pair, in front and behind")
    return both  # type: ignore[return-value]


def extent_of(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """How many entries a window spans along each axis, those between its own included."""
    return tuple((size - 1) * apart + 1 for size, apart in zip(kernel, dilation, strict=True))


def window_counts(
    sizes: Shape,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[Dim, ...]:
    """How many windows fit along each axis; with ``ceil_mode`` the last one may reach over the end."""
    extents = extent_of(kernel, dilation)
    if padding in ("same_upper", "same_lower"):
        return tuple((size + (stride - 1)) // stride for size, stride in zip(sizes, strides, strict=True))
    counts = []
    pairs = padding_pairs(padding, sizes, extents, strides)
    for size, extent, stride, (before, behind) in zip(sizes, extents, strides, pairs, strict=True):
        room: Dim = size + (before + behind - extent)
        if isinstance(room, int) and room < 0:
            raise ShapeError(
                f"a kernel that spans {extent} entries does not fit into an axis of {size} with {before} and {behind} "
                f"entries of padding"
            )
        count: Dim = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
        if ceil_mode and behind - extent + stride - 1 >= 0:  # the last window may start behind the axis
            if isinstance(size, Size) or isinstance(count, Size):
                raise ShapeError(f"how many windows there are with ceil_mode needs a size that is a number, not {size}")
            count -= (count - 1) * stride >= size + before
        counts.append(count)
    return tuple(counts)


Place: TypeAlias = tuple[int, tuple[slice, ...], tuple[slice, ...]]
"""The number of an entry of the kernel, for which windows it lies in the array, and where."""


class Windows:
    """Where the windows lie, along axes of known sizes."""

    def __init__(
        self,
        sizes: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int],
        padding: Padding,
        dilation: Sequence[int],
        counts: Sequence[int],
    ) -> None:
        self.sizes, self.kernel, self.counts = tuple(sizes), tuple(kernel), tuple(counts)
        self.strides, self.dilation = tuple(strides), tuple(dilation)
        self.pairs = padding_pairs(padding, self.sizes, extent_of(kernel, dilation), self.strides)
        self.places = list(self._places())
        """Each entry of the kernel that meets the array; the rest of the windows lies in the padding."""

    @property
    def visits(self) -> int:
        """How many pairs there are of a window and an entry of the array that it covers."""
        return sum(math.prod(part.stop - part.start for part in windows) for _, windows, _ in self.places)

    @property
    def is_trivial(self) -> bool:
        """Whether each window is one entry, and each entry a window."""
        return (
            set(self.kernel) | set(self.strides) == {1} and self.counts == self.sizes and not any(sum(self.pairs, ()))
        )

    @property
    def in_rows(self) -> bool:
        """Whether windows are one entry apart, and so many along each axis that rows of them which are as long as the
        padded axis are not much longer."""
        extents = extent_of(self.kernel, self.dilation)
        return (
            set(self.strides) == {1}
            and math.prod(self.kernel) > 1
            and all(2 * extent <= count + 2 for extent, count in zip(extents, self.counts, strict=True))
            and min(itertools.chain(*self.pairs)) >= 0
        )

    @property
    def overlap(self) -> bool:
        """Whether an entry may be in several windows."""
        extents = extent_of(self.kernel, self.dilation)
        return any(stride < extent for stride, extent in zip(self.strides, extents, strict=True))

    @property
    def reach_all(self) -> bool:
        """Whether each entry of the array is in a window."""
        return all(
            len({place for _, _, inside in self.along(axis) for place in range(size)[inside]}) == size
            for axis, size in enumerate(self.sizes)
        )

    def is_covered(self, axis: int) -> bool:
        """Whether no window along the axis lies in the padding alone."""
        size, count, stride, apart = self.sizes[axis], self.counts[axis], self.strides[axis], self.dilation[axis]
        before = self.pairs[axis][0]
        if count == 0:
            return True
        if (count - 1) * stride - before >= size or -(-before // apart) >= self.kernel[axis]:
            return False  # the last one, or the first
        # One that begins in front of the array may step over it; how it does repeats after so many windows.
        in_front = min(count, -(-before // stride), apart // math.gcd(apart, stride))
        return size >= apart or all((window * stride - before) % apart < size for window in range(in_front))

    def covered(self, axis: int, padded: bool) -> np.ndarray:
        """How many entries of the axis each window covers along it, those of the padding counted or not."""
        before, behind = self.pairs[axis]
        starts = np.arange(self.counts[axis]) * self.strides[axis] - before
        low, high = (-before, self.sizes[axis] + behind) if padded else (0, self.sizes[axis])
        first, end = (
            np.clip(-((starts - bound) // self.dilation[axis]), 0, self.kernel[axis]) for bound in (low, high)
        )
        return np.maximum(end - first, 0)

    def _places(self) -> Iterator[Place]:
        for parts in itertools.product(*(self.along(axis) for axis in range(len(self.sizes)))):
            number = 0
            for (entry, _, _), length in zip(parts, self.kernel, strict=True):
                number = number * length + entry
            yield number, tuple(windows for _, windows, _ in parts), tuple(inside for _, _, inside in parts)

    def along(self, axis: int) -> list[tuple[int, slice, slice]]:
        """The entries of the kernel along the axis that meet the array, for which windows, and where."""
        size, count, stride, apart = self.sizes[axis], self.counts[axis], self.strides[axis], self.dilation[axis]
        before = self.pairs[axis][0]
        low = max(0, -((((count - 1) * stride) - before) // apart))
        parts = []
        for entry in range(low, min(self.kernel[axis], (before + size - 1) // apart + 1)):
            offset = entry * apart - before
            first, end = max(0, -(offset // stride)), min(count, (size - 1 - offset) // stride + 1)
            start = first * stride + offset
            if first < end:
                parts.append((entry, slice(first, end), slice(start, start + (end - first - 1) * stride + 1, stride)))
        return parts


def check_channels(name: str, shape: Shape) -> None:
    """A ``ShapeError`` unless the shape is (N, C, spatial...)."""
    if len(shape) < 3:
        raise ShapeError(f"{name} takes (N, C, spatial...) with at least one spatial axis, not {format_shape(shape)}")
