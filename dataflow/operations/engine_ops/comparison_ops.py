"""Comparisons, elementwise, with boolean results and no derivative; and conversion between dtypes."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from dataflow.operations.declare_ops import primitive
from dataflow.operations.elementwise import elementwise
from dataflow.operations.op_rules import sample
from dataflow.shapes import TensorSpec, parse_dtype

Dtype: TypeAlias = Literal[
    "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"
]

_comparison = partial(elementwise, operation="comparisons", hides_nan=True)

equal = _comparison(np.equal, "Whether a == b, elementwise.", symbolic="Eq")
not_equal = _comparison(np.not_equal, "Whether a != b, elementwise.", symbolic="Ne")
less = _comparison(np.less, "Whether a < b, elementwise.", symbolic="Lt")
less_equal = _comparison(np.less_equal, "Whether a <= b, elementwise.", symbolic="Le")
greater = _comparison(np.greater, "Whether a > b, elementwise.", symbolic="Gt")
greater_equal = _comparison(np.greater_equal, "Whether a >= b, elementwise.", symbolic="Ge")


@primitive(operation="none", elementwise=True)
def cast(x, *, dtype: Dtype):
    """x converted to another dtype; towards integers, decimals are cut off."""
    return np.asarray(x).astype(dtype)


@cast.shape
def _(x, *, dtype):
    return TensorSpec(x.shape, parse_dtype(dtype))


@cast.into
def _(out, x, *, dtype):
    return partial(np.copyto, out, x, "unsafe")


@cast.symbolic
def _(sympy, x, *, dtype):
    if dtype.startswith("float"):
        return x
    return x != 0 if dtype == "bool" else sympy.Piecewise((sympy.ceiling(x), x < 0), (sympy.floor(x), True))


@cast.vjp
def _(g, y, x):
    return g  # the engine converts a cotangent to its input's dtype


@cast.batch
def _(batched, x, *, dtype):
    return cast(x, dtype=dtype)


@cast.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), dtype="float64")
