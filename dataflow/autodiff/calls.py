"""One call of an op with several outputs: which nodes it is, and the cotangents of all its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.operations.engine_ops import where
from dataflow.operations.op import Op
from dataflow.operations.outputs import Outputs


def calls_of(graph: Graph, order: Sequence[str]) -> dict[str, list[str]]:
    """The nodes that are outputs of one call of an op whose derivative rule takes the cotangents of all of them: by the
    first of ``order``, which comes last on the way back; the others have an empty list. One visit of all of them costs
    what each visit of one would."""
    calls: dict[str, list[str]] = {}
    if not any(op.family is not None for op in graph.ops.values()):
        return calls
    first: dict[Any, str] = {}
    for name in order:
        node = graph.node_of(name)
        op = graph.ops[node.op] if node.op else None
        if op is not None and op.family is not None and (op.vjp_rule is not None or op.vjp_rules_by_input):
            arguments = tuple([x if isinstance(x, str) else (type(x), repr(x)) for x in graph.arguments(name)])
            found = first.setdefault((op.family, arguments, tuple(node.attributes.items())), name)
            calls[name] = []
            calls[found].append(name)
    return calls


def of_all_outputs(
    op: Op, g: Any, y: Any, arguments: Sequence[Any], attributes: Mapping[str, Any]
) -> tuple[Outputs, Outputs]:
    """The cotangents and results of all outputs of an op with several, of which ``op`` gives one: cotangents that are
    not given are zeros, or ``None`` where an output is no float. What the rule does not ask for is not computed."""
    family, own = op.family, op.output_name
    assert family is not None
    given = g if isinstance(g, dict) else {own: g}
    names = family.outputs_of(attributes)
    computed: dict[str, Any] = {}

    def result(name: str) -> Any:
        if name == own:
            return y
        if isinstance(y, Value):
            return family.output(name)(*arguments, **attributes)
        if not computed:
            computed.update(family.compute_outputs(arguments, attributes))
        return computed[name]

    results = Outputs(family.name, names, result)

    def cotangent(name: str) -> Any:
        if name in given:
            return given[name]
        return where(False, results[name], 0) if results[name].dtype.kind == "f" else None

    return Outputs(family.name, names, cotangent), results
