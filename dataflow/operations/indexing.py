"""Indexing and slicing with constants: ``x[0, 1:3, ..., newaxis]``, as a key in one canonical text."""

from __future__ import annotations

import operator
import re
from functools import lru_cache
from types import EllipsisType
from typing import Any, TypeAlias

from dataflow.errors import OpError, ShapeError, counted, cut
from dataflow.shapes import Dim, Shape, Size, format_shape
from dataflow.support.arguments import describe

Item: TypeAlias = int | slice | EllipsisType | None
Key: TypeAlias = tuple[Item, ...]

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def format_key(key: Any) -> str:
    """The canonical text of a Python key: ``(0, slice(1, 3), ...)`` is ``"0, 1:3, ..."``."""
    return ", ".join(_format_item(item) for item in (key if isinstance(key, tuple) else (key,)))


@lru_cache(maxsize=4096)
def parse_key(text: str) -> Key:
    """The Python key of a text; an ``OpError`` says what may stand in it."""
    if not text.strip():
        raise OpError("an index is empty; write an integer, a slice such as 1:3, '...' or 'newaxis'")
    key = tuple(_parse_item(part.strip()) for part in text.rstrip().removesuffix(",").split(","))
    if sum(item is Ellipsis for item in key) > 1:
        raise OpError(f"the index [{text}] has more than one '...'")
    return key


def indexed_shape(shape: Shape, key: Key) -> Shape:
    """The shape of ``array[key]``; a symbolic axis may be sliced, and counts as long enough."""
    axis_count = sum(item is not None and item is not Ellipsis for item in key)
    if axis_count > len(shape):
        raise ShapeError(
            f"[{format_key(key)}] indexes {counted(axis_count, 'axis')}, the shape {format_shape(shape)} "
            f"has {len(shape)}"
        )
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    result: list[Dim] = []
    axis = 0
    for item in key:
        if item is None:
            result.append(1)
        elif item is Ellipsis:
            result += shape[axis : axis + len(shape) - axis_count]
            axis += len(shape) - axis_count
        else:
            size = shape[axis]
            if isinstance(item, slice):
                result.append(_sliced(size, item))
            elif isinstance(size, int) and not -size <= item < size:
                raise ShapeError(f"index {item} is out of range for axis {axis} of size {size}")
            axis += 1
    return tuple(result)


def _sliced(size: Dim, item: slice) -> Dim:
    if item.step == 0:
        raise ShapeError("a slice's step is not 0")
    if isinstance(size, int):
        return len(range(*item.indices(size)))
    step: int = item.step or 1
    start, stop = (item.start, item.stop) if step > 0 else (item.stop, item.start)
    # From here a slice that runs upwards, from start up to stop; downwards both bounds are shifted by one.
    shift = 0 if step > 0 else 1
    low = _bound(size, start, 0, shift)
    high = _bound(size, stop, size, shift)
    length: Dim = max(0, high - low) if isinstance(high, int) and isinstance(low, int) else high + -1 * low
    if isinstance(length, int):
        return -(-max(0, length) // abs(step))
    if length.linear is not None and length.linear[1] < 0:
        raise ShapeError(
            f"how long the slice {_format_item(item)} of an axis of size {size} is depends on that size in a way no "
            f"formula says; count both its ends from the same side, or give the axis a number"
        )
    return length if abs(step) == 1 else (length + (abs(step) - 1)) // abs(step)


def _bound(size: Size, bound: int | None, default: Dim, shift: int) -> Dim:
    if bound is None:
        return default
    return (bound if bound >= 0 else size + bound) + shift


def _format_item(item: Any) -> str:
    if item is None:
        return "newaxis"
    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        bounds = ["" if bound is None else str(_integer(bound)) for bound in (item.start, item.stop)]
        return ":".join(bounds) + ("" if item.step is None else f":{_integer(item.step)}")
    return str(_integer(item))


def _integer(value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise OpError(f"an index is an integer, a slice, '...' or 'newaxis', not {describe(value)}")


def _parse_item(text: str) -> Item:
    if text == "...":
        return Ellipsis
    if text in ("newaxis", "None"):
        return None
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > 3 or not all(_INTEGER.fullmatch(part) or (not part and len(parts) > 1) for part in parts):
        raise OpError(f"an index is an integer, a slice such as 1:3, '...' or 'newaxis', not '{cut(text, 40)}'")
    if len(parts) == 1:
        return int(text)
    return slice(*(int(part) if part else None for part in parts))
