"""Elementwise arithmetic and functions. All broadcast; the engine sums a cotangent over the axes that were
broadcast."""

from __future__ import annotations

import numpy as np

from dataflow.operations.declare_ops import primitive
from dataflow.operations.elementwise import elementwise
from dataflow.operations.engine_ops.comparison_ops import cast
from dataflow.operations.engine_ops.into_kernels import chosen_into, masked_into
from dataflow.operations.op_rules import sample

add = elementwise(np.add, "Sum, a + b, elementwise.", operation="additions", vjp=lambda g, y, a, b: (g, g))

subtract = elementwise(
    np.subtract,
    "Difference, a − b, elementwise.",
    operation="additions",
    vjp=(lambda g, y, a, b: g, lambda g, y, a, b: -g),
)

multiply = elementwise(
    np.multiply,
    "Product, a · b, elementwise.",
    operation="multiplications",
    vjp=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
)

divide = elementwise(
    np.true_divide,
    "Quotient, a / b, elementwise; always a float.",
    name="divide",
    operation="divisions",
    vjp=(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
)


@divide.samples
def _(rng):
    for left, right in (((3, 4), (3, 4)), ((2, 1, 4), (3, 1)), ((), (5,))):
        yield sample(rng.normal(size=left), rng.uniform(0.5, 2, size=right) * rng.choice([-1, 1], size=right))


negative = elementwise(np.negative, "−x, elementwise.", operation="signs", vjp=lambda g, y, x: -g)


@primitive(elementwise=True, operation="functions", ufunc=np.power)
def power(a, b):
    """a to the power b, elementwise. d/da is b · a^(b−1), which is 0 where b is 0; d/db is y · log a, 0 where a is
    0."""
    return np.power(a, b)


@power.vjp(wrt="a")
def _(g, y, a, b):
    if isinstance(b, (int, float)):
        return None if b == 0 else g if b == 1 else g * (b * a) if b == 2 else g * (b * a ** (b - 1))
    if b.dtype.kind == "f" and b.dtype != y.dtype:
        b = cast(b, dtype=y.dtype.name)  # b - 1 is rounded in its own dtype, which may be the narrower one
    return g * where(b == 0, 0, b * a ** where(b == 0, 1, b - 1))


@power.vjp(wrt="b")
def _(g, y, a, b):
    # not y, which is infinite at 0 to a negative power; the logarithm is that of the wider dtype
    base = a if isinstance(a, (int, float)) or a.dtype == y.dtype else cast(a, dtype=y.dtype.name)
    return g * where(a == 0, 0, y) * log(where(a == 0, 1, base))


@power.kink("at 0 to a power below 1 the derivative is infinite; 0 to the power 0 is 1, its derivatives are taken as 0")
def _(a, b):
    return (a == 0) & (b < 1)


@power.samples
def _(rng):
    yield sample(rng.uniform(0.5, 2, size=(3, 4)), rng.normal(size=(3, 4)))
    yield sample(rng.uniform(0.5, 2, size=(3, 1)), rng.normal(size=4))
    yield sample(rng.normal(size=(3, 4)), 2)
    yield sample(rng.normal(size=4), 3)
    yield sample(rng.uniform(0.5, 2, size=4), -1.5)


log = elementwise(
    np.log,
    "Natural logarithm, elementwise; NaN for x < 0 and −∞ at 0.",
    vjp=lambda g, y, x: g / x,
    symbolic="log",
    domain=(0.2, 3),
)

abs_ = elementwise(
    np.absolute,
    "Absolute value, |x|, elementwise. Its derivative at 0 is 0.",
    name="abs_",
    operation="signs",
    symbolic="Abs",
    vjp=lambda g, y, x: masked(g, x > 0, x) - masked(g, x < 0, x),
)


@abs_.kink("the derivative at 0 is taken as 0", derivative=0)
def _(x):
    return x == 0


@primitive(elementwise=True, operation="none", chooses=True)
def where(condition, a, b):
    """a where the condition holds, else b, elementwise. The condition has no derivative."""
    return np.where(condition, a, b)


@where.into
def _(out, condition, a, b):
    return chosen_into(out, condition, a, b)


@where.symbolic
def _(sympy, condition, a, b):
    return sympy.Piecewise((a, condition), (b, True))


@where.vjp(wrt="condition")
def _(g, y, condition, a, b):
    return None


@where.vjp(wrt="a")
def _(g, y, condition, a, b):
    return where(condition, g, 0)


@where.vjp(wrt="b")
def _(g, y, condition, a, b):
    return where(condition, 0, g)


@where.samples
def _(rng):
    yield sample(rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)), rng.normal(size=4))
    yield sample(rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)), 0)
    yield sample(rng.random(4) < 0.5, 1.5, rng.normal(size=(3, 4)))


@primitive(elementwise=True, operation="none")
def masked(x, keep, source):
    """x where keep holds, else 0, and NaN where the source is NaN, elementwise. The source is what keep was found by: a
    comparison with NaN does not hold, and 0 for it would hide that nothing is known."""
    known = np.logical_not(np.isnan(np.asarray(source, np.float64)))
    chosen = np.where(known, np.where(keep, x, 0), source)
    return chosen.astype(np.result_type(x, source))  # of the numbers themselves: chosen from, they count as float64


@masked.into
def _(out, x, keep, source):
    return masked_into(masked.function, out, x, keep, source)


@masked.symbolic
def _(sympy, x, keep, source):
    return sympy.Piecewise((x, keep), (0, True))


@masked.vjp
def _(g, y, x, keep, source):
    return masked(g, keep, source), None, None


@masked.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), rng.random(4) < 0.5, rng.normal(size=(3, 1)))
    yield sample(1.5, rng.random(4) < 0.5, rng.normal(size=(3, 4)))


@primitive(elementwise=True, operation="none", view="always")
def identity(x):
    """x itself; what gives a value a second name."""
    return np.asarray(x)


@identity.vjp
def _(g, y, x):
    return g
