"""Rounding, signs, remainders and limits, elementwise. What jumps has the derivative 0 between its jumps, and says
so."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from dataflow import DtypeError, OpError, elementwise, op, sample
from dataflow.operations.engine_ops import abs_, where
from dataflow_ops.arithmetic import maximum, minimum
from dataflow_ops.logic import bitcast, bitwise_and, isnan


def _rounding(ufunc, doc, **more):
    """A ufunc whose result stays the same but for jumps, so that it has no derivative to follow."""
    return elementwise(
        ufunc, f"{doc} Its derivative is 0 wherever it has one.", operation="none", vjp=lambda g, y, x: None, **more
    )


JUMPS = "at its jumps there is no derivative; it is taken as 0, as everywhere else"

floor = _rounding(np.floor, "The largest whole number that is not above x, elementwise.", symbolic="floor")

ceil = _rounding(np.ceil, "The smallest whole number that is not below x, elementwise.", symbolic="ceiling")

trunc = _rounding(
    np.trunc,
    "x without what stands behind the point, elementwise.",
    symbolic=lambda sympy, x: sympy.Piecewise((sympy.ceiling(x), x < 0), (sympy.floor(x), True)),
)


def _symbolic_round(sympy, x):
    below = sympy.floor(x)
    twice = 2 * (x - below)
    tie = sympy.Piecewise((below, sympy.Eq(2 * sympy.floor(below / 2), below)), (below + 1, True))
    return sympy.Piecewise((below, twice < 1), (below + 1, twice > 1), (tie, True))


round_ = _rounding(
    np.rint,
    "The nearest whole number, elementwise; of two that are equally near the even one.",
    name="round_",
    symbolic=_symbolic_round,
)


@floor.kink(JUMPS, derivative=0)
def _(x):
    return x == floor(x)


@ceil.kink(JUMPS, derivative=0)
def _(x):
    return x == floor(x)


@trunc.kink(JUMPS, derivative=0)
def _(x):
    return (x == floor(x)) & (x != 0)


@round_.kink(JUMPS, derivative=0)
def _(x):
    return x - floor(x) == 0.5


@op(chooses=True)
def sign(x):
    """−1, 0 or 1 as x is below, at or above 0, elementwise. Its derivative is 0 wherever it has one."""
    return where(x > 0, 1, x if x.dtype.kind in "bu" else where(x < 0, -1, x))


@sign.vjp
def _(g, y, x):
    return None


@sign.kink(JUMPS, derivative=0)
def _(x):
    return x == 0


@sign.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)))


def _two(rng):
    """Dividends and divisors of either sign, no quotient of which is whole."""
    sides = rng.choice([-1, 1], size=(2, 3, 4))
    divisors = sides[0] * rng.uniform(0.5, 2, size=(3, 4))
    yield sample((rng.integers(-3, 3, size=(3, 4)) + rng.uniform(0.2, 0.8, size=(3, 4))) * divisors, divisors)


floor_divide = elementwise(
    np.floor_divide,
    "The largest whole number that is not above a / b, elementwise. Its derivatives are 0 wherever it has any.",
    operation="divisions",
    vjp=lambda g, y, a, b: (None, None),
    symbolic=lambda sympy, a, b: sympy.floor(a / b),
)

mod = elementwise(
    np.remainder,
    "What remains of a when it is divided by b, a − b · floor(a / b), elementwise, with the sign of b.",
    name="mod",
    operation="divisions",
    vjp=(lambda g, y, a, b: g, lambda g, y, a, b: -g * floor_divide(a, b)),
    symbolic=lambda sympy, a, b: a - b * sympy.floor(a / b),
)


fmod = elementwise(
    np.fmod,
    "What remains of a when it is divided by b, a − b · trunc(a / b), elementwise, with the sign of a.",
    operation="divisions",
    vjp=(lambda g, y, a, b: g, lambda g, y, a, b: -g * trunc(a / b)),
    symbolic=lambda sympy, a, b: a - b * trunc.symbolic_rule(sympy, a / b),
)


for _remainder in (floor_divide, mod, fmod):
    _remainder.samples(_two)

    @_remainder.kink(
        JUMPS if _remainder is floor_divide else "where b divides a it jumps; the derivatives are those beside"
    )
    def _(a, b):
        return floor_divide(a, b) * b == a


@op(chooses=True)
def clip(x, low=None, high=None):
    """x, but not below ``low`` and not above ``high``, elementwise; either may be left out, and ``high`` wins where low
    is above it. At a limit the gradient is shared equally between x and the limit."""
    above = x if low is None else maximum(x, low)
    return above if high is None else minimum(above, high)


clip.formula(clip.function)


@clip.kink("at a limit the gradient is shared equally between x and the limit")
def _(x, low, high):
    above = x if low is None else maximum(x, low)
    at_low = x != x if low is None else x == low
    return at_low if high is None else at_low | (above == high)


@clip.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), -0.5, 0.7)
    yield sample(rng.normal(size=(3, 4)), None, rng.uniform(0.2, 0.5, size=4))


# ------------------------------------------------------------------------------------------------ narrow floats

_EXPONENTS = {"float16": ("int16", 0x7C00), "float32": ("int32", 0x7F800000), "float64": ("int64", 0x7FF0 << 48)}
"""For each dtype the whole numbers of its width, and the bits that are its exponent."""


def _power_below(x):
    """The power of two that is not above |x|: its exponent alone, without sign and mantissa."""
    if x.dtype.name not in _EXPONENTS:
        raise DtypeError(f"floats are rounded so, not {x.dtype}; cast its input")
    whole, exponent = _EXPONENTS[x.dtype.name]
    return bitcast(bitwise_and(bitcast(x, dtype=whole), exponent), dtype=x.dtype.name)


def _constant_of(x):
    """x, without its derivative, as bits have none."""
    return bitcast(bitcast(x, dtype=_EXPONENTS[x.dtype.name][0]), dtype=x.dtype.name)


@op(hides_nan=True, chooses=True)
def round_to(
    x,
    *,
    mantissa: int,
    least: int,
    largest: float,
    beyond: Literal["largest", "infinite", "nan"] = "largest",
    nan: bool = True,
):
    """The nearest float of a narrower type, elementwise; of two that are equally near the even one. Its mantissa has so
    many bits behind the point, its normal numbers begin at 2 to the power ``least``, and none is above ``largest``,
    beyond which its largest number, infinity or NaN stands. Without ``nan`` the type has no NaN, and 0 in its place.
    The derivative is taken as that of x itself; beyond the largest it is 0."""
    if not (0 <= mantissa <= 52 and -1074 <= least <= 1023 and largest >= 0):
        raise OpError("the mantissa is from 0 to 52, least from -1074 to 1023, and largest not below 0")
    power = maximum(_power_below(x), 2.0**least)
    nearest = round_(x / power * 2.0**mantissa) * 2.0**-mantissa * power  # never below normal numbers: some make them 0
    inside = abs_(nearest) <= largest
    limit = {"largest": largest, "infinite": math.inf, "nan": math.nan}[beyond]
    outside = where(x < 0, -limit, where(isnan(x), x, limit))
    outside = outside if nan else where(isnan(x), 0, outside)
    return where(inside, nearest - (_constant_of(x) - x), outside)  # in this order -0 stays


@round_to.kink("beyond the largest number the derivative is 0, elsewhere it is taken as if nothing were rounded")
def _(x, *, largest):
    return abs_(x) == largest


@round_to.samples
def _(rng):
    """So fine that finite differences do not see the steps."""
    yield sample(rng.normal(size=(3, 4)), mantissa=45, least=-100, largest=3.5)
    yield sample(rng.uniform(4, 5, size=3), mantissa=44, least=-100, largest=3.5)


@op(chooses=True)
def round_to_power(x, *, mode: Literal["up", "down", "nearest"] = "nearest"):
    """A power of two from 2⁻¹²⁷ to 2¹²⁷, elementwise, for numbers that are not below 0: the next one up or down, or the
    nearest, of two that are equally near the larger. Its derivative is 0 wherever it has one."""
    below = maximum(_power_below(x), 2.0**-127)
    least = {"up": below, "down": math.inf, "nearest": below * 1.5}[mode]
    higher = x > least if mode == "up" else x >= least
    return where(isnan(x), x, minimum(where(higher, 2 * below, below), 2.0**127))


@round_to_power.kink(JUMPS, derivative=0)
def _(x):
    below = _power_below(x)
    return (abs_(x) == below) | (x == 1.5 * below)


@round_to_power.samples
def _(rng):
    for mode in ("up", "down", "nearest"):
        yield sample(rng.uniform(0.5, 9, size=(2, 3)), mode=mode)
