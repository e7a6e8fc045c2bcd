"""Ops that are not what they say, each with one fault that plugin authors make."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import dataflow
from dataflow import Op, op, primitive, sample
from dataflow.ops import cos, exp, matmul, mean, sin, where
from dataflow.ops import sum as sum_


def wrong_vjp() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Sine."""
        return np.sin(x)

    @faulty.vjp
    def _(g, y, x):
        return -g * exp(0 * x) * y

    return faulty


def forgotten_factor() -> Op:
    @op
    def faulty(x):
        """Square."""
        return x * x

    @faulty.vjp
    def _(g, y, x):
        return g * x

    return faulty


def missing_minus() -> Op:
    @primitive(elementwise=True)
    def faulty(a, b):
        """Difference."""
        return np.subtract(a, b)

    @faulty.vjp
    def _(g, y, a, b):
        return g, g

    return faulty


def wrong_shape_rule() -> Op:
    @primitive
    def faulty(x):
        """The first row."""
        return x[0]

    @faulty.shape
    def _(x):
        return x.shape

    @faulty.vjp
    def _(g, y, x):
        return dataflow.ops.place(g, key="0", shape=x.shape)

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))

    return faulty


def forgotten_broadcast() -> Op:
    @primitive
    def faulty(a, b):
        """Sum that broadcasts."""
        return a + b

    @faulty.shape
    def _(a, b):
        return dataflow.broadcast_shapes(a.shape, b.shape)

    @faulty.vjp
    def _(g, y, a, b):
        return g, g

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)), rng.normal(size=4))

    return faulty


def changed_input() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Twice x, at the price of x."""
        x = np.asarray(x)
        if x.flags.writeable:
            x *= 2
            return x
        return 2 * x

    @faulty.vjp
    def _(g, y, x):
        return 2 * g

    return faulty


def undeclared_kink() -> Op:
    @op
    def faulty(x):
        """relu without its kink."""
        return where(x > 0, x, 0)

    @faulty.vjp
    def _(g, y, x):
        return where(x > 0, g, 0)

    return faulty


def stale_value() -> Op:
    seen = []

    @primitive(elementwise=True)
    def faulty(x):
        """Exponential that remembers its last result."""
        seen.append(np.exp(x))
        return np.exp(x)

    @faulty.vjp
    def _(g, y, x):
        return g * seen[-1]

    return faulty


def float32_lost() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Cosine, always in float64."""
        return np.cos(np.asarray(x, dtype=np.float64))

    @faulty.vjp
    def _(g, y, x):
        return -g * dataflow.ops.sin(x)

    return faulty


def jacobian_disagrees() -> Op:
    @primitive
    def faulty(x):
        """Twice a vector."""
        return 2 * np.asarray(x)

    @faulty.shape
    def _(x):
        return x.shape

    @faulty.vjp
    def _(g, y, x):
        return 2 * g

    @faulty.jacobian
    def _(y, x):
        return np.eye(len(x))

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=3))

    return faulty


def numpy_in_the_rule() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Sine whose rule computes with numpy."""
        return np.sin(x)

    @faulty.vjp
    def _(g, y, x):
        return g * np.cos(x)

    return faulty


def wrong_batch() -> Op:
    @primitive
    def faulty(x):
        """Sum of all."""
        return np.sum(x)

    @faulty.shape
    def _(x):
        return ()

    @faulty.vjp
    def _(g, y, x):
        return dataflow.ops.broadcast_to(g, shape=x.shape)

    @faulty.batch
    def _(batched, x):
        return dataflow.ops.sum(x, axis=0)

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 3)))

    return faulty


def not_deterministic() -> Op:
    rng = np.random.default_rng()

    @primitive(elementwise=True)
    def faulty(x):
        """x and noise."""
        return x + rng.normal(size=np.shape(x))

    @faulty.vjp
    def _(g, y, x):
        return g

    return faulty


def no_rule() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Inverse tangent, without a derivative."""
        return np.arctan(x)

    return faulty


def no_samples() -> Op:
    @primitive
    def faulty(x):
        """Something without samples."""
        return x

    return faulty


def wrong_structure() -> Op:
    @primitive(structure="selection")
    def faulty(x):
        """Three times x, which is said to only move entries."""
        return 3 * np.asarray(x)

    @faulty.shape
    def _(x):
        return x.shape

    @faulty.vjp
    def _(g, y, x):
        return 3 * g

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=3))

    return faulty


def not_linear_in_g() -> Op:
    @op
    def faulty(x):
        """Three times x, with a rule that squares the cotangent."""
        return 3 * x

    @faulty.vjp
    def _(g, y, x):
        return 3 * g * g

    return faulty


