"""Ufuncs: JAX has functions of the same names, to which operands come in the dtypes in which numpy computes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from dataflow_jax.table.entries import Call, canonical

COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)


def computed_by_ufunc(call: Call, ufunc: np.ufunc, *inputs: Any) -> Any:
    """The result of a ufunc of one output."""
    kinds = [_kind(value) for value in inputs]
    dtypes = [canonical(dtype) for dtype in ufunc.resolve_dtypes((*kinds, None))[:-1]]
    try:
        operands = [_as(value, dtype) for value, dtype in zip(inputs, dtypes, strict=True)]
    except OverflowError:  # a number that the other operand's dtype does not hold can still be compared with
        if ufunc not in COMPARISONS:
            raise
        operands = [jnp.asarray(value, canonical(np.float64)) for value in inputs]
    special = SPECIAL.get(ufunc)
    if special is not None and operands[1].dtype.kind in "iu":
        return special(call, *operands)
    return getattr(jnp, ufunc.__name__)(*operands)


def _kind(value: Any) -> Any:
    """What numpy's rules for dtypes go by: a plain number takes the dtype of what is beside it."""
    return type(value) if type(value) in (int, float) else np.dtype(getattr(value, "dtype", type(value)))


def _as(value: Any, dtype: np.dtype) -> Any:
    return jnp.asarray(np.asarray(value, dtype) if isinstance(value, int | float) else value, dtype)


def _unless_zero(name: str) -> Any:
    def divided(call: Call, a: Any, b: Any) -> Any:
        """numpy gives 0 for a whole number divided by 0."""
        return jnp.where(b == 0, 0, getattr(jnp, name)(a, jnp.where(b == 0, 1, b)))

    return divided


def _power(call: Call, a: Any, b: Any) -> Any:
    call.require(b >= 0)
    return jnp.power(a, jnp.maximum(b, 0))


SPECIAL: dict[np.ufunc, Any] = {
    np.floor_divide: _unless_zero("floor_divide"),
    np.remainder: _unless_zero("remainder"),
    np.fmod: _unless_zero("fmod"),
    np.power: _power,
}
"""For whole numbers."""
