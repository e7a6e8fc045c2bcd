"""Elementwise functions, and the larger and the smaller of two. All broadcast."""

from __future__ import annotations

import numpy as np

from dataflow import elementwise
from dataflow.operations.engine_ops import masked, where

exp = elementwise(np.exp, "Exponential, eˣ, elementwise.", vjp=lambda g, y, x: g * y, symbolic="exp")

sqrt = elementwise(
    np.sqrt,
    "Square root, elementwise; NaN for x < 0. Its derivative at 0 is infinite.",
    vjp=lambda g, y, x: g * 0.5 / y,
    symbolic="sqrt",
    domain=(0.2, 3),
)


@sqrt.kink("the derivative at 0 is infinite")
def _(x):
    return x == 0


tanh = elementwise(np.tanh, "Hyperbolic tangent, elementwise.", vjp=lambda g, y, x: g * (1 - y * y), symbolic="tanh")

sin = elementwise(np.sin, "Sine of x in radians, elementwise.", vjp=lambda g, y, x: g * cos(x), symbolic="sin")

cos = elementwise(np.cos, "Cosine of x in radians, elementwise.", vjp=lambda g, y, x: -g * sin(x), symbolic="cos")

maximum = elementwise(
    np.maximum,
    "The larger of a and b, elementwise. At a tie the gradient is shared equally.",
    operation="comparisons",
    symbolic="Max",
    chooses=True,
    vjp=(
        lambda g, y, a, b: masked(where(a == b, 0.5 * g, g), a >= b, y),
        lambda g, y, a, b: masked(where(a == b, 0.5 * g, g), b >= a, y),
    ),
)


maximum.formula("max")


@maximum.kink("at a tie the gradient is shared equally")
def _(a, b):
    return a == b


minimum = elementwise(
    np.minimum,
    "The smaller of a and b, elementwise. At a tie the gradient is shared equally.",
    operation="comparisons",
    symbolic="Min",
    chooses=True,
    vjp=(
        lambda g, y, a, b: masked(where(a == b, 0.5 * g, g), a <= b, y),
        lambda g, y, a, b: masked(where(a == b, 0.5 * g, g), b <= a, y),
    ),
)


minimum.formula("min")


@minimum.kink("at a tie the gradient is shared equally")
def _(a, b):
    return a == b
