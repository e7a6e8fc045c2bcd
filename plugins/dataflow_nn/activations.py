"""Activations, each a composite of simpler ops with its derivative beside it."""

from __future__ import annotations

import math

from dataflow import op
from dataflow.operations.engine_ops import abs_, log, masked, where
from dataflow_ops.arithmetic import exp, maximum
from dataflow_ops.reductions import max_, sum_


@op(chooses=True)
def relu(x):
    """Rectified linear unit, max(x, 0), elementwise. Its derivative at 0 is 0."""
    return maximum(x, 0)


@relu.symbolic
def _(sympy, x):
    return sympy.Piecewise((x, x > 0), (0, True))


@relu.vjp
def _(g, y, x):
    return masked(g, x > 0, x)


@relu.kink("the derivative at 0 is taken as 0", derivative=0)
def _(x):
    return x == 0


@op
def sigmoid(x):
    """Logistic function, 1 / (1 + e⁻ˣ), elementwise; written so that no exponential overflows."""
    raised = exp(-abs_(x))
    return where(x < 0, raised, 1) / (1 + raised)


sigmoid.formula("σ")


@sigmoid.symbolic
def _(sympy, x):
    return 1 / (1 + sympy.exp(-x))


@sigmoid.vjp
def _(g, y, x):
    return g * y * (1 - y)


@op(over_one_entry=1)
def softmax(x, *, axis: int = -1):
    """eˣ divided by its sum along an axis; the largest x is subtracted first, which changes nothing but overflow. Where
    all x are −∞ it is NaN, and its derivative is taken as 0."""
    raised = exp(x - max_(x, axis=axis, keepdims=True))
    return raised / sum_(raised, axis=axis, keepdims=True)


@softmax.vjp
def _(g, y, x, *, axis):
    return _where_possible(y * (g - sum_(g * y, axis=axis, keepdims=True)), x, axis)


def _where_possible(share, x, axis):
    """A cotangent of x, and 0 where all x along an axis are −∞: whoever masks so has the result replaced, and no step
    changes it."""
    top = max_(x, axis=axis, keepdims=True)
    return masked(share, top > -math.inf, top)


@op(over_one_entry=0)
def log_softmax(x, *, axis: int = -1):
    """The logarithm of softmax along an axis, exact also where softmax underflows. Where all x are −∞ it is NaN, and
    its derivative is taken as 0."""
    shifted = x - max_(x, axis=axis, keepdims=True)
    return shifted - log(sum_(exp(shifted), axis=axis, keepdims=True))


@log_softmax.formula
def _(x, *, axis):
    return log(softmax(x, axis=axis))


@log_softmax.vjp
def _(g, y, x, *, axis):
    return _where_possible(g - exp(y) * sum_(g, axis=axis, keepdims=True), x, axis)
