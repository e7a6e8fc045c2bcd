"""Each pass of a plan on its own: what it changes, and what it has to leave alone."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plan_checks import check_all, interpreted, same

from dataflow import Graph, ops
from dataflow.operations.declare_ops import primitive
from dataflow.plan import Plan, concrete, make_plan, stages
from dataflow.plan.lower import lower
from dataflow.plan.memory_reuse import _Memory
from dataflow.plan.passes.elementwise_regions import DEFERRED
from dataflow.plan.structure import contiguous
from dataflow.registry.registry import lookup
from dataflow.shapes import TensorSpec

SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5, 5e-324, 1.7e308])


def compiled(graph: Graph, *outputs: Any, until: str = "arena") -> Plan:
    """The plan after a pass, for the graph's inputs in their own, static, shapes."""
    before = len(graph)
    names = [graph.node(f"out{before}_{i}", value).name for i, value in enumerate(outputs)]
    specs = {name: graph.spec(name) for name in graph.names("input") if name in graph.needed_for(names)}
    return dict(stages(graph, names, specs))[until]


def op_names(plan: Plan) -> list[str]:
    return [instruction.op.name for instruction in plan.instructions]


# ------------------------------------------------------------------------------------------------ fold


def test_constants_are_computed_when_the_plan_is_made() -> None:
    graph = Graph("g")
    x, c = graph.input("x", (3,)), graph.constant("c", [1.0, 2.0, 3.0])
    plan = compiled(graph, x * ops.exp(c * 2) / ops.mean(x * 0 + 1), until="drop")
    assert "exp" not in op_names(plan)
    assert any(np.array_equal(value, np.exp([2.0, 4.0, 6.0])) for value in plan.constants.values())
    assert "size" not in op_names(plan)
    folded = [value for value in plan.constants.values() if isinstance(value, np.ndarray)]
    assert all(not value.flags.writeable for value in folded if value is not graph.node_of("c").value)


def test_a_constant_does_not_grow() -> None:
    graph = Graph("g")
    x, c = graph.input("x", (1000, 1000)), graph.constant("c", np.arange(1000.0))
    plan = compiled(graph, x + ops.exp(ops.broadcast_to(c, shape=(1000, 1000))), until="drop")
    assert "exp" in op_names(plan)
    assert sum(np.asarray(value).nbytes for value in plan.constants.values()) < 20_000


def test_what_fails_when_folded_fails_when_run() -> None:
    @primitive(operation="none")
    def late(x):  # type: ignore[no-untyped-def]
        """Fails on arrays."""
        raise ValueError("on arrays")

    late.shape(lambda x: x.shape)
    graph = Graph("g")
    plan = compiled(graph, graph.apply(late, [graph.constant("c", [1.0])]))
    assert op_names(plan) == ["late"]


# ------------------------------------------------------------------------------------------------ simplify

