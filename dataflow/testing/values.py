"""What is checked of an op's results: shapes, dtypes, and that the same comes out however it is run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.autodiff.batching import NoBatchRuleError, batched_graph
from dataflow.autodiff.reverse import gradient_graph, pullback
from dataflow.errors import DataflowError, DtypeError, OpError, RuleError, ShapeError
from dataflow.execution.forward import forward
from dataflow.graph.graph import trace_op
from dataflow.graph.walk import replay
from dataflow.operations.engine_ops import sum_to
from dataflow.plan import make_plan
from dataflow.registry.registry import backend
from dataflow.shapes import Shape, TensorSpec, bind, format_shape, made_names, parse_dim, renamed, substitute
from dataflow.support.conversion import first_place
from dataflow.testing.cases import Case

SHAPES = ((3, 1), (4,), (), (2, 3, 4))
"""Every pair of them broadcasts."""
FLOAT32 = np.dtype("float32")


def shape_rule(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The shape rule says what the kernel gives."""
    declared, result = case.infer(), case.run()
    if problem := bind(declared.shape, result.shape, {}):
        yield problem
    if declared.dtype != result.dtype:
        yield f"it says {declared.dtype}, the result is {result.dtype}"


def traced(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A node of a graph, run, gives what the op gives when it is called."""
    graph, known, y = case.graph()
    yield from differs("replayed", replay(graph, known, [y.name])[y.name], "called", case.run(), 0)


def body(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A composite's body, traced, gives what it gives on arrays, and its shape is the shape rule's."""
    if case.op.is_primitive:
        return
    trace = trace_op(case.op, case.specs, case.attributes, case.literals)
    yield from differs("the traced body", np.asarray(trace.replay(case.arguments)), "the op", case.run(), 0)
    declared, traced_spec = case.infer(), trace.graph.spec(trace.output)
    if declared != traced_spec:
        yield f"the shape rule says {declared}, the traced body {traced_spec}"


def deterministic(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The same arguments give the same bits, whatever was computed in between; so do the rules. And a result stays what
    it is when the op is called again."""
    other = _variant(case, case.arrays, rng)
    result = case.run()
    first = result.copy()
    other.run()
    yield from differs("the first result, after a run on other numbers", result, "before", first, 0)
    yield from differs("a second run", case.run(), "the first", first, 0)
    if not case.floats or first.dtype.kind != "f":
        return
    g = rng.normal(size=first.shape)
    shares = [case.pullback(g)]
    y = case.run()
    other.run()
    wanted = [i in case.floats for i in range(len(case.arguments))]
    shares.append(pullback(case.op, g, y, case.arguments, case.attributes, wanted))
    for i in case.floats:
        if shares[1][i] is not None:
            yield from differs(
                f"the cotangent of {name_of(case, i)} after a run on other numbers",
                shares[1][i],
                "before",
                shares[0][i],
                0,
            )


def bound(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A plan that is bound while every number is 0 gives for other numbers what the op gives for them: nothing is
    decided by entries before it runs."""
    graph, known, y = case.graph()
    if graph.makes_sizes:
        return  # no plan has shapes that depend on values
    plan = make_plan(graph, [y.name], {name: TensorSpec(array.shape, array.dtype) for name, array in known.items()})
    places = {name: np.zeros(array.shape, array.dtype) for name, array in known.items()}
    declared = case.infer()
    result = np.zeros(substitute(declared.shape, {}), declared.dtype)
    run = backend("numpy").prepare(plan).bind(list(places.values()), [result])
    for other in (case, _variant(case, case.arrays, rng)):
        for i in case.arrays:
            places[f"x{i}"][...] = other.arguments[i]
        run()
        yield from differs("the plan", result, "the op", other.run(), 1e-9)


def inputs_unchanged(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """Neither the kernel nor a rule writes to what it is given, nor later to what it was given once."""
    arguments, again = ([x.copy() if isinstance(x, np.ndarray) else x for x in case.arguments] for _ in range(2))
    y = np.array(case.op.compute(arguments, case.attributes))
    yield from _changed(case, arguments, "the kernel")
    case.op.compute(again, case.attributes)
    yield from _changed(case, arguments, "a later call of the kernel")
    if not case.floats or y.dtype.kind != "f":
        return
    g = rng.normal(size=y.shape)
    kept_g, kept_y = g.copy(), y.copy()
    wanted = [i in case.floats for i in range(len(arguments))]
    pullback(case.op, g, y, arguments, case.attributes, wanted)
    yield from _changed(case, arguments, "the derivative rule")
    for name, kept, now in (("g", kept_g, g), ("y", kept_y, y)):
        if not np.array_equal(kept, now, equal_nan=True):
            yield f"the derivative rule changes {name}"


def broadcasting(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """An elementwise op broadcasts as numpy does."""
    for spread, whole in broadcast_pairs(case, rng):
        declared, result, expected = spread.infer(), spread.run(), whole.run()
        yield from differs(f"shapes {_shapes(spread)}: broadcast by the op", result, "beforehand", expected, 0)
        if declared.shape != result.shape:
            shapes = f"the result has {format_shape(result.shape)}, {format_shape(declared.shape)} is declared"
            yield f"shapes {_shapes(spread)}: {shapes}"


def plain_numbers(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A plain number in an elementwise op is like a scalar array, and takes the dtype of the arrays beside it."""
    if not case.op.elementwise or len(case.arrays) < 2:
        return
    for i in case.floats:
        number = float(case.arguments[i].flat[0])
        plain, scalar = case.changed({i: number}), case.changed({i: np.asarray(number)})
        yield from differs(
            f"with the number {number!r} as {name_of(case, i)}", plain.run(), "as an array", scalar.run(), 0
        )
        narrow = plain.with_arguments([_as_float32(x) for x in plain.arguments])
        if narrow.floats and plain.run().dtype.kind == "f" and narrow.run().dtype != FLOAT32:
            yield f"float32 and the number {number!r} as {name_of(case, i)} give {narrow.run().dtype}"
        if narrow.infer().dtype != narrow.run().dtype:
            yield f"float32 and a number: {narrow.infer().dtype} is declared, the result is {narrow.run().dtype}"


def empty_arrays(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """An elementwise op takes arrays without elements."""
    if not case.elementwise:
        return
    for shape in ((0,), (0, 3)):
        empty = case.changed({i: np.zeros(shape, case.arguments[i].dtype) for i in case.arrays})
        result = empty.run()
        if result.shape != shape or empty.infer().shape != shape:
            yield f"arrays of shape {shape} give {result.shape}, {format_shape(empty.infer().shape)} is declared"
        if case.floats and result.dtype.kind == "f":
            for i, share in enumerate(empty.pullback(np.zeros(shape))):
                if i in case.floats and share.shape != shape:
                    yield f"the cotangent of {name_of(case, i)} of shape {shape} has the shape {share.shape}"


def symbolic_sizes(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """Where a first axis may be symbolic, its number put in gives what the number itself gives; 0 is one, too."""
    for group in _groups(case):
        size = case.arguments[group[0]].shape[0]
        shapes: dict[int, Shape] = {i: (parse_dim("n"), *case.arguments[i].shape[1:]) for i in group}
        specs = [TensorSpec(shapes[i], s.dtype) if i in shapes and s else s for i, s in enumerate(case.specs)]
        try:
            declared = case.infer(specs)
        except (ShapeError, DtypeError, OpError):
            continue  # the op does not take a symbolic size here, and says so
        for n in (size, 0, size + 2):
            rows = np.arange(size) if n == size else rng.integers(size, size=n) if size else np.zeros(n, int)
            sized = case.changed({i: case.arguments[i][rows] for i in group})
            where = f"first axis of {' and '.join(name_of(case, i) for i in group)} of size n = {n}"
            try:
                concrete = sized.infer()
            except ShapeError:
                continue  # such as the maximum of no elements
            expected = renamed(declared.shape, {"n": n})
            if (concrete.shape != expected and not made_names(expected)) or concrete.dtype != declared.dtype:
                yield f"{where}: {declared} is declared for n, {concrete} for {n}"
            try:
                result = sized.run()
            except RuleError:
                if any(case.arguments[i].dtype.kind in "iu" for i in set(case.arrays) - set(group)):
                    continue  # indices that point beyond it
                raise
            if bind(expected, result.shape, {}):
                yield f"{where}: the result has the shape {result.shape}, {declared} is declared"
            if case.floats and result.dtype.kind == "f":
                yield from (f"{where}: {text}" for text in _symbolic_gradient(sized, shapes, n, rng))


def float32(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """float32 gives float32, near to what float64 gives; so do the cotangents."""
    if not case.floats:
        return
    narrow = case.with_arguments([_as_float32(x) for x in case.arguments])
    wide = case.with_arguments([x.astype(np.float64) if _is_float(x) else x for x in narrow.arguments])
    result, expected, declared = narrow.run(), wide.run(), narrow.infer()
    if declared.dtype != result.dtype:
        yield f"it says {declared.dtype}, the result is {result.dtype}"
    if expected.dtype.kind != "f":
        return
    if result.dtype != FLOAT32 and result.dtype.name not in case.attributes.values():
        yield f"float32 gives {result.dtype}"
    yield from differs("float32", result.astype(np.float64), "float64", expected, 1e-4)
    g = rng.normal(size=result.shape).astype(result.dtype)
    for i, (a, b) in enumerate(zip(narrow.pullback(g), wide.pullback(g.astype(np.float64)), strict=True)):
        if i in case.floats:
            if a.dtype != FLOAT32:
                yield f"the cotangent of a float32 {name_of(case, i)} is {a.dtype}"
            yield from differs(
                f"the cotangent of {name_of(case, i)} in float32", a.astype(np.float64), "float64", b, 1e-3
            )


def batch_rule(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """Many sets of arguments at once give what they give one by one."""
    count = 3
    for group in {case.arrays, *((i,) for i in case.arrays)}:
        graph, known, y = case.graph()
        try:
            batched, outputs = batched_graph(graph, [y.name], [f"x{i}" for i in group], count)
        except NoBatchRuleError:
            return
        sets = [_variant(case, group, rng) for _ in range(count)]
        known |= {f"x{i}": np.stack([single.arguments[i] for single in sets]) for i in group}
        result = np.asarray(replay(batched, known, [outputs[y.name]])[outputs[y.name]])
        expected = np.stack([single.run() for single in sets])
        which = " and ".join(name_of(case, i) for i in group)
        yield from differs(f"a batch of {which}", result, "one by one", expected, 1e-12)


# ------------------------------------------------------------------------------------------------ for the other checks


def broadcast_pairs(case: Case, rng: np.random.Generator) -> Iterator[tuple[Case, Case]]:
    """Cases of an elementwise op whose arguments broadcast, each with the same broadcast beforehand. The numbers are
    those of the case's own sample, so that they lie in the op's domain."""
    if not case.elementwise or any(case.arguments[i].size == 0 for i in case.arrays):
        return
    combinations = list(itertools.product(SHAPES, repeat=len(case.arrays)))
    if len(combinations) > 16:
        combinations = [combinations[k] for k in sorted(rng.choice(len(combinations), 16, replace=False))]
    for shapes in combinations:
        spread = case.changed(
            {i: _draw(case.arguments[i], shape, rng) for i, shape in zip(case.arrays, shapes, strict=True)}
        )
        target = np.broadcast_shapes(*shapes)
        yield spread, spread.changed({i: np.broadcast_to(spread.arguments[i], target) for i in case.arrays})


def differs(
    what: str, result: np.ndarray, other: str, expected: np.ndarray, tolerance: float, scale: float = 0.0
) -> Iterator[str]:
    """A line with the numbers where two arrays are not the same, or not near enough."""
    if result.shape != expected.shape:
        yield f"{what}: the shape {result.shape}, {other}: {expected.shape}"
        return
    if result.dtype != expected.dtype:
        yield f"{what}: {result.dtype}, {other}: {expected.dtype}"
        return
    if tolerance == 0 or result.dtype.kind != "f":
        wrong = (result != expected) & ~((result != result) & (expected != expected))
    else:
        finite = np.abs(expected[np.isfinite(expected)])
        wrong = ~np.isclose(
            result, expected, rtol=tolerance, atol=tolerance * max(scale, finite.max(initial=0.0)), equal_nan=True
        )
    if np.any(wrong):
        place = first_place(wrong)
        at = f" at {list(place)}" if place else ""
        yield f"{what}: {result[place].item():.12g}{at}, {other}: {expected[place].item():.12g}"


def name_of(case: Case, position: int) -> str:
    """An input's name."""
    return f"{case.op.inputs[0]}[{position}]" if case.op.variadic else case.op.inputs[position]


def _symbolic_gradient(sized: Case, shapes: Mapping[int, Shape], n: int, rng: np.random.Generator) -> Iterator[str]:
    graph, known, y = sized.graph(shapes)
    u = graph.input("u", y.shape, y.dtype)
    graph.node("f", sum_to(y * u, shape=()))
    g = rng.normal(size=sized.run().shape).astype(y.dtype)
    wrt = [f"x{i}" for i in sized.floats]
    gradient = gradient_graph(graph, "f", wrt)
    targets = [gradient.cotangents[name] for name in wrt if name in gradient.cotangents]
    values = forward(gradient.graph, gradient.graph.schedule(targets), {**known, "u": g}, {"n": n})
    for i, expected in enumerate(sized.pullback(g)):
        if f"x{i}" in gradient.cotangents:
            cotangent = values[gradient.cotangents[f"x{i}"]]
            yield from differs(
                f"the gradient graph's cotangent of {name_of(sized, i)}", cotangent, "the rule's", expected, 1e-12
            )


def _groups(case: Case) -> list[tuple[int, ...]]:
    """Sets of arrays whose first axes may have one size: all of one size together, and each alone."""
    with_axes = [i for i in case.arrays if case.arguments[i].ndim]
    together: dict[int, list[int]] = {}
    for i in with_axes:
        together.setdefault(case.arguments[i].shape[0], []).append(i)
    return sorted({*(tuple(group) for group in together.values()), *((i,) for i in with_axes)})


def _changed(case: Case, arguments: list[Any], who: str) -> Iterator[str]:
    for i in case.arrays:
        if not np.array_equal(case.arguments[i], arguments[i], equal_nan=case.arguments[i].dtype.kind == "f"):
            yield f"{who} changes its input {name_of(case, i)}"


def _variant(case: Case, group: Sequence[int], rng: np.random.Generator) -> Case:
    """The case with other numbers for some arguments: the same in another order, or all a little larger."""
    orders = {i: rng.permutation(case.arguments[i].flatten()).reshape(case.arguments[i].shape) for i in group}
    grown = {i: case.arguments[i] * 1.25 for i in group if i in case.floats}
    if all(np.array_equal(orders[i], case.arguments[i]) for i in group):
        orders = grown
    for changes in (orders, grown):
        other = case.changed(changes)
        try:
            other.run()
        except DataflowError:
            continue  # outside the op's domain
        return other
    return case


def _draw(argument: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.choice(argument.reshape(-1), size=shape))


def _is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def _as_float32(argument: Any) -> Any:
    return argument.astype(FLOAT32) if _is_float(argument) else argument


def _shapes(case: Case) -> str:
    return " and ".join(format_shape(case.arguments[i].shape) for i in case.arrays)
