"""The graph: a networkx ``MultiDiGraph`` of op nodes whose shapes and dtypes are known as soon as they are added.

An edge runs from a node to one that uses it; its key is the argument's position, so that ``x * x`` has two edges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import networkx as nx
import numpy as np

from dataflow.errors import DataflowError, DtypeError, GraphError, OpError, RuleError, ShapeError, nearest
from dataflow.op import Literal, Op
from dataflow.shapes import Dim, Shape, TensorSpec, check_shape, format_shape, parse_dtype, parse_shape, substitute
from dataflow.value import Value, lookup

Argument: TypeAlias = "str | Literal | None"

INPUT, PARAMETER, CONSTANT, OP = "input", "parameter", "constant", "op"


class Graph(nx.MultiDiGraph):
    """A DAG of inputs, parameters, constants and op nodes.

    ``graph.nodes[name]`` holds ``kind``, ``shape``, ``dtype`` and, as far as they apply, ``op``, ``attributes``,
    ``literals`` (arguments that are plain numbers, by position), ``init``, ``value`` and ``block``.

    >>> graph = Graph("net")
    >>> x = graph.input("x", ("n", 2))
    >>> h = graph.node("h", x * 2 + 1)
    >>> list(graph)
    ['x', 'h.multiply', 'h']
    """

    def __init__(self, name: str = "", dtype: Any = "float64", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.graph.update(name=name, dtype=parse_dtype(dtype), ops={})
        self._values: dict[str, Value] = {}
        self._unnamed: dict[str, int] = {}  # names that nobody gave, with the order in which the nodes were added
        self._counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<graph '{self.name}': {len(self)} nodes>"

    @property
    def unnamed(self) -> Collection[str]:
        """The nodes to which nobody gave a name."""
        return self._unnamed.keys()

    @property
    def dtype(self) -> np.dtype:
        """The dtype of all that says nothing else."""
        dtype: np.dtype = self.graph["dtype"]
        return dtype

    # -------------------------------------------------------------------------------------------- building

    def input(self, name: str, shape: Sequence[Dim | str] = (), dtype: Any = None) -> Value:
        """Declare an input. A size may be symbolic: ``("n", 2)``."""
        return self._declare(INPUT, name, parse_shape(shape), self._dtype(dtype))

    def parameter(
        self,
        name: str,
        shape: Sequence[int] | None = None,
        *,
        init: str | Mapping[str, Any] | None = None,
        value: Any = None,
        dtype: Any = None,
    ) -> Value:
        """Declare what training changes: with an initializer and a shape, or with a literal value."""
        if (init is None) == (value is None):
            raise GraphError(f"parameter '{name}' needs either an init, such as \"he_normal\", or a value", node=name)
        if value is not None:
            array = self._array(name, value, dtype, shape)
            return self._declare(PARAMETER, name, array.shape, array.dtype, value=array, init=None)
        if shape is None:
            raise GraphError(f"parameter '{name}' has an init and needs a shape", node=name)
        sizes = parse_shape(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(
                f"parameter '{name}' has the shape {list(map(str, sizes))}; its sizes are numbers", node=name
            )
        chosen = {"name": init} if isinstance(init, str) else dict(init or {})
        found = self._dtype(dtype)
        if found.kind != "f":
            raise GraphError(f"parameter '{name}' has the dtype {found}; a parameter is float64 or float32", node=name)
        return self._declare(PARAMETER, name, sizes, found, init=chosen, value=None)

    def constant(self, name: str, value: Any, dtype: Any = None) -> Value:
        """Declare an array that is never trained."""
        array = self._array(name, value, dtype, None)
        return self._declare(CONSTANT, name, array.shape, array.dtype, value=array)

    def apply(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None = None, *, name: str | None = None
    ) -> Value:
        """Add a node that applies ``op``. Arguments are values of this graph, plain numbers, arrays (which become
        constants), or ``None`` for an optional input. Shape and dtype are inferred now, so errors come now."""
        try:
            bound = op.bind(attributes or {})
            operands = [self._operand(argument) for argument in op.complete(arguments)]
            if not any(isinstance(operand, Value) for operand in operands):
                operands[0] = self.constant(self._fresh("constant"), operands[0])
            literals = {i: x for i, x in enumerate(operands) if x is not None and not isinstance(x, Value)}
            specs = [self._spec_of(operand, operands) for operand in operands]
            spec = infer(op, specs, bound, literals)
            check_shape(spec.shape)
        except (ShapeError, DtypeError) as error:
            names = ", ".join(map(_written, arguments))
            error.message = f"{op.name}({names}): {error.message}"
            raise error.at(node=name) from None
        except DataflowError as error:
            raise error.at(node=name) from None
        known = self.graph["ops"].setdefault(op.name, op)
        if known is not op:
            raise GraphError(f"two different ops are called '{op.name}' in one graph", node=name)
        target = self._claim(name) if name is not None else self._fresh(op.name)
        data = {"op": op.name, "attributes": bound, "literals": literals}
        self.add_node(target, kind=OP, shape=spec.shape, dtype=spec.dtype, block=None, **data)
        for position, operand in enumerate(operands):
            if isinstance(operand, Value):
                self.add_edge(operand.name, target, key=position)
        return self.value(target)

    def node(self, name: str, value: Value, *, inner: str | None = None) -> Value:
        """Give ``value`` its name. The unnamed nodes it was computed from become ``NAME.OP``, ``NAME.OP_2``, ...,
        in the order in which they were added (``inner`` stands for NAME if it is given). A value that has a name
        already is passed through the op ``identity``."""
        if not isinstance(value, Value) or value.graph is not self:
            raise GraphError(f"node '{name}' takes a value of the same graph", node=name)
        if value.name not in self._unnamed:
            return self.apply(lookup("identity"), [value], name=name)
        self._claim(name)
        counts: dict[str, int] = {}
        for old in sorted(self._unnamed_ancestors(value.name), key=self._unnamed.__getitem__):
            base = self.nodes[old].get("op", CONSTANT)
            counts[base] = counts.get(base, 0) + 1
            suffix = f"_{counts[base]}" if counts[base] > 1 else ""
            self._rename(old, self._claim(f"{inner or name}.{base}{suffix}"))
        self._rename(value.name, name)
        return value

    # -------------------------------------------------------------------------------------------- asking

    def value(self, name: str) -> Value:
        """The handle on a node; a ``GraphError`` names the nearest names."""
        if name not in self:
            raise GraphError(f"there is no node '{name}'{nearest(name, self)}")
        if name not in self._values:
            self._values[name] = Value(self, name)
        return self._values[name]

    def op_of(self, name: str) -> Op:
        """The op of an op node."""
        op: Op = self.graph["ops"][self.nodes[name]["op"]]
        return op

    def spec(self, name: str) -> TensorSpec:
        """The shape and dtype of a node."""
        data = self.nodes[name]
        return TensorSpec(data["shape"], data["dtype"])

    def arguments(self, name: str) -> tuple[Argument, ...]:
        """What an op node is applied to, in order: names of nodes, plain numbers, ``None`` where nothing was given."""
        found: dict[int, Argument] = dict(self._node[name].get("literals", ()))
        for source, positions in self._pred[name].items():
            for position in positions:
                found[position] = source
        return tuple([found.get(i) for i in range(max(found, default=-1) + 1)])

    def names(self, kind: str) -> list[str]:
        """The names of all inputs, parameters, constants or ops, in the order in which they were added."""
        return [name for name, data in self.nodes(data=True) if data["kind"] == kind]

    def schedule(self, targets: Iterable[str] | None = None) -> list[str]:
        """A topological order of all nodes, or of those that ``targets`` need: the order in which they were added where
        that is one. A cycle is a ``GraphError`` that lists its nodes."""
        order = list(self)
        position = {name: i for i, name in enumerate(order)}
        if not all(position[source] < position[target] for source, target in self.edges()):
            try:
                order = list(nx.lexicographical_topological_sort(self, key=position.__getitem__))
            except nx.NetworkXUnfeasible:
                cycle = [edge[0] for edge in nx.find_cycle(self)]
                raise GraphError("the graph has a cycle: " + " -> ".join([*cycle, cycle[0]])) from None
        if targets is None:
            return order
        needed = self.needed_for(targets)
        return [name for name in order if name in needed]

    def needed_for(self, targets: Iterable[str]) -> set[str]:
        """The targets and all that they depend on."""
        return self._reachable([self.value(name).name for name in targets], self.pred)

    def depending_on(self, sources: Iterable[str]) -> set[str]:
        """The sources and all that depends on them."""
        return self._reachable([self.value(name).name for name in sources], self.succ)

    def copy(self, as_view: bool = False) -> Graph:
        """A graph of its own with the same nodes. All of them count as named."""
        duplicate: Graph = super().copy(as_view)
        if not as_view:
            duplicate.graph["ops"] = dict(self.graph["ops"])
        return duplicate

    # -------------------------------------------------------------------------------------------- internals

    @staticmethod
    def _reachable(start: Iterable[str], neighbours: Mapping[str, Mapping[str, Any]]) -> set[str]:
        found = set(start)
        frontier = list(found)
        while frontier:
            for name in neighbours[frontier.pop()]:
                if name not in found:
                    found.add(name)
                    frontier.append(name)
        return found

    def _declare(self, kind: str, name: str, shape: Shape, dtype: np.dtype, **data: Any) -> Value:
        self.add_node(self._claim(name), kind=kind, shape=shape, dtype=dtype, block=None, **data)
        return self.value(name)

    def _dtype(self, dtype: Any) -> np.dtype:
        return self.dtype if dtype is None else parse_dtype(dtype)

    def _array(self, name: str, value: Any, dtype: Any, shape: Sequence[int] | None) -> np.ndarray:
        try:
            array = np.array(value)
            if array.dtype.kind not in "fib":
                raise TypeError
            array = array.astype(self._dtype(dtype) if dtype is not None or array.dtype.kind != "b" else bool)
        except (ValueError, TypeError, OverflowError):
            raise GraphError(
                f"the value of '{name}' is not an array of numbers with rows of one length", node=name
            ) from None
        check_shape(array.shape)
        if shape is not None and tuple(shape) != array.shape:
            raise ShapeError(
                f"the value of '{name}' has the shape {array.shape}, {tuple(shape)} is declared", node=name
            )
        return array

    def _operand(self, argument: Any) -> Any:
        if isinstance(argument, Value):
            if argument.graph is not self:
                raise GraphError(f"'{argument.name}' belongs to another graph")
            return argument
        if argument is None or type(argument) in (int, float, bool):
            return argument
        array = np.asarray(argument)
        if array.dtype.kind not in "fib":
            raise OpError(f"an op takes values and numbers, not {argument!r}")
        if array.ndim == 0:
            return array.item()
        return self.constant(self._fresh(CONSTANT), array, array.dtype if array.dtype.kind != "f" else None)

    def _spec_of(self, operand: Any, operands: Sequence[Any]) -> TensorSpec | None:
        if operand is None:
            return None
        if isinstance(operand, Value):
            return operand.spec
        beside = [other.spec.dtype for other in operands if isinstance(other, Value)]
        return TensorSpec((), np.result_type(operand, *beside))

    def _claim(self, name: str) -> str:
        """A name that must be free; an unnamed node that happens to have it makes way."""
        check_name(name)
        if name in self._unnamed and name in self:
            serial = self._unnamed[name]
            free = self._fresh(self.nodes[name].get("op", CONSTANT))
            self._rename(name, free)
            self._unnamed[free] = serial
        elif name in self:
            raise GraphError(f"the name '{name}' is used twice", node=name)
        return name

    def _fresh(self, base: str) -> str:
        count = self._counts.get(base, 0) + 1
        while (name := base if count == 1 else f"{base}_{count}") in self:
            count += 1
        self._counts[base] = count
        self._unnamed[name] = len(self)
        return name

    def _unnamed_ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        frontier = [name]
        while frontier:
            for source in self.pred[frontier.pop()]:
                if source in self._unnamed and source not in found:
                    found.add(source)
                    frontier.append(source)
        return found

    def _rename(self, old: str, new: str) -> None:
        incoming = [(source, key) for source, keys in self._pred[old].items() for key in keys]
        outgoing = [(target, key) for target, keys in self._succ[old].items() for key in keys]
        data = dict(self.nodes[old])
        self.remove_node(old)
        self._unnamed.pop(old, None)
        self.add_node(new, **data)
        for source, key in incoming:
            self.add_edge(source, new, key=key)
        for target, key in outgoing:
            self.add_edge(new, target, key=key)
        if (value := self._values.pop(old, None)) is not None:
            value.name = new
            self._values[new] = value


def _written(argument: Any) -> str:
    """An argument as an error names it, on one line."""
    if isinstance(argument, Value):
        return argument.name
    plain = argument is None or isinstance(argument, (int, float))
    return str(argument) if plain else f"array {format_shape(np.shape(argument))}"


def check_name(name: str) -> None:
    """A ``GraphError`` unless ``name`` is a Unicode identifier, or several joined by dots (inner nodes, blocks)."""
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise GraphError(f"{name!r} is no name; a name has letters, digits and underscores and starts with no digit")
    if len(name) > 1000:
        raise GraphError(f"a name has at most 1000 characters, '{name[:40]}...' has {len(name)}")


# ------------------------------------------------------------------------------------------------ tracing and replaying


@dataclass(frozen=True)
class Trace:
    """A composite op's body as a graph. ``inputs`` names the graph's input for each argument that is an array."""

    graph: Graph
    inputs: tuple[str | None, ...]
    output: str

    def replay(self, arguments: Sequence[Any]) -> Any:
        """The output for other arguments: arrays, or values of another graph, to which the body's nodes are added."""
        return self.replay_all(arguments)[self.output]

    def replay_all(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The same with all that comes between."""
        known = {name: argument for name, argument in zip(self.inputs, arguments, strict=True) if name is not None}
        return replay(self.graph, known, [self.output])


def infer(
    op: Op, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
) -> TensorSpec:
    """The shape and dtype of an op's result; of a composite one without a shape rule, by tracing its body."""
    if op.is_primitive or op.shape_rule is not None:
        return op.infer(specs, attributes, literals)
    trace = trace_op(op, specs, attributes, literals)
    return trace.graph.spec(trace.output)


def trace_op(
    op: Op, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
) -> Trace:
    """The body of a composite op as a graph, for arguments of these shapes and dtypes."""
    return _trace_op(op, tuple(specs), tuple(attributes.items()), tuple((i, repr(x), x) for i, x in literals.items()))


@lru_cache(maxsize=2048)
def _trace_op(op: Op, specs: tuple[TensorSpec | None, ...], attributes: Any, literals: Any) -> Trace:
    numbers = {i: x for i, _, x in literals}
    graph = Graph(op.name, next((spec.dtype for spec in specs if spec is not None and spec.is_float), "float64"))
    arguments: list[Any] = []
    names: list[str | None] = []
    for i, spec in enumerate(specs):
        if spec is None or i in numbers:
            arguments.append(numbers.get(i))
            names.append(None)
        else:
            name = f"{op.inputs[0]}_{i}" if op.variadic else op.inputs[i]
            arguments.append(graph.input(name, spec.shape, spec.dtype))
            names.append(name)
    return Trace(graph, tuple(names), trace_body(op, graph, op.function, arguments, dict(attributes)).name)


def trace_body(op: Op, graph: Graph, body: Callable[..., Any], arguments: Sequence[Any], attributes: Any) -> Value:
    """Call a rule with values of ``graph``; a rule that computes with numpy is a ``RuleError`` that says so."""
    try:
        result = body(*arguments, **attributes)
    except (TypeError, ValueError, AttributeError) as error:
        raise RuleError(
            f"op '{op.name}' cannot be traced ({error}); its rules must call ops, such as dataflow.ops.exp, not numpy"
        ) from error
    return result if isinstance(result, Value) else graph.constant(f"{op.name}_result", result)


def replay(graph: Graph, known: Mapping[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    """Call each op that ``targets`` need again, with arrays or with values; ``known`` gives what is not to be computed.

    All sizes of ``graph`` that an op's attributes mention must be meant for the arguments given.
    """
    results = dict(known)
    for name in graph.schedule(targets):
        if name in results:
            continue
        data = graph.nodes[name]
        if data["kind"] == CONSTANT:
            results[name] = data["value"]
        elif data["kind"] != OP:
            raise GraphError(f"{data['kind']} '{name}' is not given", node=name)
        else:
            arguments = [results[x] if isinstance(x, str) else x for x in graph.arguments(name)]
            results[name] = graph.op_of(name)(*arguments, **data["attributes"])
    return results


def concrete_attributes(op: Op, attributes: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The attributes with every symbolic size in a shape replaced by its number."""
    if not op.shape_attributes:
        return dict(attributes)
    result = dict(attributes)
    for name in op.shape_attributes:
        if result[name] is not None:
            result[name] = tuple(-1 if size == -1 else substitute((size,), sizes)[0] for size in result[name])
    return result