GONE: dict[str, Callable[[Any], Any]] = {
    "x * 1": lambda x: x * 1,
    "1 * x": lambda x: 1 * x,
    "x * 1.0": lambda x: x * 1.0,
    "x / 1": lambda x: x / 1,
    "x - 0": lambda x: x - 0,
    "x + -0.0": lambda x: x + -0.0,
    "-0.0 + x": lambda x: -0.0 + x,
    "-(-x)": lambda x: ops.negative(-x),
    "x ** 1": lambda x: x**1,
    "where(True, x, 2)": lambda x: ops.where(True, x, 2),
    "where(x > 0, x, x)": lambda x: ops.where(x > 0, x, x),
    "cast": lambda x: ops.cast(x, dtype="float64"),
    "sum_to": lambda x: ops.sum_to(x, shape=x.shape),
    "max over axes of size 1": lambda x: ops.max(ops.reshape(x, shape=(9, 1)), axis=1, keepdims=True)[:, 0],
    "ones, spread": lambda x: x * ops.broadcast_to(x.graph.constant("one", 1.0), shape=(9,)),
    "transposed twice": lambda x: ops.transpose(ops.transpose(ops.reshape(x, shape=(3, 3)))),
    "reversed twice": lambda x: x[::-1][::-1],
}
CHANGED: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "x + (-y)": (lambda x: x + (-ops.exp(x)), ["exp", "subtract"]),
    "(-y) + x": (lambda x: (-ops.exp(x)) + x, ["exp", "subtract"]),
    "x - (-y)": (lambda x: x - (-ops.exp(x)), ["exp", "add"]),
    "x * -1": (lambda x: x * -1, ["negative"]),
    "x / 4": (lambda x: x / 4, ["multiply"]),
    "x / -0.5": (lambda x: x / -0.5, ["multiply"]),
}
LEFT: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "x + 0": (lambda x: x + 0, ["add"]),
    "x + 0.0": (lambda x: x + 0.0, ["add"]),
    "x - -0.0": (lambda x: x - -0.0, ["subtract"]),
    "0 - x": (lambda x: 0 - x, ["subtract"]),
    "x * 0": (lambda x: x * 0, ["multiply"]),
    "x - x": (lambda x: x - x, ["subtract"]),
    "x / x": (lambda x: x / x, ["divide"]),
    "x / 3": (lambda x: x / 3, ["divide"]),
    "x / 0": (lambda x: x / 0, ["divide"]),
    "x / inf": (lambda x: x / float("inf"), ["divide"]),
    "x / 2**-1074": (lambda x: x / 2.0**-1074, ["divide"]),
    "x ** 0": (lambda x: x**0, ["power"]),
    "x ** 0.5": (lambda x: x**0.5, ["power"]),
    "sum over axes of size 1": (lambda x: ops.sum(ops.reshape(x, shape=(9, 1)), axis=1), ["sum"]),
}


def bits(graph: Graph, value: Any, until: str) -> tuple[list[str], np.ndarray]:
    plan = compiled(graph, value, until=until)
    return op_names(plan), interpreted(plan, [SPECIAL])[0][0]


@pytest.mark.parametrize("name", [*GONE, *CHANGED, *LEFT])
def test_identities_hold_for_every_number(name: str) -> None:
    rule, expected = (GONE[name], ["identity"]) if name in GONE else {**CHANGED, **LEFT}[name]
    graph = Graph("g")
    found, result = bits(graph, rule(graph.input("x", (9,))), "views")
    assert found in (expected, []) if name in GONE else found == expected
    graph = Graph("g")
    _, before = bits(graph, rule(graph.input("x", (9,))), "lower")
    same(result, before)


NUMBERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
OF_TWO: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + (-y),
    lambda x, y: (-y) + x,
    lambda x, y: x - (-y),
    lambda x, y: ops.negative(-x) * y,
    lambda x, y: (x * y) * 0.5,
    lambda x, y: x * y / 2,
    lambda x, y: ops.maximum(x, y) * (x > y),
    lambda x, y: (x * 1) - y**2,
]


@pytest.mark.parametrize("left", NUMBERS)
@pytest.mark.parametrize("right", NUMBERS)
def test_identities_hold_for_every_two_dtypes(left: str, right: str) -> None:
    """The least and the largest integers wrap: in uint8, −1 is 255."""
    arrays = []
    for dtype in (left, right):
        limits = np.iinfo(dtype) if "int" in dtype else None
        arrays.append(np.array([1, 0, limits.min, limits.max] if limits else [1, -0.0, -1.5, 2], dtype))
    columns = [arrays[0][:, None], arrays[1]]
    for rule in OF_TWO:
        results = []
        for until in ("lower", "simplify"):
            graph = Graph("g")
            value = rule(graph.input("x", (4, 1), left), graph.input("y", (4,), right))
            results += interpreted(compiled(graph, value, until=until), columns)[0]
        same(results[1], results[0])


@pytest.mark.parametrize("exponent", [2, 3, 2.0])
def test_small_powers_are_products(exponent: float) -> None:
    graph = Graph("g")
    found, result = bits(graph, graph.input("x", (9,)) ** exponent, "views")
    assert found == ["multiply"] * (int(exponent) - 1)
    with np.errstate(all="ignore"):
        expected = np.power(SPECIAL, exponent)
    np.testing.assert_allclose(result, expected, rtol=1e-15)
    np.testing.assert_array_equal(np.signbit(result[:2]), np.signbit(expected[:2]))


