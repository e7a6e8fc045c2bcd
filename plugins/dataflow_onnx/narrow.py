"""Numbers of 16, 8, 4 and 2 bits that no array here has: each is held as one of float32, int8 or uint8.

What is computed from them is computed in that. They are rounded where ONNX converts to them, as the casts of float8 and
the like in files say, and where a result is handed on as an array of such numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    x = ops.cast(x, dtype="float32")
    if number == TensorProto.FLOAT8E8M0:
        if mode not in ("up", "down", "nearest"):
            raise FileFormatError(f"numbers are rounded 'up', 'down' or to the 'nearest', not '{mode}'")
        return ops.round_to_power(x, mode=mode)
    return ops.round_to(x, **_rounding(number, kind, saturate))


def _rounding(number: int, kind: NarrowFloat, saturate: bool) -> dict[str, Any]:
    """The attributes of the op ``round_to``."""
    saturates = (saturate and number != TensorProto.BFLOAT16) or not kind.nan
    beyond = "largest" if saturates else "infinite" if kind.infinite else "nan"
    stored = {"mantissa": kind.mantissa, "least": kind.least_exponent, "largest": kind.largest}
    return {**stored, "beyond": beyond, "nan": kind.nan}


def cast_of(attributes: Mapping[str, Any]) -> tuple[int, bool] | None:
    """The type, and whether it saturates, of the cast that the op ``round_to`` with these attributes is."""
    for number, kind in NARROW.items():
        for saturate in (True, False):
            if isinstance(kind, NarrowFloat) and _rounding(number, kind, saturate) == attributes:
                return number, saturate
    return None
