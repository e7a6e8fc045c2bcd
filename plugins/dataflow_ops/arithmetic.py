"""Elementwise arithmetic and functions. All broadcast; the engine sums a cotangent over the axes that were
broadcast."""

from __future__ import annotations

import numpy as np

from dataflow import primitive, sample
from dataflow_ops.kernels import chosen_into


@primitive(elementwise=True, operation="additions", ufunc=np.add)
def add(a, b):
    """Sum, a + b, elementwise."""
    return np.add(a, b)


@add.vjp
def _(g, y, a, b):
    return g, g


@primitive(elementwise=True, operation="additions", ufunc=np.subtract)
def subtract(a, b):
    """Difference, a − b, elementwise."""
    return np.subtract(a, b)


@subtract.vjp(wrt="a")
def _(g, y, a, b):
    return g


@subtract.vjp(wrt="b")
def _(g, y, a, b):
    return -g


@primitive(elementwise=True, operation="multiplications", ufunc=np.multiply)
def multiply(a, b):
    """Product, a · b, elementwise."""
    return np.multiply(a, b)


@multiply.vjp(wrt="a")
def _(g, y, a, b):
    return g * b


@multiply.vjp(wrt="b")
def _(g, y, a, b):
    return g * a


@primitive(elementwise=True, operation="divisions", ufunc=np.true_divide)
def divide(a, b):
    """Quotient, a / b, elementwise; always a float."""
    return np.true_divide(a, b)


@divide.vjp(wrt="a")
def _(g, y, a, b):
    return g / b


@divide.vjp(wrt="b")
def _(g, y, a, b):
    return -g * y / b


@divide.samples
def _(rng):
    for left, right in (((3, 4), (3, 4)), ((2, 1, 4), (3, 1)), ((), (5,))):
        yield sample(rng.normal(size=left), rng.uniform(0.5, 2, size=right) * rng.choice([-1, 1], size=right))


@primitive(elementwise=True, operation="signs", ufunc=np.negative)
def negative(x):
    """−x, elementwise."""
    return np.negative(x)


@negative.vjp
def _(g, y, x):
    return -g


@primitive(elementwise=True, operation="functions", ufunc=np.power)
def power(a, b):
    """a to the power b, elementwise. d/da is b · a^(b−1), which is 0 where b is 0; d/db is y · log a, 0 where a is
    0."""
    return np.power(a, b)


@power.vjp(wrt="a")
def _(g, y, a, b):
    if isinstance(b, (int, float)):
        return None if b == 0 else g if b == 1 else g * (b * a) if b == 2 else g * (b * a ** (b - 1))
    return g * where(b == 0, 0, b * a ** where(b == 0, 1, b - 1))


@power.vjp(wrt="b")
def _(g, y, a, b):
    return g * y * log(where(a == 0, 1, a))


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


@primitive(elementwise=True, operation="functions", ufunc=np.exp)
def exp(x):
    """Exponential, eˣ, elementwise."""
    return np.exp(x)


@exp.symbolic
def _(sympy, x):
    return sympy.exp(x)


@exp.vjp
def _(g, y, x):
    return g * y


@primitive(elementwise=True, operation="functions", ufunc=np.log)
def log(x):
    """Natural logarithm, elementwise; NaN for x < 0 and −∞ at 0."""
    return np.log(x)


@log.symbolic
def _(sympy, x):
    return sympy.log(x)


@log.vjp
def _(g, y, x):
    return g / x


@log.samples
def _(rng):
    yield sample(rng.uniform(0.2, 3, size=(3, 4)))


@primitive(elementwise=True, operation="functions", ufunc=np.sqrt)
def sqrt(x):
    """Square root, elementwise; NaN for x < 0. Its derivative at 0 is infinite."""
    return np.sqrt(x)


@sqrt.symbolic
def _(sympy, x):
    return sympy.sqrt(x)


@sqrt.vjp
def _(g, y, x):
    return g * 0.5 / y


@sqrt.kink("the derivative at 0 is infinite")
def _(x):
    return x == 0


@sqrt.samples
def _(rng):
    yield sample(rng.uniform(0.2, 3, size=(3, 4)))


@primitive(elementwise=True, operation="signs", ufunc=np.absolute)
def abs_(x):
    """Absolute value, |x|, elementwise. Its derivative at 0 is 0."""
    return np.abs(x)


@abs_.symbolic
def _(sympy, x):
    return sympy.Abs(x)


@abs_.vjp
def _(g, y, x):
    return where(x > 0, g, where(x < 0, -g, 0))


@abs_.kink("the derivative at 0 is taken as 0", derivative=0)
def _(x):
    return x == 0


@primitive(elementwise=True, operation="functions", ufunc=np.tanh)
def tanh(x):
    """Hyperbolic tangent, elementwise."""
    return np.tanh(x)


@tanh.symbolic
def _(sympy, x):
    return sympy.tanh(x)


@tanh.vjp
def _(g, y, x):
    return g * (1 - y * y)


@primitive(elementwise=True, operation="functions", ufunc=np.sin)
def sin(x):
    """Sine of x in radians, elementwise."""
    return np.sin(x)


@sin.symbolic
def _(sympy, x):
    return sympy.sin(x)


@sin.vjp
def _(g, y, x):
    return g * cos(x)


@primitive(elementwise=True, operation="functions", ufunc=np.cos)
def cos(x):
    """Cosine of x in radians, elementwise."""
    return np.cos(x)


@cos.symbolic
def _(sympy, x):
    return sympy.cos(x)


@cos.vjp
def _(g, y, x):
    return -g * sin(x)


@primitive(elementwise=True, operation="comparisons", ufunc=np.maximum)
def maximum(a, b):
    """The larger of a and b, elementwise. At a tie the gradient is shared equally."""
    return np.maximum(a, b)


@maximum.symbolic
def _(sympy, a, b):
    return sympy.Max(a, b)


@maximum.vjp(wrt="a")
def _(g, y, a, b):
    return where(a > b, g, where(a == b, 0.5 * g, 0))


@maximum.vjp(wrt="b")
def _(g, y, a, b):
    return where(b > a, g, where(a == b, 0.5 * g, 0))


@maximum.kink("at a tie the gradient is shared equally")
def _(a, b):
    return a == b


@primitive(elementwise=True, operation="comparisons", ufunc=np.minimum)
def minimum(a, b):
    """The smaller of a and b, elementwise. At a tie the gradient is shared equally."""
    return np.minimum(a, b)


@minimum.symbolic
def _(sympy, a, b):
    return sympy.Min(a, b)


@minimum.vjp(wrt="a")
def _(g, y, a, b):
    return where(a < b, g, where(a == b, 0.5 * g, 0))


@minimum.vjp(wrt="b")
def _(g, y, a, b):
    return where(b < a, g, where(a == b, 0.5 * g, 0))


@minimum.kink("at a tie the gradient is shared equally")
def _(a, b):
    return a == b


@primitive(elementwise=True, operation="none")
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


@primitive(elementwise=True, operation="none", view="always")
def identity(x):
    """x itself; what gives a value a second name."""
    return np.asarray(x)


@identity.vjp
def _(g, y, x):
    return g