@pytest.mark.parametrize(
    ("first", "second", "multiplications"),
    [
        (0.5, 0.3, 1),
        (-0.3, 0.25, 1),
        (0.3, 0.7, 2),  # rounded twice
        (2.0, 0.3, 2),  # may overflow in between
        (2.0**-600, 2.0**-600, 2),  # no normal number
    ],
)
def test_two_factors_are_one_where_all_that_is_rounded_is_the_same(
    first: float, second: float, multiplications: int
) -> None:
    graph = Graph("g")
    x = np.concatenate([SPECIAL, np.random.default_rng(0).normal(size=100)])
    result = graph.input("x", x.shape) * first * second
    plan = compiled(graph, result)
    assert op_names(plan) == ["multiply"] * multiplications
    (value,), _ = interpreted(plan, [x])
    with np.errstate(all="ignore"):
        same(value, x * first * second)


def test_factors_that_no_float32_holds_stay() -> None:
    for factors in ((1e300, 0.5), (0.5, -1e300)):
        graph = Graph("g", "float32")
        plan = compiled(graph, graph.input("x", (2,)) * factors[0] * factors[1])
        with np.errstate(over="ignore"):
            (value,), _ = interpreted(plan, [np.array([1.0, 0.0], "float32")])
        np.testing.assert_array_equal(value, np.array([np.copysign(np.inf, factors[0] * factors[1]), np.nan]))


def test_half_a_mean_divides_once() -> None:
    graph = Graph("g")
    plan = compiled(graph, graph.input("x", (24,)) * 0.5 / 8, until="drop")
    assert op_names(plan) == ["multiply"]
    assert 1 / 16 in [np.asarray(value).item() for value in plan.constants.values()]


def test_what_changes_the_shape_or_the_dtype_stays() -> None:
    graph = Graph("g")
    x, k = graph.input("x", ()), graph.input("k", (3,), "int32")
    plan = compiled(graph, x * graph.constant("ones", np.ones((1,))), k * 1.0, k / 1, ops.where(True, x, k))
    assert sorted(op_names(plan)) == ["divide", "multiply", "multiply", "where"]


def gated(x: Any, bound: Any, compare: Any, limit: Any, other: Any) -> Any:
    """A bound of x, and the mask of relu's derivative beside it."""
    return bound(x, limit) + ops.masked(ops.exp(x), compare(x, other), x)


@pytest.mark.parametrize("limit", [0, 0.0, -1.5, float("inf")])
@pytest.mark.parametrize(("bound", "compare"), [(ops.maximum, ops.greater), (ops.minimum, ops.less)])
def test_a_comparison_reads_the_bound_instead_of_what_is_bounded(bound: Any, compare: Any, limit: float) -> None:
    graph = Graph("g")
    rule = gated(graph.input("x", (9,)), bound, compare, limit, limit)
    graph.node("gated", rule)
    before, plan = (dict(stages(graph, ["gated"], {"x": graph.spec("x")}))[until] for until in ("lower", "simplify"))
    made = {instruction.op.name: instruction for instruction in plan.instructions}
    kept = made[bound.name].output
    assert made[compare.name].inputs[0] == made["masked"].inputs[2] == kept
    same(interpreted(plan, [SPECIAL])[0][0], interpreted(before, [SPECIAL])[0][0])


@pytest.mark.parametrize(
    ("bound", "compare", "limit", "other"),
    [
        (ops.maximum, ops.greater, 0, 1),  # max(x, 0) > 1 would do, but is no rule; max(x, 1) > 0 would be wrong
        (ops.maximum, ops.less, 0, 0),
        (ops.minimum, ops.greater, 0, 0),
        (ops.maximum, ops.greater_equal, 0, 0),
        (ops.maximum, ops.greater, np.arange(9.0), np.arange(9.0)),
    ],
)
def test_a_comparison_reads_what_is_bounded_otherwise(bound: Any, compare: Any, limit: Any, other: Any) -> None:
    graph = Graph("g")
    x = graph.input("x", (9,))
    plan = compiled(graph, gated(x, bound, compare, limit, other), until="simplify")
    made = {instruction.op.name: instruction for instruction in plan.instructions}
    assert made[compare.name].inputs[0] == made["masked"].inputs[2] == 0


def test_a_limit_that_is_nan_says_nothing_of_nan() -> None:
    graph = Graph("g")
    rule = gated(graph.input("x", (9,)), ops.maximum, ops.greater, float("nan"), float("nan"))
    masked = next(one for one in compiled(graph, rule, until="simplify").instructions if one.op.name == "masked")
    assert masked.inputs[2] == 0


