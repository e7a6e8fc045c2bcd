"""Activations made of exponentials and of the error function, each a composite of simpler ops with its derivative
beside it."""

from __future__ import annotations

import math
from typing import Literal

from dataflow import op, sample
from dataflow.operations.engine_ops import abs_, where
from dataflow_nn.activations import sigmoid
from dataflow_ops.arithmetic import exp, maximum, minimum, tanh
from dataflow_ops.functions import erfc, expm1, log1p

SETTLED = 1e3
"""Beyond this, exponentials have long become 0, and so has what they are a factor of."""


def _bounded(x):
    """x, whose infinities would make NaN of 0 · ∞."""
    return minimum(maximum(x, -SETTLED), SETTLED)


@op
def silu(x):
    """x · sigmoid(x), elementwise, also called swish (Elfwing, Uchibe and Doya, 2017)."""
    return maximum(x, -SETTLED) * sigmoid(x)


@silu.formula
def _(x):
    return x * sigmoid(x)


@silu.symbolic
def _(sympy, x):
    return x / (1 + sympy.exp(-x))


@silu.vjp
def _(g, y, x):
    share = sigmoid(x)
    return g * (share + _bounded(x) * share * (1 - share))


@op
def gelu(x, *, approximate: Literal["none", "tanh"] = "none"):
    """x · Φ(x), elementwise, with Φ the normal distribution's (Hendrycks and Gimpel, 2016); with "tanh" its
    approximation x · ½ (1 + tanh(√(2/π) (x + 0.044715 x³)))."""
    if approximate == "none":
        return maximum(x, -SETTLED) * (0.5 * erfc(x * -math.sqrt(0.5)))
    inner = _bounded(x)
    return maximum(x, -SETTLED) * (
        0.5 + 0.5 * tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner * inner * inner))
    )


@gelu.symbolic
def _(sympy, x, *, approximate):
    if approximate == "none":
        return x * sympy.erfc(-x / sympy.sqrt(2)) / 2
    return x * (1 + sympy.tanh(sympy.sqrt(2 / sympy.pi) * (x + 0.044715 * x**3))) / 2


@gelu.vjp
def _(g, y, x, *, approximate):
    inner = _bounded(x)
    if approximate == "none":
        density = exp(-0.5 * inner * inner) * (1 / math.sqrt(2 * math.pi))
        return g * (0.5 * erfc(x * -math.sqrt(0.5)) + inner * density)
    root = math.sqrt(2 / math.pi)
    t = tanh(root * (inner + 0.044715 * inner * inner * inner))
    slope = root * (1 + 3 * 0.044715 * inner * inner)
    return g * (0.5 + 0.5 * t + 0.5 * inner * (1 - t * t) * slope)


@gelu.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), approximate="tanh")


@op
def softplus(x):
    """log(1 + eˣ), elementwise; written so that no exponential overflows."""
    return maximum(x, 0) + log1p(exp(-abs_(x)))


@softplus.symbolic
def _(sympy, x):
    return sympy.log(1 + sympy.exp(x))


@softplus.vjp
def _(g, y, x):
    return g * sigmoid(x)


@op
def softsign(x):
    """x / (1 + |x|), elementwise."""
    inner = minimum(maximum(x, -1e30), 1e30)
    return inner / (1 + abs_(inner))


@softsign.formula
def _(x):
    return x / (1 + abs_(x))


@softsign.symbolic
def _(sympy, x):
    return x / (1 + sympy.Abs(x))


@softsign.vjp
def _(g, y, x):
    return g / (1 + abs_(x)) / (1 + abs_(x))


@op
def mish(x):
    """x · tanh(softplus(x)), elementwise (Misra, 2019)."""
    return maximum(x, -SETTLED) * tanh(softplus(x))


@mish.formula
def _(x):
    return x * tanh(softplus(x))


@mish.symbolic
def _(sympy, x):
    return x * sympy.tanh(sympy.log(1 + sympy.exp(x)))


@mish.vjp
def _(g, y, x):
    t = tanh(softplus(x))
    return g * (t + _bounded(x) * (1 - t * t) * sigmoid(x))


@op
def elu(x, *, alpha: float = 1.0):
    """x above 0, alpha (eˣ − 1) below, elementwise (Clevert, Unterthiner and Hochreiter, 2015)."""
    return where(x > 0, x, alpha * expm1(minimum(x, 0)))


@elu.symbolic
def _(sympy, x, *, alpha):
    return sympy.Piecewise((x, x > 0), (alpha * (sympy.exp(x) - 1), True))


@elu.vjp
def _(g, y, x, *, alpha):
    return where(x > 0, g, g * (alpha * exp(minimum(x, 0))))


@elu.kink("the derivative at 0 is taken as alpha")
def _(x, *, alpha):
    return (x == 0) & (alpha != 1)


@op
def celu(x, *, alpha: float = 1.0):
    """x above 0, alpha (e^(x/alpha) − 1) below, elementwise (Barron, 2017)."""
    return where(x > 0, x, alpha * expm1(minimum(x, 0) / alpha))


@celu.symbolic
def _(sympy, x, *, alpha):
    return sympy.Piecewise((x, x > 0), (alpha * (sympy.exp(x / alpha) - 1), True))


@celu.vjp
def _(g, y, x, *, alpha):
    return where(x > 0, g, g * exp(minimum(x, 0) / alpha))


SCALE, SLOPE = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
"""With these, selu keeps a mean of 0 and a variance of 1 (Klambauer et al., 2017, "Self-normalizing neural
networks")."""


@op
def selu(x):
    """λ x above 0, λ α (eˣ − 1) below, elementwise, with λ = 1.0507... and α = 1.6732... (Klambauer et al., 2017)."""
    return SCALE * where(x > 0, x, SLOPE * expm1(minimum(x, 0)))


@selu.symbolic
def _(sympy, x):
    return SCALE * sympy.Piecewise((x, x > 0), (SLOPE * (sympy.exp(x) - 1), True))


@selu.vjp
def _(g, y, x):
    return g * (SCALE * where(x > 0, 1, SLOPE * exp(minimum(x, 0))))


@selu.kink("the derivative at 0 is taken as that from below, λ α", derivative=SCALE * SLOPE)
def _(x):
    return x == 0


for _exponential in (elu, celu):

    @_exponential.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)), alpha=0.7)