def changed_cotangent() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """−x, with a rule that turns the cotangent around in place."""
        return np.negative(x)

    @faulty.vjp
    def _(g, y, x):
        if isinstance(g, np.ndarray) and g.ndim:
            g *= -1
            return g
        return -g

    return faulty


def jump() -> Op:
    @op
    def faulty(x):
        """x, one higher from 1 on."""
        return where(x >= 1, x + 1, x)

    return faulty


def kink_at_an_attribute() -> Op:
    @op
    def faulty(x, *, limit: float = 0.7):
        """x, cut off at a limit."""
        return where(x < limit, x, limit)

    return faulty


def kink_everywhere() -> Op:
    @op
    def faulty(x):
        """x, said to have no derivative anywhere, so that nobody looks."""
        return 1 * x

    @faulty.vjp
    def _(g, y, x):
        return 5 * g

    @faulty.kink("none")
    def _(x):
        return x == x

    return faulty


def slope_beyond_both_sides() -> Op:
    @op
    def faulty(x):
        """|x|, whose derivative at 0 is said to be 2."""
        return where(x > 0, x, -x)

    @faulty.vjp
    def _(g, y, x):
        return where(x > 0, g, where(x < 0, -g, 2 * g))

    @faulty.kink("2")
    def _(x):
        return x == 0

    return faulty


def wrong_dtype_rule() -> Op:
    @primitive
    def faulty(x):
        """The sum, said to be float64 whatever goes in."""
        return np.sum(x)

    @faulty.shape
    def _(x):
        return dataflow.TensorSpec((), dataflow.DTYPES["float64"])

    @faulty.vjp
    def _(g, y, x):
        return dataflow.ops.broadcast_to(g, shape=x.shape)

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))

    return faulty


def body_that_asks_what_it_is_given() -> Op:
    @op
    def faulty(x):
        """x or twice x."""
        return 1 * x if isinstance(x, np.ndarray) else 2 * x

    return faulty


def shape_rule_unlike_the_body() -> Op:
    @op
    def faulty(x):
        """The sum over the first axis."""
        return sum_(x, axis=0)

    @faulty.shape
    def _(x):
        return x.shape[:1]

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))

    return faulty


def mean_for_sum() -> Op:
    @op
    def faulty(x):
        """Half the squares, summed, with the derivative of their mean."""
        return 0.5 * sum_(x * x)

    @faulty.vjp
    def _(g, y, x):
        return g * x / dataflow.ops.size(x)

    return faulty


def column_major() -> Op:
    @primitive
    def faulty(x):
        """A matrix as a vector, with a rule that reads it by columns."""
        return np.reshape(x, -1)

    @faulty.shape
    def _(x):
        return (dataflow.element_count(x.shape),)

    @faulty.vjp
    def _(g, y, x):
        return dataflow.ops.transpose(dataflow.ops.reshape(g, shape=x.shape[::-1]))

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))

    return faulty


def transposed_jacobian() -> Op:
    @op
    def faulty(W, x):
        """W @ x for a square W, with the Jacobian's rows and columns exchanged."""
        return matmul(W, x)

    @faulty.vjp(wrt="W")
    def _(g, y, W, x):
        return dataflow.ops.expand_dims(g, axis=1) * x

    @faulty.jacobian
    def _(y, W, x):
        return None, dataflow.ops.transpose(W)

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 3)), rng.normal(size=3))

    return faulty


def forgotten_bias() -> Op:
    @op
    def faulty(x, b=None):
        """x + b, with no cotangent for b."""
        return 1 * x if b is None else x + b

    @faulty.vjp
    def _(g, y, x, b):
        return g, None

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=3))
        yield sample(rng.normal(size=3), rng.normal(size=3))

    return faulty


def number_for_n() -> Op:
    @primitive
    def faulty(x):
        """Twice x, for three rows only, though the shape rule takes any number."""
        return 2 * np.reshape(x, (3, 4))

    @faulty.shape
    def _(x):
        return x.shape

    @faulty.vjp
    def _(g, y, x):
        return 2 * g

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))

    return faulty


def nothing_for_empty_arrays() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """x, scaled by a number that is taken from its largest and put back."""
        x = np.asarray(x)
        return (x / np.max(np.abs(x))) * np.max(np.abs(x))

    @faulty.vjp
    def _(g, y, x):
        return g

    return faulty


def elementwise_by_claim_only() -> Op:
    @primitive(elementwise=True)
    def faulty(a, b):
        """a + b where the shapes are the same; else only a."""
        return np.add(a, b) if np.shape(a) == np.shape(b) else np.asarray(a) + 0 * np.asarray(b)

    @faulty.vjp
    def _(g, y, a, b):
        return g, g

    return faulty


def rule_that_is_right_only_once() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """x³; the rule takes y / x for a constant, so that its own derivative is wrong."""
        return np.asarray(x) ** 3

    @faulty.vjp
    def _(g, y, x):
        return _detached(3 * y / x) * g

    return faulty