def test_a_bound_of_another_dtype_is_left() -> None:
    graph = Graph("g")
    x, limit = graph.input("x", (9,), "float32"), graph.constant("limit", 0.1)
    plan = compiled(graph, gated(x, ops.maximum, ops.greater, limit, limit), until="simplify")
    made = {instruction.op.name: instruction for instruction in plan.instructions}
    assert made["greater"].inputs[0] == made["masked"].inputs[2] == 0


def test_integers_have_no_negative_zero() -> None:
    graph = Graph("g")
    k = graph.input("k", (3,), "int64")
    assert op_names(compiled(graph, (k + 0) * 2)) == ["multiply"]


# ------------------------------------------------------------------------------------------------ share, drop, products


def test_common_subexpressions_are_shared() -> None:
    graph = Graph("g")
    x = graph.input("x", (3,))
    plan = compiled(graph, ops.exp(x) * ops.exp(x * 1), ops.exp(ops.transpose(ops.transpose(x))) + 1)
    assert op_names(plan).count("exp") == 2  # of x, and of what only the views show to be x
    plan = compiled(graph, x * graph.constant("a", [1.0, 2.0, 3.0]), x * graph.constant("b", [1.0, 2.0, 3.0]))
    assert op_names(plan) == ["multiply"]


def test_numbers_that_compare_equal_are_not_the_same() -> None:
    graph = Graph("g")
    x = graph.input("x", (2,))
    plan = compiled(graph, x + 0.0, x + -0.0, x * 2, x * 2.0, x + 0)
    assert interpreted(plan, [np.array([-0.0, 1.0])])[0][1].tobytes() == np.array([-0.0, 1.0]).tobytes()
    k = graph.input("k", (2,), "int64")
    plan = compiled(graph, k * 2 - 1, k * 2.0 - 1)
    assert [array.dtype.name for array in interpreted(plan, [np.array([1, 2])])[0]] == ["int64", "float64"]


def test_attributes_that_compare_equal_are_not_the_same() -> None:
    @primitive(elementwise=True, operation="functions")
    def signed(x, *, zero: float):  # type: ignore[no-untyped-def]
        """x with the sign of zero."""
        return np.copysign(x, zero)

    graph = Graph("g")
    x = graph.input("x", (2,))
    plan = compiled(graph, graph.apply(signed, [x], {"zero": 0.0}), graph.apply(signed, [x], {"zero": -0.0}))
    assert [array.tolist() for array in interpreted(plan, [np.ones(2)])[0]] == [[1, 1], [-1, -1]]


def test_dead_instructions_and_constants_are_dropped() -> None:
    graph = Graph("g")
    x, c = graph.input("x", (3,)), graph.constant("c", np.ones(3))
    graph.node("unused", ops.exp(x * c))
    plan = compiled(graph, x + 1)
    assert op_names(plan) == ["add"]
    assert list(plan.constants.values()) == [1]


def test_a_transposed_product_is_turned_round() -> None:
    graph = Graph("g")
    a, b = graph.input("a", (2, 3)), graph.input("b", (3, 4))
    plan = compiled(graph, ops.transpose(a @ b))
    assert op_names(plan) == ["matmul"]
    assert plan.output_slots == (plan.instructions[0].output,)
    kept = compiled(graph, ops.transpose(a @ b), ops.exp(a @ b))
    assert kept.output_slots[0] in kept.views


@pytest.mark.parametrize(("count", "expected"), [(1024, ["matmul"]), (1025, ["multiply", "sum"])])
def test_small_sums_of_products(count: int, expected: list[str]) -> None:
    graph = Graph("g")
    x, y = graph.input("x", (count,)), graph.input("y", (count,))
    assert op_names(compiled(graph, ops.sum(x * y))) == expected
    assert op_names(compiled(graph, ops.sum(x * y, axis=0) + 0, ops.exp(x * y)))[:2] == ["multiply", "sum"]


