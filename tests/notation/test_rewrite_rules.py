"""Each rule by which formulas are made short says the same as what it replaces: both are computed on random numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow.notation.rewrite_rules import RULES, Rule, rewrite, simplify
from dataflow.notation.terms import Leaf, Term, apply, evaluate
from dataflow.operations.engine_ops import (
    broadcast_to,
    cast,
    divide,
    expand_dims,
    greater,
    identity,
    index,
    less_equal,
    masked,
    multiply,
    negative,
    place,
    reshape,
    stack,
    sum_to,
    transpose,
    where,
)
from dataflow.shapes import DTYPES, TensorSpec

SHAPES = {"s": (), "t": (), "v": (3,), "w": (3,), "p": (4, 3), "q": (4, 3), "m": (3, 2), "r": (4, 1)}
SYMBOLS = {
    name: Term(spec=TensorSpec(shape, DTYPES["float64"]), leaf=Leaf(name, name, name)) for name, shape in SHAPES.items()
}
s, t, v, w, p, q, m, r = SYMBOLS.values()


def wide(x, shape=(4, 3)):
    return apply(broadcast_to, [x], {"shape": shape})


SAMPLES = [
    *(p * 1, 1 * p, p * -1, p * 0, p + 0, p - 0, 0 - p, p / 1, p**1, -(-p), 0 / p, apply(negative, [0])),  # noqa: B002
    *((-p) * q, p * (-q), (-p) / q, p / (-q), p + (-q), (-p) + q, p - (-q), r + (-p)),
    *(p * wide(s), wide(s) * p, p + wide(s), p - wide(s), wide(s) - p, -wide(s), wide(s) / p, p / wide(s)),
    *(wide(wide(s, (3,))), (2 * p) * q, p * (2 * q), p * 3, 2 * (4 * p), p * p, p**2 * p, (q * p) * p),
    *(2 * (p / q), p * (q / s), (p / q) / s, apply(divide, [apply(divide, [p, s]), t])),
    *(
        apply(masked, [p, greater(q, 0), q]),
        apply(where, [greater(q, 0), p, 0]),
        apply(where, [less_equal(q, 0), 0, p]),
    ),
    *(apply(identity, [p]), apply(cast, [p], {"dtype": "float64"}), apply(sum_to, [p], {"shape": (4, 3)})),
    *(wide(p), apply(reshape, [p], {"shape": (4, 3)}), p.T.T, (p / s).T, (p @ m).T, v @ m, v @ p.T),
    *(apply(expand_dims, [v], {"axis": 0}), apply(reshape, [v], {"shape": (1, 3)})),
    apply(reshape, [apply(expand_dims, [v], {"axis": 1})], {"shape": (3,)}),
    apply(reshape, [apply(expand_dims, [v], {"axis": 1}).T], {"shape": (3,)}),
    *(p.T @ r, r @ apply(reshape, [s], {"shape": (1, 1)}), apply(reshape, [2.5], {"shape": (1, 1)})),
    apply(expand_dims, [wide(3, (4,))], {"axis": 1}),
    *(apply(stack, [s, t, 2])[1], wide(s, (3,))[1], apply(place, [s], {"key": "1", "shape": (3,)})),
    apply(stack, [s, t]) + apply(stack, [t, 1]),
    *(p + p, transpose(p), apply(index, [v], {"key": "1"}), apply(multiply, [p, r])),  # nothing to do
]


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.why)
def test_a_rule_says_the_same(rule: Rule, values):
    applied = 0
    for term in SAMPLES:
        if (result := rewrite(rule, term)) is not None:
            applied += 1
            before, after = evaluate(term, values, {}), evaluate(result, values, {})
            assert after.shape == before.shape
            np.testing.assert_allclose(after, before, rtol=1e-12)
    assert applied, "no sample is changed by it"


def test_a_simplified_term_says_the_same_and_is_left_alone(values):
    for term in SAMPLES:
        short = simplify(term)
        np.testing.assert_allclose(
            np.broadcast_to(evaluate(short, values, {}), term.shape), evaluate(term, values, {}), rtol=1e-12
        )
        assert simplify(short) == short


def test_rewriting_ends():
    term = p
    for _ in range(12):  # numbers that are not folded go round in no circle
        term = 0.1 * (term * 0.3)
    assert simplify(term) == simplify(simplify(term))
