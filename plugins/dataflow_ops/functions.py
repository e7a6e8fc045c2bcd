"""Elementary functions, the error function, and the reciprocal. All work entry by entry."""

from __future__ import annotations

import math

import numpy as np

from dataflow import elementwise, op, primitive, sample
from dataflow_ops.arithmetic import exp, sqrt

expm1 = elementwise(
    np.expm1,
    "eˣ − 1, elementwise, exact near 0 too.",
    vjp=lambda g, y, x: g * exp(x),
    symbolic=lambda sympy, x: sympy.exp(x) - 1,
)

log1p = elementwise(
    np.log1p,
    "log(1 + x), elementwise, exact near 0 too; NaN for x < −1 and −∞ at −1.",
    vjp=lambda g, y, x: g / (1 + x),
    symbolic=lambda sympy, x: sympy.log(1 + x),
    domain=(-0.5, 3),
)

tan = elementwise(
    np.tan, "Tangent of x in radians, elementwise.", vjp=lambda g, y, x: g * (1 + y * y), symbolic="tan", domain=(-1, 1)
)

asin = elementwise(
    np.arcsin,
    "Inverse sine in radians, between −π/2 and π/2, elementwise; NaN beyond ±1. Its derivative at ±1 is infinite.",
    name="asin",
    vjp=lambda g, y, x: g / sqrt((1 - x) * (1 + x)),
    symbolic="asin",
    domain=(-0.9, 0.9),
)

acos = elementwise(
    np.arccos,
    "Inverse cosine in radians, between 0 and π, elementwise; NaN beyond ±1. Its derivative at ±1 is infinite.",
    name="acos",
    vjp=lambda g, y, x: -g / sqrt((1 - x) * (1 + x)),
    symbolic="acos",
    domain=(-0.9, 0.9),
)

atan = elementwise(
    np.arctan,
    "Inverse tangent in radians, between −π/2 and π/2, elementwise.",
    name="atan",
    vjp=lambda g, y, x: g / (1 + x * x),
    symbolic="atan",
)

sinh = elementwise(
    np.sinh, "Hyperbolic sine, (eˣ − e⁻ˣ)/2, elementwise.", vjp=lambda g, y, x: g * cosh(x), symbolic="sinh"
)

cosh = elementwise(
    np.cosh, "Hyperbolic cosine, (eˣ + e⁻ˣ)/2, elementwise.", vjp=lambda g, y, x: g * sinh(x), symbolic="cosh"
)

asinh = elementwise(
    np.arcsinh,
    "Inverse hyperbolic sine, elementwise.",
    name="asinh",
    vjp=lambda g, y, x: g / sqrt(x * x + 1),
    symbolic="asinh",
)

acosh = elementwise(
    np.arccosh,
    "Inverse hyperbolic cosine, 0 or more, elementwise; NaN for x < 1. Its derivative at 1 is infinite.",
    name="acosh",
    vjp=lambda g, y, x: g / sqrt((x - 1) * (x + 1)),
    symbolic="acosh",
    domain=(1.2, 3),
)

atanh = elementwise(
    np.arctanh,
    "Inverse hyperbolic tangent, elementwise; NaN beyond ±1, infinite at ±1.",
    name="atanh",
    vjp=lambda g, y, x: g / ((1 - x) * (1 + x)),
    symbolic="atanh",
    domain=(-0.8, 0.8),
)


@op
def reciprocal(x):
    """1 / x, elementwise; always a float. At 0 it is infinite."""
    return 1 / x


reciprocal.formula(reciprocal.function)


@reciprocal.vjp
def _(g, y, x):
    return -g * y * y


@reciprocal.samples
def _(rng):
    yield sample(rng.uniform(0.5, 2, size=(3, 4)) * rng.choice([-1, 1], size=(3, 4)))


asin.formula("arcsin")
acos.formula("arccos")
atan.formula("arctan")


@asin.kink("the derivative at ±1 is infinite")
def _(x):
    return (x == 1) | (x == -1)


@acos.kink("the derivative at ±1 is infinite")
def _(x):
    return (x == 1) | (x == -1)


@acosh.kink("the derivative at 1 is infinite")
def _(x):
    return x == 1


@primitive(elementwise=True, operation="functions")
def erf(x):
    """The error function, 2/√π · ∫₀ˣ e^(−t²) dt, elementwise."""
    return _each(x, math.erf, "erf")


@erf.vjp
def _(g, y, x):
    return g * (2 / math.sqrt(math.pi)) * exp(-x * x)


@erf.symbolic
def _(sympy, x):
    return sympy.erf(x)


@primitive(elementwise=True, operation="functions")
def erfc(x):
    """1 − erf(x), elementwise, exact also where erf is nearly 1."""
    return _each(x, math.erfc, "erfc")


@erfc.vjp
def _(g, y, x):
    return g * (-2 / math.sqrt(math.pi)) * exp(-x * x)


@erfc.symbolic
def _(sympy, x):
    return sympy.erfc(x)


def _each(x, function, name):
    """A function of the standard library applied to every entry; numpy has none of that name. Entries that are objects
    have a method of that name."""
    entries = np.asarray(x)
    if entries.dtype == object:
        return np.frompyfunc(lambda entry: getattr(entry, name)(), 1, 1)(entries)
    values = np.fromiter(map(function, entries.reshape(-1).tolist()), np.float64, entries.size)
    return values.reshape(entries.shape).astype(entries.dtype if entries.dtype.kind == "f" else np.float64)
