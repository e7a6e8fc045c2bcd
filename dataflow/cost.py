"""What a run costs in arithmetic, known from shapes alone, before anything runs.

Each operation on two entries, or on one, counts once, whatever their dtype. A matrix product of (m, k) and (k, n) is
m·k·n multiplications and m·(k − 1)·n additions, a sum of n entries n − 1 additions; what only moves entries costs
nothing.
This is what the kernels are asked to do, not what a processor makes of it: a fused multiply-add is two operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from dataflow.errors import RuleError
from dataflow.graph import OP, infer, trace_op
from dataflow.op import Literal, Op
from dataflow.shapes import TensorSpec, element_count


@dataclass(frozen=True)
class Cost:
    """How many operations of each kind; costs can be added."""

    multiplications: int = 0
    divisions: int = 0
    additions: int = 0
    """Sums and differences."""
    comparisons: int = 0
    """Those that a minimum or a maximum makes included."""
    functions: int = 0
    """Evaluations of exp, log, sqrt, power, tanh, sin, ...: each is many operations of a processor."""
    signs: int = 0
    """Negations and absolute values."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: int) -> Cost:
        return Cost(*(count * times for count in astuple(self)))

    @property
    def operations(self) -> int:
        """All kinds together."""
        return sum(astuple(self))

    def plain(self) -> dict[str, int]:
        """By kind, those that are 0 included."""
        return dict(zip((one.name for one in fields(self)), astuple(self), strict=True))


NOTHING = Cost()


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
    waiting: list[tuple[Op, Sequence[TensorSpec | None], Mapping[str, Any], Mapping[int, Literal]]]
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


def says_its_cost(op: Op) -> bool:
    """Whether there is a rule, or something in its stead."""
    return not op.is_primitive or not (op.cost_rule is None and op.operation is None and op.structure is None)


def _calls_in_body(
    op: Op, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
) -> Iterator[tuple[Op, Sequence[TensorSpec | None], Mapping[str, Any], Mapping[int, Literal]]]:
    trace = trace_op(op, specs, attributes, literals)
    for name in trace.graph.schedule([trace.output]):
        data = trace.graph.nodes[name]
        if data["kind"] == OP:
            inner = trace.graph.op_of(name)
            arguments = inner.complete(trace.graph.arguments(name))
            numbers = {i: x for i, x in enumerate(arguments) if x is not None and not isinstance(x, str)}
            beside = [trace.graph.spec(x).dtype for x in arguments if isinstance(x, str)]
            yield (
                inner,
                [_spec(trace.graph.spec(x) if isinstance(x, str) else x, beside) for x in arguments],
                data["attributes"],
                numbers,
            )


def _spec(argument: TensorSpec | Literal | None, beside: Sequence[np.dtype]) -> TensorSpec | None:
    """A plain number takes the dtype of the arrays beside it."""
    if argument is None or isinstance(argument, TensorSpec):
        return argument
    return TensorSpec((), np.result_type(argument, *beside))


def _entries(spec: TensorSpec) -> int:
    count = element_count(spec.shape)
    if not isinstance(count, int):
        raise RuleError(f"what an op costs is known for concrete shapes, not for {spec}")
    return count
