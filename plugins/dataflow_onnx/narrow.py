"""Numbers of 16, 8, 4 and 2 bits that no array here has: each is held as one of float32, int8 or uint8.

What is computed from them is computed in that. They are rounded where ONNX converts to them, as the casts of float8 and
the like in files say, and where a result is handed on as an array of such numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from dataflow import ops
from dataflow.errors import FileFormatError


@dataclass(frozen=True)
class NarrowFloat:
    """A float: the bits of its mantissa, the least exponent of a normal number, the largest number, and whether there
    is infinity, and what is no number."""

    mantissa: int
    least_exponent: int
    largest: float
    infinite: bool = False
    nan: bool = True


@dataclass(frozen=True)
class NarrowInteger:
    """A whole number of so many bits."""

    bits: int
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest."""
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if self.signed else (0, 2**self.bits - 1)


NARROW: dict[int, NarrowFloat | NarrowInteger] = {
    TensorProto.BFLOAT16: NarrowFloat(7, -126, float.fromhex("0x1.fep127"), infinite=True),
    TensorProto.FLOAT8E4M3FN: NarrowFloat(3, -6, 448.0),
    TensorProto.FLOAT8E4M3FNUZ: NarrowFloat(3, -7, 240.0),
    TensorProto.FLOAT8E5M2: NarrowFloat(2, -14, 57344.0, infinite=True),
    TensorProto.FLOAT8E5M2FNUZ: NarrowFloat(2, -15, 57344.0),
    TensorProto.FLOAT8E8M0: NarrowFloat(0, -127, 2.0**127),
    TensorProto.FLOAT4E2M1: NarrowFloat(1, 0, 6.0, nan=False),
    TensorProto.INT4: NarrowInteger(4, True),
    TensorProto.UINT4: NarrowInteger(4, False),
    TensorProto.INT2: NarrowInteger(2, True),
    TensorProto.UINT2: NarrowInteger(2, False),
}
"""By the number of the type in ONNX."""


def held_as(number: int) -> np.dtype[Any]:
    """The dtype that holds such numbers."""
    kind = NARROW[number]
    return np.dtype("float32" if isinstance(kind, NarrowFloat) else "int8" if kind.signed else "uint8")


def narrowed(x: Any, number: int, *, saturate: bool = True, mode: str = "nearest") -> Any:
    """Values as numbers of a narrow type, in the dtype that holds these. The derivative of a rounded float is taken as
    that of the number itself. What is too large for a float is its largest number, or else infinite or no number."""
    kind = NARROW[number]
    if isinstance(kind, NarrowInteger):
        whole = ops.cast(x, dtype="int32")
        low = kind.limits[0]
        return ops.cast(ops.mod(whole - low, 2**kind.bits) + low, dtype=held_as(number).name)
    if number == TensorProto.FLOAT8E8M0:
        return _power(ops.cast(x, dtype="float32"), mode)
    return _rounded(ops.cast(x, dtype="float32"), kind, saturate and number != TensorProto.BFLOAT16)


def _rounded(x: Any, kind: NarrowFloat, saturate: bool) -> Any:
    apart = ops.maximum(_power_below(x), _float(2.0**kind.least_exponent)) * _float(2.0**-kind.mantissa)
    nearest = ops.round(x / apart) * apart
    inside = ops.abs(nearest) <= _float(kind.largest)
    beyond = kind.largest if saturate or not kind.nan else np.inf if kind.infinite else np.nan
    lost = x if kind.nan else _float(0)
    beyond_all = ops.where(ops.isnan(x), lost, ops.where(x < 0, _float(-beyond), _float(beyond)))
    step = ops.where(inside, nearest - x, _float(0))
    return ops.where(inside, x + _constant_of(step), beyond_all)


def _power(x: Any, mode: str) -> Any:
    """Powers of two; the numbers are not below 0."""
    if mode not in ("up", "down", "nearest"):
        raise FileFormatError(f"numbers are rounded 'up', 'down' or to the 'nearest', not '{mode}'")
    below = ops.maximum(_power_below(x), _float(2.0**-127))
    least = {"up": below, "down": _float(np.inf), "nearest": below * _float(1.5)}[mode]
    higher = x > least if mode == "up" else x >= least
    return ops.where(ops.isnan(x), x, ops.minimum(ops.where(higher, 2 * below, below), _float(2.0**127)))


def _power_below(x: Any) -> Any:
    """The power of two that is not above x: its exponent alone, without sign and mantissa."""
    bits = ops.bitwise_and(ops.bitcast(x, dtype="int32"), np.array(0x7F800000, np.int32))
    return ops.bitcast(bits, dtype="float32")


def _constant_of(x: Any) -> Any:
    """x, without its derivative, as bits have none."""
    return ops.bitcast(ops.bitcast(x, dtype="int32"), dtype="float32")


def _float(number: float) -> np.ndarray:
    return np.array(number, np.float32)
