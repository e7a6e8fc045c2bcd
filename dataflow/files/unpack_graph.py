"""From the header of a msgpack file to its graph. Nothing that the file says is trusted.

Ops are looked up by their registered names, attributes are bound as the op declares them, shapes and dtypes are
inferred anew and held against the file's. The layout is described in ``dataflow.files.binary``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.errors import DataflowError, FileFormatError, GraphError, OpError, ShapeError
from dataflow.files.checks import MAX_INPUTS, MAX_NAME, MAX_TITLE, brief, check_keys, name_of, row_of, sequence, typed
from dataflow.files.scan import shown
from dataflow.graph import CONSTANT, INPUT, OP, PARAMETER, Graph, check_name
from dataflow.limits import advice, current
from dataflow.op import Op
from dataflow.shapes import TensorSpec, parse_dtype, parse_shape

_BLOCK_KEYS = {"doc", "inputs", "parameters", "constants", "nodes", "output"}


def unpack_graph(header: Mapping[str, Any], unused: dict[str, np.ndarray]) -> Graph:
    """The graph, whose parameters' and constants' values are taken out of ``unused``."""
    return _Nodes(header, unused).graph()


class _Nodes:
    """The nodes of a file, by number."""

    def __init__(self, header: Mapping[str, Any], unused: dict[str, np.ndarray]) -> None:
        self.header = header
        self.unused = unused
        self.rows = sequence(header["nodes"], "nodes")
        most = current().nodes
        if len(self.rows) > most:
            message = f"there are {len(self.rows)} nodes; a file has at most {most}"
            raise FileFormatError(message + advice("nodes", len(self.rows)))
        self.edges = 0
        self.names: list[str] = []
        self.calls = _unpack_calls(header)
        self.paths = list(self.calls)
        self.specs = [_unpack_spec(row, i) for i, row in enumerate(sequence(header["specs"], "specs"))]
        self.applications = [
            self.application(row, i) for i, row in enumerate(sequence(header["applications"], "applications"))
        ]

    def graph(self) -> Graph:
        """All nodes, added in an order in which each comes after its arguments, then put in the file's order."""
        name = typed(self.header["name"], str, "name")
        if len(name) > MAX_TITLE or not name.isprintable():
            raise FileFormatError(f"name is text on one line, of at most {MAX_TITLE} characters, not {shown(name)}")
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
        blocks = _unpack_blocks(self.header)
        if blocks or self.calls:
            graph.graph.update(blocks=blocks, calls=self.calls)
            _check_calls(graph, blocks, self.calls)
        return graph

    def application(self, row: Any, i: int) -> tuple[Op, dict[str, Any]]:
        name, given = row_of(row, 2, f"application {i}")
        if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
            raise FileFormatError(f"application {i}: {shown(name)} is no name of an op")
        if not isinstance(given, dict) or not all(key.isidentifier() for key in given):
            raise FileFormatError(f"application {i}: the attributes of op '{name}' are a map from names to values")
        try:
            op = registry.lookup(name)
            return op, op.bind(given)
        except OpError as error:
            owner = self.header["plugins"].get(name) if isinstance(self.header["plugins"], dict) else None
            if isinstance(owner, str) and name not in registry.all_ops():
                error.message += f" (the file was saved with it from {brief(owner)})"
            raise error.at(node=self.first_node(i)) from None

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
        self.count_edges(i, len(row[4]))
        found = []
        for argument in row[4]:
            if type(argument) is int:
                if not 0 <= argument < len(self.rows):
                    raise self.wrong(i, f"its argument is node {argument}, and there are {len(self.rows)}", GraphError)
                found.append(argument)
            elif argument is not None and not (
                isinstance(argument, list) and len(argument) == 1 and type(argument[0]) in (int, float, bool)
            ):
                raise self.wrong(i, "an argument is the number of a node, an array around a plain number, or nil")
        if not found:
            raise self.wrong(i, "an op is applied to at least one node; a number alone is a constant", GraphError)
        return found

    def count_edges(self, i: int, count: int) -> None:
        """Refuse edges beyond four for each node that a graph may have: an edge takes a byte, and much memory."""
        if count > MAX_INPUTS:
            raise self.wrong(i, f"it has {count} inputs; a node has at most {MAX_INPUTS}", GraphError)
        self.edges += count
        if self.edges > 4 * (most := current().nodes):
            message = f"there are more than {4 * most} edges, four for each node that a file may have"
            raise self.wrong(i, message + advice("nodes", 2 * most), GraphError)

    def topological(self, arguments: Sequence[Sequence[int]]) -> list[int]:
        """The numbers of the nodes, each after its arguments; as they stand, if they stand so. A cycle is an error."""
        if all(argument < i for i, found in enumerate(arguments) for argument in found):
            return list(range(len(arguments)))
        waiting = [len(set(found)) for found in arguments]
        users: list[list[int]] = [[] for _ in arguments]
        for i, found in enumerate(arguments):
            for argument in set(found):
                users[argument].append(i)
        order = [i for i, count in enumerate(waiting) if not count]
        for i in order:
            for user in users[i]:
                waiting[user] -= 1
                if not waiting[user]:
                    order.append(user)
        if len(order) < len(arguments):
            raise self.cycle(arguments, waiting)
        return order

    def cycle(self, arguments: Sequence[Sequence[int]], waiting: Sequence[int]) -> GraphError:
        """The error that names the nodes of one cycle, in the order in which they would be computed."""
        place: dict[int, int] = {}
        i = next(i for i, count in enumerate(waiting) if count)
        while i not in place:
            place[i] = len(place)
            i = next(argument for argument in arguments[i] if waiting[argument])
        loop = [self.names[j] for j in list(place)[place[i] :]][::-1]
        return GraphError("the graph has a cycle: " + " -> ".join([*loop, loop[0]]), node=loop[0])

    def add(self, graph: Graph, i: int) -> None:
        """Add node ``i``, whose arguments are there."""
        name, row = self.names[i], self.rows[i]
        spec = self.specs[self.number(i, row[1], self.specs, "spec")]
        call = None if row[2] is None else self.paths[self.number(i, row[2], self.paths, "call")]
        if type(row[3]) is int:
            op, bound = self.applications[self.number(i, row[3], self.applications, "application")]
            operands = [graph.value(self.names[x]) if type(x) is int else x and x[0] for x in row[4]]
            found = graph.apply(op, operands, bound, name=name).spec
            if found != spec:
                raise ShapeError(f"the file says {spec} of it, and op '{op.name}' gives {found}")
            graph.nodes[name]["block"] = call
            if len(row) == 6:
                graph.nodes[name]["cotangent_of"] = self.names[self.number(i, row[5], self.names, "node")]
        else:
            self.declare(graph, name, spec, call, row[3:])

    def declare(self, graph: Graph, name: str, spec: TensorSpec, call: str | None, rest: list[Any]) -> None:
        data: dict[str, Any] = {"shape": spec.shape, "dtype": spec.dtype, "block": call}
        match rest:
            case ["input"]:
                graph.add_node(name, kind=INPUT, **data)
            case ["constant"]:
                graph.add_node(name, kind=CONSTANT, **data, value=self.tensor("constants", name, spec, required=True))
            case ["parameter", init]:
                value = self.tensor("parameters", name, spec, required=init is None)
                if init is not None:
                    init = _unpack_init(init, spec, drawn=value is not None)
                graph.add_node(name, kind=PARAMETER, **data, value=value if init is None else None, init=init)
            case _:
                raise FileFormatError(
                    "a node is an input, a parameter with its initializer or nil, a constant, or an op with arguments; "
                    f"found {brief(rest)}"
                )

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
    name = name_of(row[0], f"node {i}")
    check_name(name)
    return name


