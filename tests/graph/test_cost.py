"""What ops cost: rules against counts by hand, and against kernels that run on numbers which count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dataflow import (
    ArgumentError,
    Cost,
    PluginError,
    RuleError,
    TensorSpec,
    op,
    primitive,
    sample,
)
from dataflow.analysis.counting import Counted, counting_run
from dataflow.graph.cost import cost_of, says_its_cost
from dataflow.graph.graph import trace_op
from dataflow.graph.node import CONSTANT
from dataflow.operations.operands import specs_of
from dataflow.ops import exp
from dataflow.registry import registry
from dataflow.testing import check_op
from dataflow.testing.cases import cases_of, every_op

FLOAT = np.dtype("float64")


def cost(name, *shapes, **attributes):
    found = registry.lookup(name)
    specs = [None if shape is None else TensorSpec(shape, FLOAT) for shape in shapes]
    return cost_of(found, found.complete(specs), found.bind(attributes))


BY_HAND = [
    ("matmul", [(2, 3), (3, 4)], {}, Cost(multiplications=24, additions=16)),
    ("matmul", [(3,), (3,)], {}, Cost(multiplications=3, additions=2)),
    ("matmul", [(5, 1, 2, 3), (4, 3, 2)], {}, Cost(multiplications=5 * 4 * 2 * 2 * 3, additions=5 * 4 * 2 * 2 * 2)),
    ("matmul", [(2, 0), (0, 4)], {}, Cost()),
    ("linear", [(4, 3), (2, 3), (2,)], {}, Cost(multiplications=24, additions=16 + 8)),
    ("sum", [(3, 4)], {"axis": 0}, Cost(additions=8)),
    ("sum", [(0, 4)], {"axis": 0}, Cost()),
    ("max", [(3, 4)], {}, Cost(comparisons=11)),
    ("mean", [(3, 4)], {}, Cost(additions=11, divisions=1)),
    ("multiply", [(3, 1), (4,)], {}, Cost(multiplications=12)),
    ("sqrt", [(3, 4)], {}, Cost(functions=12)),
    ("relu", [(3, 4)], {}, Cost(comparisons=12)),
    ("where", [(3,), (3,), (3,)], {}, Cost()),
    ("transpose", [(3, 4)], {}, Cost()),
    ("mse", [(4, 1), (4, 1)], {}, Cost(multiplications=5, additions=4 + 3)),
    # the largest of each row, its subtraction, exp, their sum, log, the second subtraction; times labels
    # unless they are 0 (a comparison each), sum, sign
    ("softmax_cross_entropy", [(2, 3), (2, 3)], {}, Cost(6, 0, 6 + 4 + 6 + 5, 4 + 6, 6 + 2, 1)),
]


@pytest.mark.parametrize(("name", "shapes", "attributes", "expected"), BY_HAND)
def test_costs_by_hand(name, shapes, attributes, expected) -> None:
    assert cost(name, *shapes, **attributes) == expected


OPS = every_op()


def counted_through_bodies(op, arguments, attributes, infer):
    """A count that looks at no cost rule: kernels on counting numbers, composite ops through their traced bodies."""
    if not op.exact_cost:
        return op.compute(arguments, attributes), cost_of(op, specs_of(arguments), attributes)
    if op.is_primitive:
        return counting_run(op, arguments, attributes, infer())
    literals = {i: x for i, x in enumerate(arguments) if type(x) in (int, float, bool)}
    beside = [x.dtype for x in arguments if isinstance(x, np.ndarray)]
    specs = [
        None if x is None else TensorSpec(np.shape(x), x.dtype if i not in literals else np.result_type(x, *beside))
        for i, x in enumerate(arguments)
    ]
    trace = trace_op(op, specs, attributes, literals)
    graph, total = trace.graph, Cost()
    values = {name: x for name, x in zip(trace.inputs, arguments, strict=True) if name is not None}
    for name in graph.schedule([trace.output]):
        node = graph.node_of(name)
        if node.kind == CONSTANT:
            values[name] = node.value
        elif name not in values:
            inner = graph.op_of(name)
            operands = inner.complete([values[x] if isinstance(x, str) else x for x in graph.arguments(name)])
            values[name], found = counted_through_bodies(
                inner, operands, node.attributes, lambda node=node: TensorSpec(node.shape, node.dtype)
            )
            total += found
    return values[trace.output], total


OF_BITS = ("bitcast", "round_to", "round_to_power")
"""They read bits, which no Counted has."""


@pytest.mark.parametrize("name", [name for name in OPS if name not in OF_BITS])
def test_every_op_costs_what_a_counting_run_counts(name) -> None:
    for case in cases_of(OPS[name], seed=3):
        value, found = counted_through_bodies(case.op, case.arguments, case.attributes, case.infer)
        np.testing.assert_allclose(value.astype(case.run().dtype), case.run(), rtol=1e-12, atol=1e-15)
        assert cost_of(case.op, case.specs, case.attributes, case.literals) == found, case.label


def test_the_counts_are_there() -> None:
    assert len(OPS) > 45
    assert all(says_its_cost(one) for one in OPS.values())
    counted = Counter()
    for one in OPS.values():
        for case in cases_of(one, seed=3):
            counted.update(cost_of(case.op, case.specs, case.attributes, case.literals).plain())
    assert min(counted.values()) > 50


def test_numbers_count_what_is_done_with_them() -> None:
    tally = Counter()
    a, b = Counted(np.float64(3), tally), Counted(np.float64(4), tally)
    assert float((a * a + b * b) ** 0.5) == 5
    assert (a < b, bool(-a), float(1 / a), float(2 - abs(b)), float(np.exp(np.array([a]))[0])) == (
        *(True, True, 1 / 3, -2.0),
        np.exp(3),
    )
    assert Cost(**tally) == Cost(2, 1, 2, 1, 2, 2)


@primitive(elementwise=True)
def silent(x):
    """x twice, without a word about what it costs."""
    return np.add(x, x)


def test_an_op_without_a_rule_is_an_error_that_names_it() -> None:
    @op
    def around(x):
        """e to the silent op."""
        return exp(silent(x))

    for one in (silent, around):
        with pytest.raises(RuleError, match=r"op 'silent' does not say what it costs.*@silent.cost, or operation="):
            cost_of(one, [TensorSpec((3,), FLOAT)], {})
    assert not says_its_cost(silent)


def test_a_symbolic_size_has_no_cost() -> None:
    from dataflow.shapes import parse_shape

    with pytest.raises(RuleError, match="concrete shapes"):
        cost_of(registry.lookup("exp"), [TensorSpec(parse_shape(["n"]), FLOAT)], {})


def declared(**keywords):
    @primitive(elementwise=True, **keywords)
    def faulty(x):
        """x²."""
        return np.multiply(x, x)

    @faulty.vjp
    def _(g, y, x):
        return 2 * g * x

    return faulty


@pytest.mark.parametrize("operation", ["additions", "functions", "none"])
def test_the_conformance_check_finds_a_wrong_cost(operation) -> None:
    (finding,) = check_op(declared(operation=operation))
    assert finding.check == "cost"
    assert "the kernel makes" in finding.message
    assert check_op(declared(operation="multiplications")) == []
    assert check_op(declared()) == []  # it says nothing, which is no fault


def test_the_conformance_check_finds_a_wrong_rule() -> None:
    faulty = declared()

    @faulty.cost
    def _(y, x):
        return Cost(multiplications=y.shape[0] if y.ndim else 1)

    (finding,) = check_op(faulty)
    assert finding.check == "cost"
    assert "3 multiplications are declared, the kernel makes 12" in finding.message


def test_a_kernel_that_takes_no_objects_is_not_refused() -> None:
    @primitive(elementwise=True, operation="functions")
    def closed(x):
        """x, by a way that only floats can go."""
        return np.asarray(x).view(np.asarray(x).dtype).astype(float) + np.signbit(x) * 0.0

    @closed.vjp
    def _(g, y, x):
        return g

    with pytest.raises(RuleError, match="cannot be counted"):
        counting_run(closed, [np.ones(2)], {}, TensorSpec((2,), FLOAT))
    assert [finding for finding in check_op(closed) if finding.check == "cost"] == []


def test_declarations_are_checked() -> None:
    with pytest.raises(ArgumentError, match="operation takes 'multiplications' or 'divisions' .* not 'squares'"):
        declared(operation="squares")
    with pytest.raises(PluginError, match=r"its cost rule takes \(y, x\)"):
        declared().cost(lambda x: Cost())

    faulty = declared()

    @faulty.cost
    def _(y, x):
        return 3

    with pytest.raises(RuleError, match="it should give a dataflow.Cost"):
        cost_of(faulty, [TensorSpec((3,), FLOAT)], {})


def test_costs_add_up() -> None:
    assert Cost(1, 2, 3) + Cost(4) * 2 == Cost(9, 2, 3)
    assert Cost(1, 2, 3, 4, 5, 6).operations == 21


def test_the_rule_gets_attributes_and_plain_numbers() -> None:
    @primitive
    def scaled(x, factor, *, times: int = 1):
        """x times a factor, several times over."""
        for _ in range(times):
            x = np.multiply(x, factor)
        return x

    @scaled.shape
    def _(x, factor):
        return x.shape

    @scaled.cost
    def _(y, x, factor, *, times):
        assert factor.shape == ()
        return Cost(multiplications=times * y.shape[0])

    @scaled.samples
    def _(rng):
        yield sample(rng.normal(size=5), 2.0, times=3)

    (case,) = cases_of(scaled, 0)
    assert cost_of(scaled, case.specs, case.attributes, case.literals) == Cost(multiplications=15)
    assert [finding for finding in check_op(scaled) if finding.check == "cost"] == []
