"""From the header of a msgpack file to its graph. Nothing that the file says is trusted.

Ops are looked up by their registered names, attributes are bound as the op declares them, shapes and dtypes are
inferred anew and held against the file's. The layout is described in ``dataflow.files.msgpack.binary``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, FileFormatError, GraphError, OpError, ShapeError
from dataflow.files.msgpack.unpack_calls import check_calls, unpack_blocks, unpack_calls
from dataflow.files.msgpack.unpack_subgraph import SubgraphReader
from dataflow.files.node_limits import NodeLimits
from dataflow.files.plain_checks import (
    MAX_NAME,
    MAX_TITLE,
    brief,
    is_number_in_array,
    is_op_name,
    name_of,
    row_of,
    sequence,
    typed,
)
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER, Node
from dataflow.graph.node_names import check_name, check_output
from dataflow.graph.walk import sized_attributes
from dataflow.operations.op import Op
from dataflow.registry import registry
from dataflow.shapes import TRAINED, Size, TensorSpec, made_names, parse_dtype, parse_shape, renamed
from dataflow.support.texts import quoted
from dataflow.support.topological import topological_order


def unpack_graph(header: Mapping[str, Any], unused: dict[str, np.ndarray], ops: Mapping[str, Op]) -> Graph:
    """The graph, whose parameters' and constants' values are taken out of ``unused``; ``ops`` count before the
    registered ones."""
    return _Nodes(header, unused, ops).graph()


class _Nodes:
    """The nodes of a file, by number."""

    def __init__(self, header: Mapping[str, Any], unused: dict[str, np.ndarray], ops: Mapping[str, Op]) -> None:
        self.header = header
        self.ops = ops
        self.unused = unused
        self.rows = sequence(header["nodes"], "nodes")
        self.limits = NodeLimits()
        self.limits.add_nodes(len(self.rows))
        self.graphs = SubgraphReader(self.op_called, self.limits)
        self.made: dict[str, Any] = {}
        """What the file calls the sizes that nodes make, by what the graph calls them."""
        self.names: list[str] = []
        self.calls = unpack_calls(header)
        self.paths = list(self.calls)
        self.specs = [_unpack_spec(row, i) for i, row in enumerate(sequence(header["specs"], "specs"))]
        self.applications = [
            self.application(row, i) for i, row in enumerate(sequence(header["applications"], "applications"))
        ]

    def graph(self) -> Graph:
        """All nodes, added in an order in which each comes after its arguments, then put in the file's order."""
        name = typed(self.header["name"], str, "name")
        if len(name) > MAX_TITLE or not name.isprintable():
            raise FileFormatError(f"name is text on one line, of at most {MAX_TITLE} characters, not {quoted(name)}")
        graph = Graph(name, parse_dtype(typed(self.header["dtype"], str, "dtype")))
        for i, row in enumerate(self.rows):
            self.names.append(_checked_name(row, i))
        if len(set(self.names)) < len(self.names):
            seen: set[str] = set()
            twice = next(name for name in self.names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise GraphError(f"the name '{twice}' is used twice", node=twice)
        arguments = [self.argument_numbers(i) for i in range(len(self.rows))]
        order = self.topological(arguments)
        for i in order:
            try:
                self.add(graph, i)
            except DataflowError as error:
                raise error.at(node=self.names[i]) from None
        if order != list(range(len(order))):
            graph = _reordered(graph, self.names)
        blocks = unpack_blocks(self.header, graph)
        if blocks or self.calls:
            graph.blocks.update(blocks)
            graph.calls.update(self.calls)
            check_calls(graph, blocks, self.calls)
        return graph

    def application(self, row: Any, i: int) -> tuple[Op, dict[str, Any]]:
        name, given = row_of(row, 2, f"application {i}")
        if not is_op_name(name):
            raise FileFormatError(f"application {i}: {quoted(name)} is not the name of an op")
        if not isinstance(given, dict) or not all(key.isidentifier() for key in given):
            raise FileFormatError(f"application {i}: the attributes of op '{name}' are a map from names to values")
        try:
            op = self.op_called(name)
            return op, op.bind(self.graphs.with_graphs(op, given))
        except OpError as error:
            family = name.partition(":")[0]
            owner = self.header["plugins"].get(family) if isinstance(self.header["plugins"], dict) else None
            if isinstance(owner, str) and family not in registry.all_ops():
                error.message += f" (the file was saved with it from {brief(owner)})"
            raise error.at(node=self.first_node(i)) from None

    def op_called(self, name: str) -> Op:
        """The op of that name."""
        return self.ops[name] if name in self.ops else registry.lookup(name)

    def first_node(self, application: int) -> str | None:
        """The first node that an application belongs to, for an error."""
        for row in self.rows:
            if isinstance(row, list) and len(row) > 3 and type(row[3]) is int and row[3] == application:
                return row[0] if isinstance(row[0], str) and len(row[0]) <= MAX_NAME else None
        return None

    def argument_numbers(self, i: int) -> list[int]:
        """The numbers of the nodes that node ``i`` is applied to; its row is checked as far as that goes."""
        row = self.rows[i]
        if type(row[3]) is not int:
            return []
        if len(row) not in (5, 6) or not isinstance(row[4], list):
            raise self.wrong(i, "an op has a row of 5, with its arguments as an array")
        self.limits.add_inputs(len(row[4]), self.names[i])
        found = []
        for argument in row[4]:
            if type(argument) is int:
                if not 0 <= argument < len(self.rows):
                    raise self.wrong(i, f"its argument is node {argument}, and there are {len(self.rows)}", GraphError)
                found.append(argument)
            elif argument is not None and not is_number_in_array(argument):
                raise self.wrong(i, "an argument is the number of a node, an array around a plain number, or nil")
        if not found:
            raise self.wrong(i, "an op is applied to at least one node; a number alone is a constant", GraphError)
        return found

    def topological(self, arguments: Sequence[Sequence[int]]) -> list[int]:
        """The numbers of the nodes, each after its arguments; as they stand, if they stand so. A cycle is an error."""
        order, cycle = topological_order(dict(enumerate(arguments)))
        if cycle:
            loop = [self.names[i] for i in cycle]
            raise GraphError("the graph has a cycle: " + " -> ".join([*loop, loop[0]]), node=loop[0])
        return order

    def add(self, graph: Graph, i: int) -> None:
        """Add node ``i``, whose arguments are there."""
        name, row = self.names[i], self.rows[i]
        spec = self.specs[self.number(i, row[1], self.specs, "spec")]
        call = None if row[2] is None else self.paths[self.number(i, row[2], self.paths, "call")]
        if type(row[3]) is int:
            op, bound = self.applications[self.number(i, row[3], self.applications, "application")]
            operands = [graph.value(self.names[x]) if type(x) is int else x and x[0] for x in row[4]]
            if graph.makes_sizes:
                own = {theirs: Size.symbol(name) for name, theirs in self.made.items()}
                bound = sized_attributes(op, bound, own)
            found = graph.apply(op, operands, bound, name=name).spec
            if found != spec and not self.is_same(found, spec):
                raise ShapeError(f"the file says {spec} of it, and op '{op.name}' gives {found}")
            of = self.names[self.number(i, row[5], self.names, "node")] if len(row) == 6 else None
            if call is not None or of is not None:
                graph.change_node(name, block=call, cotangent_of=of)
        else:
            self.declare(graph, name, spec, call, row[3:])

    def is_same(self, found: TensorSpec, spec: TensorSpec) -> bool:
        """Whether a spec is what the file says, but for the names of sizes that nodes make."""
        for ours, theirs in zip(found.shape, spec.shape, strict=False):
            if made_names([ours]) and isinstance(ours, Size) and isinstance(theirs, Size):
                names = ours.as_symbol, theirs.as_symbol
                if names[0] is not None and names[1] is not None:
                    self.made.setdefault(names[0], names[1])
        names_of_file = {name: Size.symbol(theirs) for name, theirs in self.made.items()}
        return TensorSpec(renamed(found.shape, names_of_file), found.dtype) == spec

    def declare(self, graph: Graph, name: str, spec: TensorSpec, call: str | None, rest: list[Any]) -> None:
        value = None
        if made_names(spec.shape):
            raise ShapeError(f"it is no op, and {spec} has a size that depends on values")
        match rest:
            case ["input"]:
                kind, init = INPUT, None
            case ["constant"]:
                kind, init = CONSTANT, None
                value = self.tensor("constants", name, spec, required=True)
            case ["parameter", init]:
                kind, value = PARAMETER, self.tensor("parameters", name, spec, required=init is None)
                if init is not None:
                    init, value = _unpack_init(init, spec, drawn=value is not None), None
            case _:
                raise FileFormatError(
                    "a node is an input, a parameter with its initializer or nil, a constant, or an op with arguments; "
                    f"found {brief(rest)}"
                )
        graph.set_node(name, Node(kind, spec.shape, spec.dtype, init=init, value=value, block=call))

    def tensor(self, kind: str, name: str, spec: TensorSpec, *, required: bool) -> np.ndarray | None:
        """The value of a parameter or constant, which must be as declared."""
        array = self.unused.pop(f"{kind}/{name}", None)
        if array is None:
            if required:
                raise FileFormatError(f"its value, the tensor '{kind}/{name}', is not in the file")
            return None
        if array.shape != spec.shape or array.dtype != spec.dtype:
            found = TensorSpec(array.shape, array.dtype)
            raise ShapeError(f"the file says {spec} of it, and its tensor is {found}")
        return array

    def number(self, i: int, value: Any, table: Sequence[Any], what: str) -> int:
        if type(value) is not int or not 0 <= value < len(table):
            raise self.wrong(i, f"its {what} is a number below {len(table)}, not {brief(value)}")
        return value

    def wrong(self, i: int, message: str, error: type[DataflowError] = FileFormatError) -> DataflowError:
        return error(message, node=self.names[i])


def _checked_name(row: Any, i: int) -> str:
    if not isinstance(row, list) or not 4 <= len(row) <= 6:
        raise FileFormatError(f"node {i} is an array of 4 to 6: name, spec, call, kind and what belongs to it")
    check_name(name := name_of(row[0], f"node {i}"))
    check_output(name, None if type(row[3]) is not int else name.partition(":")[2])
    return name


def _reordered(graph: Graph, names: Sequence[str]) -> Graph:
    """The same graph with its nodes in another order."""
    result = Graph(graph.name, graph.dtype)
    result.ops.update(graph.ops)
    for name in names:
        result.set_node(name, graph.node_of(name))
    for name in names:
        if graph.node_of(name).kind == OP:
            edges = ((x, name, i) for i, x in enumerate(graph.arguments(name)) if isinstance(x, str))
            result.add_edges_from(edges)
    return result


def _unpack_spec(row: Any, i: int) -> TensorSpec:
    dtype, shape = row_of(row, 2, f"spec {i}")
    try:
        parsed = parse_shape(shape)
        if any(isinstance(size, str) and isinstance(known, int) for size, known in zip(shape, parsed, strict=True)):
            raise ShapeError(f"a size that is a number is written as one, in {brief(shape)}")
        return TensorSpec(parsed, parse_dtype(typed(dtype, str, f"spec {i}")))
    except DataflowError as error:
        error.message = f"spec {i}: {error.message}"
        raise


def _unpack_init(init: Any, spec: TensorSpec, *, drawn: bool) -> dict[str, Any]:
    """The initializer of a parameter. Only one that will still draw must be registered."""
    if not isinstance(init, dict) or not isinstance(init.get("name"), str):
        raise FileFormatError(f"an initializer is a map with its 'name', not {brief(init)}")
    if spec.dtype.name not in TRAINED:
        raise ShapeError(f"it is {spec}; a parameter is float64 or float32")
    given = {key: value for key, value in init.items() if key != "name"}
    if not drawn or init["name"] in registry.registry().initializers:
        registry.initializer(name_of(init["name"], "an initializer")).bind(given)
    return init
