"""Activations made of pieces of lines, each a composite of simpler ops with its derivative beside it."""

from __future__ import annotations

from dataflow import op
from dataflow.operations.engine_ops import abs_, cast, masked, where
from dataflow_nn.losses import fitted
from dataflow_ops.arithmetic import maximum, minimum
from dataflow_ops.cumulative import positions
from dataflow_ops.reductions import max_, sum_
from dataflow_ops.statistics import argmax


@op(chooses=True)
def leaky_relu(x, *, slope: float = 0.01):
    """x above 0, slope · x below, elementwise. Its derivative at 0 is the slope."""
    return where(x > 0, x, slope * x)


@leaky_relu.symbolic
def _(sympy, x, *, slope):
    return sympy.Piecewise((x, x > 0), (slope * x, True))


@leaky_relu.vjp
def _(g, y, x, *, slope):
    return masked(g, x > 0, x) + masked(slope * g, x <= 0, x)


@leaky_relu.kink("the derivative at 0 is taken as the slope")
def _(x):
    return x == 0


@op(chooses=True)
def prelu(x, slope):
    """x above 0, slope · x below, elementwise; the slope, which broadcasts, is learned (He et al., 2015). The
    derivative with respect to x at 0 is the slope."""
    return where(x > 0, x, slope * x)


@prelu.kink("the derivative with respect to x at 0 is taken as the slope")
def _(x, slope):
    return (x == 0) & (slope == slope)


@prelu.vjp(wrt="x")
def _(g, y, x, slope):
    return fitted(masked(g, x > 0, x) + g * masked(slope, x <= 0, x), x)


@prelu.vjp(wrt="slope")
def _(g, y, x, slope):
    return fitted(g * minimum(x, 0), slope)


@op(chooses=True)
def thresholded_relu(x, *, alpha: float = 1.0):
    """x above alpha, else 0, elementwise. Its derivative at alpha is 0."""
    return masked(x, x > alpha, x)


@thresholded_relu.vjp
def _(g, y, x, *, alpha):
    return masked(g, x > alpha, x)


@thresholded_relu.kink("the derivative at alpha, where it jumps unless alpha is 0, is taken as 0", derivative=0)
def _(x, *, alpha):
    return x == alpha


@op
def hard_sigmoid(x, *, slope: float = 1 / 6, offset: float = 0.5):
    """slope · x + offset, but not below 0 and not above 1, elementwise. Its derivative at both ends is 0."""
    return minimum(maximum(slope * x + offset, 0), 1)


@hard_sigmoid.vjp
def _(g, y, x, *, slope, offset):
    return masked(masked(slope * g, y > 0, y), y < 1, y)


@hard_sigmoid.kink("the derivative at both ends is taken as 0", derivative=0)
def _(x, *, slope, offset):
    line = slope * x + offset
    return (line == 0) | (line == 1)


@op
def hard_swish(x):
    """x · hard_sigmoid(x), elementwise: 0 below −3, x above 3 (Howard et al., 2019). Its derivative at −3 is 0, at 3 it
    is 1."""
    return maximum(x, -3.0) * hard_sigmoid(x)


@hard_swish.formula
def _(x):
    return x * hard_sigmoid(x)


@hard_swish.vjp
def _(g, y, x):
    return where(x >= 3, g, masked(g * (minimum(maximum(x, -3), 3) * (1 / 3) + 0.5), x > -3, x))


@hard_swish.kink("the derivative is taken as 0 at −3 and as 1 at 3")
def _(x):
    return abs_(x) == 3


@op(chooses=True)
def shrink(x, *, threshold: float = 0.5, bias: float = 0.0):
    """x brought nearer to 0 by bias where it is farther from 0 than the threshold, else 0, elementwise: the hard
    shrinkage with a bias of 0, the soft one with the threshold as bias. Its derivative at the threshold is 0."""
    return masked(x + bias, x < -threshold, x) + masked(x - bias, x > threshold, x)


@shrink.vjp
def _(g, y, x, *, threshold):
    return masked(g, abs_(x) > threshold, x)


@shrink.kink("the derivative at the threshold is taken as 0", derivative=0)
def _(x, *, threshold):
    return abs_(x) == threshold


@op(over_one_entry=1, hides_nan=True)
def hardmax(x, *, axis: int = -1):
    """1 for the largest entry along an axis, the first of equal ones, 0 for the others. Its derivative is 0 wherever it
    has one."""
    return cast(positions(x, axis=axis) == argmax(x, axis=axis, keepdims=True), dtype=x.dtype.name)


@hardmax.vjp
def _(g, y, x):
    return None


@hardmax.kink("where several entries are largest the derivative is taken as 0")
def _(x, *, axis):
    return sum_(x == max_(x, axis=axis, keepdims=True), axis=axis, keepdims=True) > 1