def _reordered(graph: Graph, names: Sequence[str]) -> Graph:
    """The same graph with its nodes in another order."""
    result = Graph(graph.name, graph.dtype)
    result.graph["ops"] = graph.graph["ops"]
    for name in names:
        result.add_node(name, **graph.nodes[name])
    for name in names:
        if graph.nodes[name]["kind"] == OP:
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
    if spec.dtype.kind != "f" or not all(isinstance(size, int) for size in spec.shape):
        raise ShapeError(f"it is {spec}; a parameter with an initializer has sizes that are numbers, and is a float")
    given = {key: value for key, value in init.items() if key != "name"}
    if not drawn or init["name"] in registry.registry().initializers:
        registry.initializer(name_of(init["name"], "an initializer")).bind(given)
    return init


def _unpack_blocks(header: Mapping[str, Any]) -> dict[str, Any]:
    blocks: dict[str, Any] = typed(header["blocks"], dict, "blocks")
    for name, block in blocks.items():
        if not name.isidentifier() or len(name) > MAX_NAME:
            raise FileFormatError(f"{shown(name)} is no name of a block")
        if not isinstance(block, dict) or not block.keys() <= _BLOCK_KEYS:
            raise FileFormatError(f"block '{name}' is a map with the keys {', '.join(sorted(_BLOCK_KEYS))}")
        _check_block(name, block)
    return blocks


def _check_block(name: str, block: Mapping[str, Any]) -> None:
    """Refuse a declaration that is not of the form that TOML has; what it declares is checked when it is read there."""
    for key in ("doc", "output"):
        if key == "output" or key in block:
            typed(block.get(key), str, f"{key} of block '{name}'")
    for item in sequence(block.get("inputs", []), f"inputs of block '{name}'"):
        name_of(item, f"an input of block '{name}'")
    for section in ("parameters", "constants", "nodes"):
        for key, declared in typed(block.get(section, {}), dict, f"{section} of block '{name}'").items():
            if not isinstance(declared, dict) and not (section == "nodes" and isinstance(declared, str)):
                expected = "a map" if section != "nodes" else "text or a map"
                raise FileFormatError(f"{section} of block '{name}': {shown(key)} is {expected}, not {brief(declared)}")


def _unpack_calls(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    calls: dict[str, dict[str, Any]] = {}
    for i, row in enumerate(sequence(header["calls"], "calls")):
        path, call = row_of(row, 2, f"call {i}")
        check_name(name_of(path, f"call {i}"))
        if path in calls:
            raise GraphError(f"the call '{path}' is there twice")
        calls[path] = typed(call, dict, f"call '{path}'")
        check_keys(call, {"block", "share", "inputs"}, f"call '{path}'")
    return calls


def _check_calls(graph: Graph, blocks: Mapping[str, Any], calls: Mapping[str, dict[str, Any]]) -> None:
    for path, call in calls.items():
        block, share = call["block"], call["share"]
        if not isinstance(block, str) or block not in blocks:
            raise GraphError(f"call '{path}': there is no block {shown(block)}")
        if share is not None and (not isinstance(share, str) or share not in calls):
            raise GraphError(f"call '{path}' shares the parameters of {shown(share)}, which is no call")
        arguments = sequence(call["inputs"], f"inputs of call '{path}'")
        if len(arguments) != (count := len(blocks[block].get("inputs", []))):
            raise GraphError(f"call '{path}' has {len(arguments)} inputs, and block '{block}' takes {count}")
        for argument in arguments:
            if argument not in graph if isinstance(argument, str) else type(argument) not in (int, float, bool):
                raise GraphError(f"call '{path}': {brief(argument)} is neither a node nor a number")
