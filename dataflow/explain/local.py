"""The Jacobian of one node with respect to one of its arguments, as an operator that knows its structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import pullback
from dataflow.graph.graph import Trace, trace_op
from dataflow.graph.node import OP
from dataflow.operations.jacobians import (
    DENSE_LIMIT,
    BlockByExample,
    Dense,
    Implicit,
    Jacobian,
    OnePerColumn,
    OnePerRow,
    Product,
    Sum,
    identity,
)
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of, specs_of

Local = Callable[[str, int], Jacobian]


@dataclass(frozen=True)
class Call:
    """One application of an op to arrays. ``examples`` is the length of the first axis of the result, and of the
    arguments of which ``by_example`` is true, where that axis is the batch's."""

    op: Op
    arguments: Sequence[Any]
    attributes: Mapping[str, Any]
    result: np.ndarray
    examples: int | None = None
    by_example: Sequence[bool] = ()


def local_jacobian(call: Call, position: int) -> Jacobian:
    """∂result/∂argument, of shape (entries of the result, entries of the argument)."""
    with np.errstate(all="ignore"):
        if position in call.op.local_rules:
            jacobian = call.op.local_rules[position](call.result, *call.arguments, **call.attributes)
            if jacobian is not None:
                return _checked(call, position, jacobian)
        if _is_elementwise(call):
            return _elementwise(call, position)
        if call.op.structure == "selection":
            return _selection(call, position)
        if call.op.structure == "sum":
            return _sum(call, position)
        if not call.op.is_primitive:
            jacobian = _through_body(call, position)
            if jacobian is not None:
                return jacobian
        return _by_rows(call, position)


def through(
    order: Sequence[str],
    arguments: Callable[[str], Sequence[Any]],
    output: str,
    source: str,
    size: int,
    local: Local,
) -> Jacobian | None:
    """∂output/∂source as the sum over all paths of the products of local Jacobians; ``None`` without a path.

    ``order`` is a topological order of the nodes on the way, the output of ``size`` entries last and the source
    not among them; ``local`` gives ∂node/∂argument by position.
    """
    products: dict[str, Jacobian] = {output: identity(size)}
    on_the_way = {*order, source}
    for name in reversed(order):
        if name not in products:
            continue
        for position, argument in enumerate(arguments(name)):
            if isinstance(argument, str) and argument in on_the_way:
                step = products[name] @ local(name, position)
                products[argument] = products[argument] + step if argument in products else step
    return products.get(source)


def _is_elementwise(call: Call) -> bool:
    if call.op.elementwise:
        return True
    if call.op.is_primitive:
        return False
    trace = _trace(call)
    return (
        all(trace.graph.op_of(name).elementwise for name in trace.graph.names(OP)) and trace.output not in trace.inputs
    )


def _trace(call: Call) -> Trace:
    return trace_op(call.op, specs_of(call.arguments), call.attributes, literals_of(call.arguments))


def _elementwise(call: Call, position: int) -> Jacobian:
    shape = call.result.shape
    spread = [np.broadcast_to(a, shape) if isinstance(a, np.ndarray) else a for a in call.arguments]
    ones = np.ones(shape, call.result.dtype)
    share = pullback(call.op, ones, call.result, spread, call.attributes, _only(call, position))[position]
    argument = np.asarray(call.arguments[position])
    columns = np.broadcast_to(np.arange(argument.size).reshape(argument.shape), shape).reshape(-1)
    if share is None:
        return OnePerRow(np.zeros(columns.size), np.full(columns.size, -1), argument.size)
    return OnePerRow(np.asarray(share).reshape(-1), columns, argument.size, plain=share is ones)


def _selection(call: Call, position: int) -> Jacobian:
    # The op itself moves the numbers of the argument's entries to where the entries go. Whole numbers and booleans
    # beside it stay, as they may say where; they may be moved, too, and are told apart by the entries' other numbers.
    argument = np.asarray(call.arguments[position])

    def moved(first: int) -> np.ndarray:
        entries = np.arange(first, first + argument.size, dtype=np.int64).reshape(argument.shape)
        numbers = [entries if i == position else _zeros(a) for i, a in enumerate(call.arguments)]
        return np.asarray(call.op.compute(numbers, call.attributes)).reshape(-1).astype(np.int64)

    columns, others = moved(0), moved(argument.size)
    columns[others - columns != argument.size] = -1
    return OnePerRow(np.where(columns >= 0, 1.0, 0.0), columns, argument.size, plain=True)