@primitive(elementwise=True)
def _detached(x):
    """x, as if it depended on nothing."""
    return np.asarray(x)


@_detached.vjp
def _(g, y, x):
    return None


def symbolic_rule_of_another_op() -> Op:
    @op
    def faulty(x):
        """sin x."""
        return sin(x)

    @faulty.symbolic
    def _(sympy, x):
        return sympy.cos(x)

    return faulty


def samples_that_do_not_fit() -> Op:
    @op
    def faulty(x, *, axis: int):
        """A mean along an axis that no sample gives."""
        return mean(x, axis=axis)

    return faulty


def local_operator_of_another_op() -> Op:
    @op
    def faulty(x):
        """−x."""
        return -x

    @faulty.local(wrt="x")
    def _(y, x):
        return dataflow.Dense(np.eye(x.size))

    return faulty


def single_precision_inside() -> Op:
    @op
    def faulty(x):
        """exp, whose derivative is taken in float32 and so has 7 digits, which finite differences cannot tell."""
        return exp(x)

    @faulty.vjp
    def _(g, y, x):
        return g * dataflow.ops.cast(dataflow.ops.cast(y, dtype="float32"), dtype=str(y.dtype))

    return faulty


def declared_zero_given_one() -> Op:
    @op
    def faulty(x):
        """relu whose derivative at 0 is 1, though 0 is declared."""
        return where(x > 0, x, 0)

    @faulty.vjp
    def _(g, y, x):
        return where(x >= 0, g, 0)

    @faulty.kink("the derivative at 0 is taken as 0", derivative=0)
    def _(x):
        return x == 0

    return faulty


def kink_declared_elsewhere() -> Op:
    @op
    def faulty(x):
        """|x − 1|, with its kink declared at 0."""
        return dataflow.ops.maximum(x - 1, 1 - x)

    @faulty.kink("the derivative at 0 is taken as 0")
    def _(x):
        return x == 0

    return faulty


def result_in_one_buffer() -> Op:
    buffers = {}

    @primitive(elementwise=True)
    def faulty(x):
        """exp, into an array that the next call of the same shape uses again."""
        buffer = buffers.setdefault((np.shape(x), np.asarray(x).dtype), np.empty_like(x))
        return np.exp(x, out=buffer)

    @faulty.vjp
    def _(g, y, x):
        return g * exp(x)

    return faulty


def input_kept_and_changed_later() -> Op:
    kept = []

    @primitive(elementwise=True)
    def faulty(x):
        """−x; the input is kept, and changed at the next call."""
        if kept and kept[-1].flags.writeable:
            kept[-1] += 1
        kept.append(np.asarray(x))
        return np.negative(x)

    @faulty.vjp
    def _(g, y, x):
        return -g

    return faulty


def result_depends_on_how_often() -> Op:
    calls = []

    @primitive(elementwise=True)
    def faulty(x):
        """Twice x; the derivative is right the first time only."""
        return 2 * np.asarray(x)

    @faulty.vjp
    def _(g, y, x):
        calls.append(1)
        return (2 if len(calls) == 1 else 3) * g

    return faulty


def sum_for_mean() -> Op:
    @op
    def faulty(x):
        """The mean of all elements, with the derivative of their sum."""
        return mean(x)

    @faulty.vjp
    def _(g, y, x):
        return g + 0 * x

    return faulty


def one_cotangent_too_few() -> Op:
    @primitive(elementwise=True)
    def faulty(a, b):
        """a · b, whose rule forgets that there are two inputs."""
        return np.multiply(a, b)

    @faulty.vjp
    def _(g, y, a, b):
        return (g * b,)

    return faulty


def cotangent_of_another_shape() -> Op:
    @op
    def faulty(x):
        """The sum over the first axis, whose cotangent is not spread over it."""
        return sum_(x, axis=0)

    @faulty.vjp
    def _(g, y, x):
        return g

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))

    return faulty


def attribute_that_the_rule_forgets() -> Op:
    @op
    def faulty(x, *, slope: float = 0.5):
        """x above 0, slope · x below; the rule takes the default for the slope."""
        return where(x > 0, x, slope * x)

    @faulty.vjp
    def _(g, y, x, *, slope):
        return where(x > 0, g, 0.5 * g)

    @faulty.kink("the derivative at 0 is taken as the slope")
    def _(x, *, slope):
        return x == 0

    @faulty.samples
    def _(rng):
        yield sample(rng.normal(size=5))
        yield sample(rng.normal(size=5), slope=0.1)

    return faulty


def nan_beside_the_point() -> Op:
    @op
    def faulty(x):
        """x², whose derivative comes as 0/0 where x is negative."""
        return x * x

    @faulty.vjp
    def _(g, y, x):
        return 2 * g * where(x < 0, x * float("nan"), x)

    return faulty


