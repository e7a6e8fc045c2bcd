"""Logic on booleans, bits of whole numbers, and what kind of number an entry is. All work entry by entry, and none has
a derivative."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dataflow import DtypeError, TensorSpec, elementwise, op, primitive, sample
from dataflow.operations.engine_ops import abs_
from dataflow.operations.engine_ops.comparison_ops import Dtype

_logic = partial(elementwise, operation="none", hides_nan=True)

logical_and = _logic(np.logical_and, "Whether both a and b hold, elementwise; a number holds unless it is 0.")
logical_or = _logic(np.logical_or, "Whether a or b or both hold, elementwise; a number holds unless it is 0.")
logical_xor = _logic(np.logical_xor, "Whether one of a and b holds alone, elementwise; a number holds unless it is 0.")
logical_not = _logic(np.logical_not, "Whether x does not hold, elementwise; a number holds unless it is 0.")


def _truths(count):
    def samples(rng):
        yield sample(*(rng.random((3, 4)) < 0.5 for _ in range(count)))

    return samples


for _binary in (logical_and, logical_or, logical_xor):
    _binary.samples(_truths(2))
logical_not.samples(_truths(1))


@op(hides_nan=True)
def isnan(x):
    """Whether x is NaN, elementwise."""
    return x != x


@op(hides_nan=True)
def isinf(x):
    """Whether x is ∞ or −∞, elementwise."""
    return abs_(x) == math.inf


_bits = partial(elementwise, operation="none")

bitwise_and = _bits(np.bitwise_and, "The bits that a and b both have, elementwise; of whole numbers and booleans.")
bitwise_or = _bits(np.bitwise_or, "The bits that a or b or both have, elementwise; of whole numbers and booleans.")
bitwise_xor = _bits(
    np.bitwise_xor, "The bits that one of a and b has alone, elementwise; of whole numbers and booleans."
)
bitwise_not = _bits(
    np.invert, "The bits that x has not, elementwise; of whole numbers and booleans.", name="bitwise_not"
)
shift_left = _bits(
    np.left_shift,
    "a with its bits moved to the left by b places, a · 2ᵇ, elementwise; of whole numbers.",
    name="shift_left",
)
shift_right = _bits(
    np.right_shift,
    "a with its bits moved to the right by b places, a / 2ᵇ rounded down, elementwise; of whole numbers.",
    name="shift_right",
)


@primitive(operation="none", elementwise=True, hides_nan=True)
def bitcast(x, *, dtype: Dtype):
    """The bits of x, elementwise, read as numbers of another dtype of the same width; it has no derivative."""
    return np.asarray(x).view(dtype)


@bitcast.shape
def _(x, *, dtype):
    target = np.dtype(dtype)
    if x.dtype.itemsize != target.itemsize or (target.kind == "b" and x.dtype.kind != "b"):
        raise DtypeError(f"bitcast takes a dtype of the width of {x.dtype}, and bool for booleans alone, not {dtype}")
    return TensorSpec(x.shape, target)


@bitcast.vjp
def _(g, y, x):
    return None


@bitcast.batch
def _(batched, x, *, dtype):
    return bitcast(x, dtype=dtype)


@bitcast.samples
def _(rng):
    yield sample(rng.integers(-9, 9, size=(3, 4)), dtype="uint64")
    yield sample(np.array([True, False]), dtype="uint8")


def _whole(count, low, high):
    def samples(rng):
        yield sample(*(rng.integers(low, high, size=(3, 4)) for _ in range(count)))

    return samples


for _binary in (bitwise_and, bitwise_or, bitwise_xor):
    _binary.samples(_whole(2, -9, 9))
bitwise_not.samples(_whole(1, -9, 9))
for _shift in (shift_left, shift_right):
    _shift.samples(_whole(2, 0, 9))