def _sum(call: Call, position: int) -> Jacobian:
    # The vjp of a sum repeats a cotangent over what was summed: it moves the numbers of the result's entries.
    argument = np.asarray(call.arguments[position])
    numbers = np.arange(call.result.size, dtype=np.float64).reshape(call.result.shape)
    arguments = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in call.arguments]
    share = pullback(call.op, numbers, call.result, arguments, call.attributes, _only(call, position))[position]
    rows = np.asarray(share).reshape(-1).astype(np.int64)
    return OnePerColumn(OnePerRow(np.ones(argument.size), rows, call.result.size, plain=True))


def _through_body(call: Call, position: int) -> Jacobian | None:
    """Of a composite op, by the structure of its parts; ``None`` where they do not add up to one structure, or where
    the op's own rule says otherwise, as it may at a kink."""
    trace = _trace(call)
    values = trace.replay_all(call.arguments)
    source = trace.inputs[position]
    if source is None:
        return None
    after = trace.graph.depending_on([source])
    order = [
        name
        for name in trace.graph.schedule([trace.output])
        if name in after and name != source and trace.graph.spec(name).is_float
    ]
    if not order:
        return identity(call.result.size) if trace.output == source else None

    def local(name: str, at: int) -> Jacobian:
        arguments = [values[a] if isinstance(a, str) else a for a in trace.graph.arguments(name)]
        op = trace.graph.op_of(name)
        inner = Call(op, op.complete(arguments), trace.graph.node_of(name).attributes, np.asarray(values[name]))
        return local_jacobian(inner, at)

    jacobian = through(order, trace.graph.arguments, trace.output, source, call.result.size, local)
    if jacobian is None:
        return None
    return None if isinstance(jacobian, (Product, Sum)) or not _agrees(call, position, jacobian) else jacobian


def _agrees(call: Call, position: int, jacobian: Jacobian) -> bool:
    """Whether the op's own derivative is this one, as a random cotangent tells."""
    probe = np.random.default_rng(0).uniform(0.5, 1.5, call.result.shape).astype(call.result.dtype)
    share = pullback(call.op, probe, call.result, call.arguments, call.attributes, _only(call, position))[position]
    found = jacobian.left(np.asarray(probe, np.float64).reshape(1, -1))[0]
    expected = np.zeros(found.shape) if share is None else np.asarray(share, np.float64).reshape(-1)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return np.allclose(found, expected, rtol=1e-6, atol=np.sqrt(np.finfo(probe.dtype).eps) * largest, equal_nan=True)


def _by_rows(call: Call, position: int) -> Jacobian:
    argument = np.asarray(call.arguments[position])
    rows, columns = call.result.size, argument.size

    def row(cotangent: np.ndarray) -> np.ndarray:
        g = cotangent.reshape(call.result.shape).astype(call.result.dtype)
        share = pullback(call.op, g, call.result, call.arguments, call.attributes, _only(call, position))[position]
        return np.zeros(columns) if share is None else np.asarray(share, dtype=np.float64).reshape(-1)

    if call.examples and position < len(call.by_example) and call.by_example[position]:
        blocks = _blocks(call.examples, rows, columns, row)
        if blocks is not None:
            return BlockByExample(blocks)
    if 8 * rows * columns > DENSE_LIMIT:
        return Implicit((rows, columns), row)
    return Dense(np.stack([row(unit) for unit in np.eye(rows)]) if rows else np.zeros((0, columns)))


def _blocks(examples: int, rows: int, columns: int, row: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """The blocks, if the op keeps examples apart: one pass for each entry of an example finds that row of all
    blocks. That no example leaks into another is then checked with a random cotangent, which a leak cannot pass."""
    height, width = rows // examples, columns // examples
    if 8 * examples * height * width > DENSE_LIMIT:
        return None
    blocks = np.zeros((examples, height, width))
    for i in range(height):
        cotangent = np.zeros((examples, height))
        cotangent[:, i] = 1
        blocks[:, i] = row(cotangent.reshape(-1)).reshape(examples, width)
    probe = np.random.default_rng(0).uniform(0.5, 1.5, rows)
    expected = BlockByExample(blocks).left(probe[None])[0]
    apart = np.allclose(row(probe), expected, rtol=1e-6, atol=1e-9 * (1 + np.abs(expected).max(initial=0)))
    return blocks if apart else None


def _checked(call: Call, position: int, jacobian: Jacobian) -> Jacobian:
    expected = (call.result.size, np.asarray(call.arguments[position]).size)
    if jacobian.shape != expected:
        raise ValueError(f"the local rule of op '{call.op.name}' gave the shape {jacobian.shape}, not {expected}")
    return jacobian


def _only(call: Call, position: int) -> list[bool]:
    return [i == position for i in range(len(call.arguments))]


def _zeros(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return np.zeros(argument.shape, np.int64) if argument.dtype.kind == "f" else argument
    return argument if argument is None else 0