def test_a_sum_of_stacked_products_is_one_product() -> None:
    graph = Graph("g")
    a, b = graph.input("a", (5, 2, 3)), graph.input("b", (5, 2, 4))
    total = ops.sum_to(ops.transpose(a, axes=(0, 2, 1)) @ b, shape=(3, 4))
    plan = compiled(graph, total)
    assert op_names(plan) == ["matmul"]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(5, 2, columns)) for columns in (3, 4)]
    (result,), _ = interpreted(plan, values)
    np.testing.assert_allclose(result, np.einsum("ijk,ijl->kl", *values), rtol=1e-13)


# ------------------------------------------------------------------------------------------------ placements


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("0", "2", "1"), ["place_all"]),
        (("0", "2"), ["place_all"]),
        (("0", "0:2", "2"), ["place", "place", "place", "add", "add"]),
    ],
    ids=["everywhere", "with a gap", "two that meet"],
)
def test_what_is_placed_apart_is_placed_in_one_array(keys: tuple[str, ...], expected: list[str]) -> None:
    graph = Graph("g")
    shapes = [(2, 3) if ":" in key else (3,) for key in keys]
    inputs = [graph.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    parts = [ops.place(x, key=key, shape=(3, 3)) for x, key in zip(inputs, keys, strict=True)]
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total = total + part
    plan = compiled(graph, total)
    assert sorted(op_names(plan)) == sorted(expected)
    values = [np.full(shape, -0.0) for shape in shapes]
    values[0] = np.array([np.nan, np.inf, -0.0])
    (result,), _ = interpreted(plan, values)
    expected_sum = np.zeros((3, 3))
    expected_sum[0] = values[0]
    np.testing.assert_array_equal(result, expected_sum)
    assert not np.signbit(result).any()  # −0 + 0 is 0


# ------------------------------------------------------------------------------------------------ views and order


@pytest.mark.parametrize(
    ("rule", "shape"),
    [
        (lambda x: ops.transpose(x), (4, 3)),
        (lambda x: ops.reshape(x, shape=(2, 6)), (2, 6)),
        (lambda x: ops.transpose(x)[1:, ::-2], (3, 2)),
        (lambda x: ops.expand_dims(x[0], axis=(0, 2)), (1, 4, 1)),
        (lambda x: ops.broadcast_to(x[1, 2], shape=(5,)), (5,)),
        (lambda x: ops.broadcast_to(x[:, :1], shape=(2, 3, 4)), (2, 3, 4)),
        (lambda x: x[3:], (0, 4)),
        (lambda x: ops.reshape(ops.identity(x), shape=(12,))[-1], ()),
    ],
)
def test_views_copy_nothing(rule: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    graph = Graph("g")
    plan = compiled(graph, rule(graph.input("x", (3, 4))))
    array = np.arange(12.0).reshape(3, 4)
    (slot,) = plan.output_slots
    assert plan.instructions == ()
    window = plan.read([array], slot)
    assert window.shape == shape
    assert np.may_share_memory(window, array) or not window.size
    np.testing.assert_array_equal(window, rule(array) if shape != () else array[2, 3])


def test_a_reshape_that_has_to_copy_is_an_instruction() -> None:
    graph = Graph("g")
    plan = compiled(graph, ops.reshape(ops.transpose(graph.input("x", (3, 4))), shape=(12,)))
    assert op_names(plan) == ["reshape"]
    assert len(plan.views) == 1


def test_an_op_that_only_says_it_is_a_view_is_none() -> None:
    @primitive(elementwise=True, operation="none", view="always")
    def fresh(x):  # type: ignore[no-untyped-def]
        """A copy."""
        return np.array(x)

    graph = Graph("g")
    assert op_names(compiled(graph, graph.apply(fresh, [graph.input("x", (3,))]))) == ["fresh"]


def test_gradients_of_parameters_are_not_left_to_the_end() -> None:
    graph = Graph("g")
    x = graph.input("x", (8, 8))
    h, products = x, []
    for _ in range(20):
        h = ops.tanh(h)
        products.append(h @ h)
    plan = compiled(graph, h + 1, *products)
    assert plan.arena_bytes <= (DEFERRED + 2) * 8 * 8 * 8


# ------------------------------------------------------------------------------------------------ regions and the arena


def test_what_is_elementwise_stands_together() -> None:
    graph = Graph("g")
    x = graph.input("x", (50, 40))
    h = ops.tanh(x * 2) + 1
    total = ops.sum(h)  # only an output: it does not cut the region in two
    plan = compiled(graph, ops.exp(h) * x, total)
    assert op_names(plan) == ["multiply", "tanh", "add", "exp", "multiply", "sum"]
    (region,) = plan.regions
    assert (region.start, region.stop, region.shape, len(region.outputs)) == (0, 5, (50, 40), 2)
    assert region.register_count == 1
    product = compiled(graph, ops.exp(ops.tanh(x) @ ops.transpose(x)) * 2)
    assert [(one.start, one.stop) for one in product.regions] == [(0, 1), (2, 4)]


def test_a_region_ends_where_its_result_is_read_across() -> None:
    graph = Graph("g")
    x = graph.input("x", (9, 9))
    h = ops.exp(x)
    plan = compiled(graph, h + ops.transpose(h))
    assert len(plan.regions) == 2


def test_results_take_the_place_of_what_ends() -> None:
    graph = Graph("g")
    h = graph.input("x", (16, 16))
    for _ in range(50):
        h = ops.tanh(h @ h)
    plan = compiled(graph, h + 1)
    assert plan.arena_bytes == 2 * 16 * 16 * 8


READ_AGAIN: dict[str, Callable[[Any, Any], Any]] = {
    "after the result is written": lambda x, h: (h + 1, lambda first: first * h + h),
    "in another order": lambda x, h: (h + ops.transpose(h), lambda first: first * 2),
    "in another order, from a later row": lambda x, h: (h * h[::-1], lambda first: first - x),
    "broadcast": lambda x, h: (h + h[:1], lambda first: first - h[1:2]),
}


@pytest.mark.parametrize("name", READ_AGAIN)
def test_no_result_takes_the_place_of_what_is_still_read(name: str) -> None:
    graph = Graph("g")
    x = graph.input("x", (6, 6))
    h = x @ x
    first, then = READ_AGAIN[name](x, h)
    second = then(first)
    # products read both, so that both need a place
    value = graph.node("y", first @ x + second @ x)
    arrays = [np.random.default_rng(0).normal(size=(6, 6))]
    plan = check_all(graph, [value.name], {"x": graph.spec("x")}, arrays)
    assert any(len(region.outputs) == 2 for region in plan.regions)


@pytest.mark.parametrize("seed", range(20))
def test_memory_is_neither_lost_nor_given_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory, blocks = _Memory(), []
    for _ in range(300):
        if blocks and rng.random() < 0.5:
            memory.give(*blocks.pop(rng.integers(len(blocks))))
        else:
            size = int(rng.integers(0, 500))
            start = memory.take(size)
            assert start % 64 == 0
            assert start + size <= memory.size
            for other, length in blocks:
                assert not (size and length) or start + size <= other or other + length <= start
            blocks.append((start, size))
    for block in blocks:
        memory.give(*block)
    whole = memory.size
    assert memory.take(whole) == 0  # all of it is one free block again
    assert memory.size == whole


# ------------------------------------------------------------------------------------------------ size


@pytest.mark.slow
def test_a_plan_of_100_000_nodes_takes_little_memory() -> None:
    graph = Graph("chain")
    h = x = graph.input("x", (4,))
    for i in range(50_000):
        h = ops.tanh(h) if i % 2 else h * x + 1
    graph.node("y", ops.sum(h))
    assert len(graph) > 75_000
    tracemalloc.start()
    plan = make_plan(graph, ["y"], {"x": TensorSpec((4,), np.dtype("float64"))})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(plan.instructions) == 75_001
    assert peak < 300e6


def test_lowering_keeps_the_order_and_refuses_what_is_missing() -> None:
    graph = Graph("g")
    x, y = graph.input("x", (3,)), graph.input("y", (3,))
    graph.node("z", x + y)
    with pytest.raises(Exception, match="input 'y' is needed and not given"):
        lower(graph, ["z"], {"x": graph.spec("x")})
    plan = lower(graph, ["z"], {"y": graph.spec("y"), "x": graph.spec("x")})
    assert plan.arguments == ("y", "x")
    assert plan.instructions[0].inputs == (1, 0)
    assert concrete(plan.spec(plan.output_slots[0])) == (3,)
    assert contiguous((2, 3, 4)) == (12, 4, 1)
    assert plan.instructions[0].op is lookup("add")
