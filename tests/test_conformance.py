"""The conformance check finds each fault with the check that is meant for it, and refuses no op that is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dataflow
from dataflow import Op, op, primitive, sample
from dataflow.errors import PluginError
from dataflow.ops import concatenate, exp, matmul, mean, multiply, sin, where
from dataflow.ops import sum as sum_
from dataflow.testing import assert_op, check_op


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


FAULTY: list[tuple[Callable[[], Op], str]] = [
    (not_linear_in_g, "vjp"),
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
]


@pytest.mark.parametrize(("make", "check"), FAULTY, ids=[make.__name__ for make, _ in FAULTY])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_fault_is_found_by_the_check_that_is_meant_for_it(make: Callable[[], Op], check: str, seed: int) -> None:
    findings = check_op(make(), seed)
    assert check in {finding.check for finding in findings}, [str(finding) for finding in findings]
    assert all("\n" not in str(finding) for finding in findings)


def test_a_finding_names_op_check_sample_and_numbers() -> None:
    finding = next(finding for finding in check_op(mean_for_sum()) if finding.check == "vjp")
    assert (finding.op, finding.check, finding.sample) == ("faulty", "vjp", "sample 1: (3, 4)")
    assert str(finding).startswith("op 'faulty': vjp: the cotangent of x[0, 0] is ")
    assert "finite differences say" in finding.message
    with pytest.raises(PluginError, match="finite differences say"):
        assert_op(mean_for_sum())


def test_a_seed_repeats() -> None:
    assert check_op(mean_for_sum(), 3) == check_op(mean_for_sum(), 3)
    assert check_op(mean_for_sum(), 3) != check_op(mean_for_sum(), 4)


# ------------------------------------------------------------------------------------------------ ops that are right


def jacobian_alone() -> Op:
    @primitive
    def fine(x):
        """Running sums of a vector."""
        return np.cumsum(x)

    @fine.shape
    def _(x):
        return x.shape

    @fine.jacobian
    def _(y, x):
        return np.tri(x.shape[0])

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=4))

    return fine


def variadic_body() -> Op:
    @op
    def fine(*xs):
        """The squares of all inputs, one after the other."""
        return concatenate(*[x * x for x in xs])

    return fine


def optional_input_and_literals() -> Op:
    @op
    def fine(x, scale=None, *, shift: float = 0.5):
        """sin(scale · x) + shift · x, where the scale may be left out."""
        return sin(x if scale is None else multiply(scale, x)) + shift * x

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))
        yield sample(rng.normal(size=(2, 3)), rng.normal(size=3), shift=-2.0)
        yield sample(rng.normal(size=(2, 3)), 1.5)

    return fine


def declared_kink() -> Op:
    @op
    def fine(x, *, limit: float = 0.7):
        """x, cut off at a limit."""
        return where(x < limit, x, limit)

    @fine.kink("at the limit the derivative is taken as 0")
    def _(x, *, limit):
        return x == limit

    return fine


def smooth_at_a_tie_of_inner_kinks() -> Op:
    @op
    def fine(x):
        """Softplus, log(1 + eˣ), without overflow; smooth at 0, where its parts are not."""
        return dataflow.ops.maximum(x, 0) + dataflow.ops.log(1 + exp(-dataflow.ops.abs(x)))

    return fine


def constant_result() -> Op:
    @op
    def fine(x):
        """A zero for each column."""
        return 0 * sum_(x, axis=0)

    @fine.vjp
    def _(g, y, x):
        return 0

    @fine.shape
    def _(x):
        return x.shape[1:]

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))

    return fine


def test_a_derivative_that_is_always_zero_may_be_none() -> None:
    @primitive(elementwise=True)
    def fine(x):
        """Zeros in the shape of x."""
        return np.zeros_like(x)

    @fine.vjp
    def _(g, y, x):
        return None

    assert check_op(fine) == []


@pytest.mark.parametrize(
    "make",
    [variadic_body, optional_input_and_literals, declared_kink, smooth_at_a_tie_of_inner_kinks, constant_result],
)
@pytest.mark.parametrize("seed", [0, 7])
def test_an_op_that_is_right_is_not_refused(make: Callable[[], Op], seed: int) -> None:
    assert list(map(str, check_op(make(), seed))) == []


def test_a_numpy_jacobian_computes_but_cannot_be_traced_with_symbolic_sizes() -> None:
    findings = check_op(jacobian_alone())
    assert {finding.check for finding in findings} <= {"symbolic sizes"}
    assert all("to be traced" in finding.message for finding in findings)