def entry_read_while_bound() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Square root of the absolute value."""
        return np.sqrt(np.abs(x))

    @faulty.into
    def _(out, x):
        return partial(np.sqrt, x if x.reshape(-1)[0] > 0 else abs(x), out)

    @faulty.vjp
    def _(g, y, x):
        return where(x > 0, g, where(x < 0, -g, 0)) * 0.5 / y

    return faulty


def result_decided_while_bound() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """Sine."""
        return np.sin(x)

    @faulty.into
    def _(out, x):
        return partial(np.copyto, out, 0.5)

    @faulty.vjp
    def _(g, y, x):
        return g * cos(x)

    return faulty


def nan_hidden_by_a_comparison() -> Op:
    @op
    def faulty(x):
        """relu, of which NaN is 0."""
        return where(x > 0, x, 0)

    @faulty.vjp
    def _(g, y, x):
        return dataflow.ops.masked(g, x > 0, x)

    @faulty.kink("the derivative at 0 is taken as 0", derivative=0)
    def _(x):
        return x == 0

    return faulty


def nan_hidden_in_the_cotangent() -> Op:
    @op
    def faulty(x):
        """relu, of which the cotangent at NaN is 0."""
        return dataflow.ops.maximum(x, 0)

    @faulty.vjp
    def _(g, y, x):
        return where(x > 0, g, 0)

    @faulty.kink("the derivative at 0 is taken as 0", derivative=0)
    def _(x):
        return x == 0

    return faulty


def another_number_at_infinity() -> Op:
    @primitive(elementwise=True)
    def faulty(x):
        """tanh, of which infinity is 0."""
        return np.where(np.isinf(x), 0, np.tanh(x))

    @faulty.vjp
    def _(g, y, x):
        return g * (1 - y * y)

    return faulty


def training_with_a_wrong_gradient() -> Op:
    doubled = mean_for_sum()

    @op
    def faulty(x):
        """x, of which training knows no right derivative."""
        return x * 1

    @faulty.training
    def _(random, x):
        return x * doubled(x)

    return faulty


FAULTY: list[tuple[Callable[[], Op], str]] = [
    (training_with_a_wrong_gradient, "training"),
    (entry_read_while_bound, "bound once"),
    (result_decided_while_bound, "bound once"),
    (not_linear_in_g, "vjp"),
    (nan_hidden_by_a_comparison, "NaN"),
    (nan_hidden_in_the_cotangent, "NaN"),
    (another_number_at_infinity, "infinity"),
    (changed_cotangent, "inputs unchanged"),
    (jump, "kinks"),
    (kink_at_an_attribute, "kinks"),
    (kink_everywhere, "vjp"),
    (slope_beyond_both_sides, "kinks"),
    (wrong_dtype_rule, "float32"),
    (body_that_asks_what_it_is_given, "body"),
    (shape_rule_unlike_the_body, "shape rule"),
    (mean_for_sum, "vjp"),
    (column_major, "vjp"),
    (transposed_jacobian, "jacobian"),
    (forgotten_bias, "vjp"),
    (number_for_n, "symbolic sizes"),
    (nothing_for_empty_arrays, "empty arrays"),
    (elementwise_by_claim_only, "broadcasting"),
    (rule_that_is_right_only_once, "second derivative"),
    (symbolic_rule_of_another_op, "symbolic rule"),
    (samples_that_do_not_fit, "samples"),
    (local_operator_of_another_op, "structure"),
    (single_precision_inside, "50 digits"),
    (declared_zero_given_one, "kinks"),
    (kink_declared_elsewhere, "kinks"),
    (result_in_one_buffer, "deterministic"),
    (input_kept_and_changed_later, "inputs unchanged"),
    (result_depends_on_how_often, "deterministic"),
    (sum_for_mean, "vjp"),
    (one_cotangent_too_few, "vjp"),
    (cotangent_of_another_shape, "vjp"),
    (attribute_that_the_rule_forgets, "vjp"),
    (nan_beside_the_point, "vjp"),
    (wrong_vjp, "vjp"),
    (forgotten_factor, "vjp"),
    (missing_minus, "vjp"),
    (wrong_shape_rule, "shape rule"),
    (forgotten_broadcast, "vjp"),
    (changed_input, "inputs unchanged"),
    (undeclared_kink, "kinks"),
    (stale_value, "deterministic"),
    (float32_lost, "float32"),
    (jacobian_disagrees, "jacobian"),
    (numpy_in_the_rule, "gradient graph"),
    (wrong_batch, "batch rule"),
    (not_deterministic, "deterministic"),
    (no_rule, "vjp"),
    (no_samples, "samples"),
    (wrong_structure, "structure"),
]
"""What is wrong, and the check that is meant for it."""
