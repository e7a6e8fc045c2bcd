"""What a run costs in arithmetic, known from shapes alone, before anything runs.

Each operation on two entries, or on one, counts once, whatever their dtype. A matrix product of (m, k) and (k, n) is
m·k·n multiplications and m·(k − 1)·n additions, a sum of n entries n − 1 additions; what only moves entries costs
nothing.
This counts what the kernels are asked to do, not what the processor does: a fused multiply-add is two operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DataflowError, RuleError
from dataflow.graph.graph import infer, trace_op
from dataflow.graph.node import Node
from dataflow.graph.walk import walk
from dataflow.limits import is_limited, spend
from dataflow.operations.op import Op
from dataflow.operations.operands import Literal, literals_of, specs_of, with_literals
from dataflow.operations.operation_cost import Cost
from dataflow.shapes import TensorSpec, element_count

NOTHING = Cost()

Call: TypeAlias = "tuple[Op, Sequence[TensorSpec | None], Mapping[str, Any], Mapping[int, Literal]]"
"""An op, its arguments' specs, its attributes, and the arguments that are plain numbers by position."""


def cost_of(
    op: Op,
    specs: Sequence[TensorSpec | None],
    attributes: Mapping[str, Any],
    literals: Mapping[int, Literal] | None = None,
) -> Cost:
    """The cost of one call on inputs of these concrete specs; a composite op's is that of its body.

    A ``RuleError`` names a primitive op that does not say what it costs: a cost is never left out.
    """
    total = NOTHING
    waiting: list[Call]
    waiting = [(op, specs, attributes, literals or {})]
    while waiting:
        call = waiting.pop()
        if call[0].is_primitive:
            total += primitive_cost(call[0], infer(*call), *call[1:3])
        else:
            waiting += _calls_in_body(*call)
    return total


def primitive_cost(
    op: Op, result: TensorSpec, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any]
) -> Cost:
    """The cost of one call of a primitive op, from its own rule or from what its declaration says."""
    if op.cost_rule is not None:
        cost = op.cost_rule(result, *specs, **attributes)
        if not isinstance(cost, Cost):
            raise RuleError(f"the cost rule of op '{op.name}' gave {cost!r}; it should give a dataflow.Cost")
        return cost
    if op.operation is not None:
        return NOTHING if op.operation == "none" else Cost(**{op.operation: _entries(result)})
    if op.structure == "selection":
        return NOTHING
    if op.structure == "sum":
        first = next(spec for spec in specs if spec is not None)
        return Cost(additions=max(_entries(first) - _entries(result), 0))
    raise RuleError(
        f"op '{op.name}' does not say what it costs, so the cost of a run is not known: declare @{op.name}.cost, or "
        f"operation= where it is one operation for each entry of the result"
    )


ENTRIES_A_STEP = 1000
"""How many entries go through memory in one step of work, roughly."""
OPERATIONS_A_STEP = 40_000
"""How many operations one step of work has where entries are used many times, as in a matrix product."""


def spend_call(
    steps: int, node: str, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any], times: int = 1
) -> None:
    """Charge a call on arrays to the command's budget of work before it is computed: ``steps``, and more for many
    entries, all of it ``times`` over."""
    if is_limited():
        spend((steps + steps_of_entries(op, arguments, attributes)) * times, node)


def steps_of_entries(op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> int:
    """The extra steps of work of a call on many entries."""
    entries = sum(x.size for x in arguments if isinstance(x, np.ndarray))
    if entries <= ENTRIES_A_STEP:
        return 0
    return entries // ENTRIES_A_STEP + _operations(op, arguments, attributes) // OPERATIONS_A_STEP


def _operations(op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> int:
    try:
        return cost_of(op, specs_of(arguments), attributes, literals_of(arguments)).operations
    except DataflowError:  # it says no cost, or the call fails with an error of its own
        return 0


def says_its_cost(op: Op) -> bool:
    """Whether the op has a cost rule or declares what it costs."""
    return not op.is_primitive or not (op.cost_rule is None and op.operation is None and op.structure is None)


def _calls_in_body(
    op: Op, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
) -> list[Call]:
    trace = trace_op(op, specs, attributes, literals)
    calls: list[Call] = []

    def apply(name: str, inner: Op, node: Node, arguments: Sequence[Any]) -> TensorSpec:
        numbers = literals_of(arguments)
        inner_specs = with_literals([x if isinstance(x, TensorSpec) else None for x in arguments], numbers)
        calls.append((inner, inner_specs, node.attributes, numbers))
        return trace.graph.spec(name)

    walk(trace.graph, trace.graph.schedule([trace.output]), {}, apply, lambda name, _: trace.graph.spec(name))
    return calls


def _entries(spec: TensorSpec) -> int:
    count = element_count(spec.shape)
    if not isinstance(count, int):
        raise RuleError(f"what an op costs is known for concrete shapes, not for {spec}")
    return count
