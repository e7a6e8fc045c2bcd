"""Comparisons, elementwise, with boolean results and no derivative; and conversion between dtypes."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from dataflow import TensorSpec, parse_dtype, primitive, sample


@primitive(elementwise=True, operation="comparisons", ufunc=np.equal)
def equal(a, b):
    """Whether a == b, elementwise."""
    return np.equal(a, b)


@equal.symbolic
def _(sympy, a, b):
    return sympy.Eq(a, b)


@primitive(elementwise=True, operation="comparisons", ufunc=np.not_equal)
def not_equal(a, b):
    """Whether a != b, elementwise."""
    return np.not_equal(a, b)


@not_equal.symbolic
def _(sympy, a, b):
    return sympy.Ne(a, b)


@primitive(elementwise=True, operation="comparisons", ufunc=np.less)
def less(a, b):
    """Whether a < b, elementwise."""
    return np.less(a, b)


@less.symbolic
def _(sympy, a, b):
    return sympy.Lt(a, b)


@primitive(elementwise=True, operation="comparisons", ufunc=np.less_equal)
def less_equal(a, b):
    """Whether a <= b, elementwise."""
    return np.less_equal(a, b)


@less_equal.symbolic
def _(sympy, a, b):
    return sympy.Le(a, b)


@primitive(elementwise=True, operation="comparisons", ufunc=np.greater)
def greater(a, b):
    """Whether a > b, elementwise."""
    return np.greater(a, b)


@greater.symbolic
def _(sympy, a, b):
    return sympy.Gt(a, b)


@primitive(elementwise=True, operation="comparisons", ufunc=np.greater_equal)
def greater_equal(a, b):
    """Whether a >= b, elementwise."""
    return np.greater_equal(a, b)


@greater_equal.symbolic
def _(sympy, a, b):
    return sympy.Ge(a, b)


@primitive(operation="none", elementwise=True)
def cast(x, *, dtype: Literal["float64", "float32", "int64", "int32", "bool"]):
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
