"""The graph: a networkx ``MultiDiGraph`` of op nodes whose shapes and dtypes are known as soon as they are added.

An edge runs from a node to one that uses it; its key is the argument's position, so that ``x * x`` has two edges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, overload

import numpy as np

from dataflow.errors import DataflowError, DtypeError, GraphError, OpError, RuleError, ShapeError, counted
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER, Node
from dataflow.graph.node_graph import NodeGraph
from dataflow.graph.node_names import check_name, check_output
from dataflow.graph.value import Value
from dataflow.graph.walk import replay
from dataflow.graph.widths import check_parameter_shapes, names_in
from dataflow.limits import spend
from dataflow.operations.engine_ops import identity
from dataflow.operations.op import Op
from dataflow.operations.operands import Literal, literals_of, refuse_outputs, with_literals
from dataflow.operations.outputs import Outputs
from dataflow.shapes import (
    MADE,
    TRAINED,
    Dim,
    Shape,
    Size,
    TensorSpec,
    check_shape,
    format_shape,
    is_static,
    made_names,
    parse_dtype,
    parse_shape,
    renamed,
)
from dataflow.support.arguments import checked
from dataflow.support.arrays import fixed
from dataflow.support.conversion import EntryError, convert, to_array, to_dtype

MOST_CALLS = 1024
"""For so many kinds of calls a graph remembers the node."""


class Graph(NodeGraph):
    """A DAG of inputs, parameters, constants and op nodes.

    ``graph.node_of(name)`` is the ``Node``; in networkx's own terms it is the only attribute, ``"node"``.

    >>> graph = Graph("net")
    >>> x = graph.input("x", ("n", 2))
    >>> h = graph.node("h", x * 2 + 1)
    >>> list(graph)
    ['x', 'h.multiply', 'h']
    """

    @checked
    def __init__(self, name: str = "", dtype: Any = "float64", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.graph.update(name=name, dtype=parse_dtype(dtype))
        self._values: dict[str, Value] = {}
        self._unnamed: dict[str, int] = {}  # names made up here, with the order in which the nodes were added
        self._counts: dict[str, int] = {}
        self._widths: set[str] = set()  # names of sizes that parameters may have
        self._nodes_by_kind: dict[Any, Node] = {}  # what is in the nodes of calls of one kind is found once

    def __repr__(self) -> str:
        return f"<graph '{self.name}': {counted(len(self), 'node')}>"

    @property
    def unnamed(self) -> Collection[str]:
        """The nodes whose names were made up."""
        return self._unnamed.keys()

    # -------------------------------------------------------------------------------------------- building

    @checked
    def input(self, name: str, shape: Sequence[Dim | str] = (), dtype: Any = None) -> Value:
        """Declare an input. A size may be symbolic: ``("n", 2)``."""
        return self._declare(INPUT, name, parse_shape(shape), self._dtype(dtype))

    @checked
    def parameter(
        self,
        name: str,
        shape: Sequence[Dim | str] | None = None,
        *,
        init: str | Mapping[str, Any] | None = None,
        value: Any = None,
        dtype: Any = None,
    ) -> Value:
        """Declare a parameter, which training changes: with an initializer and a shape, or with a literal value. A size
        may be a name that an input has beyond its first axis: a width that data decide."""
        if (init is None) == (value is None):
            raise GraphError(f"parameter '{name}' needs either an init, such as \"he_normal\", or a value", node=name)
        if value is not None:
            array = self._array(name, value, dtype, shape)
            return self._declare(PARAMETER, name, array.shape, self._float(name, array.dtype), value=array, init=None)
        if shape is None:
            raise GraphError(f"parameter '{name}' has an init and needs a shape", node=name)
        sizes = parse_shape(shape)
        if not names_in(sizes) <= self._widths:
            self._widths |= check_parameter_shapes(self, {name: sizes})
        chosen = {"name": init} if isinstance(init, str) else dict(init or {})
        return self._declare(PARAMETER, name, sizes, self._float(name, self._dtype(dtype)), init=chosen, value=None)

    @checked
    def constant(self, name: str | None, value: Any, dtype: Any = None) -> Value:
        """Declare an array that is never trained. Without a name it is an unnamed node."""
        name = self._fresh(CONSTANT) if name is None else name
        array = self._array(name, value, dtype, None)
        return self._declare(CONSTANT, name, array.shape, array.dtype, value=array)

    @checked
    def apply(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None = None, *, name: str | None = None
    ) -> Value:
        """Add a node that applies ``op``. Arguments are values of this graph, plain numbers, arrays (which become
        constants), or ``None`` for an optional input. Shape and dtype are inferred now, so errors come now."""
        return self._add_call(op, list(arguments), attributes, name)

    def _add_call(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None, name: str | None = None
    ) -> Value:
        """``apply`` for ops that are called, whose arguments are of the right kinds by themselves."""
        kind = self._kind_of_call(op, arguments, attributes)
        node = self._nodes_by_kind.get(kind)
        if node is None:
            bound, arguments, literals, spec = self._checked_call(op, arguments, attributes, name)
            known = self.ops.setdefault(op.name, op)
            if known is not op:
                raise GraphError(f"two different ops are called '{op.name}' in one graph", node=name)
            node = Node(OP, spec.shape, spec.dtype, op.name, bound, literals)
            if kind is not None and len(self._nodes_by_kind) < MOST_CALLS and _is_one_of_a_kind(op, kind, spec):
                self._nodes_by_kind[kind] = node
        else:
            spend(10, name or op.name)
            if node.literals:
                literals = literals_of(arguments)
                node = Node(OP, node.shape, node.dtype, node.op, node.attributes, literals)
        if name is None:
            target = self._fresh(op.name)
        else:
            check_output(name, op.output_name)
            target = self._claim(name)
        self._succ[target], self._pred[target], self._node[target] = {}, {}, {"node": node}
        self.connect_all([(i, x.name) for i, x in enumerate(arguments) if isinstance(x, Value)], target)
        value = self._values[target] = Value(self, target)
        return value

    @checked
    def apply_outputs(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None = None) -> Outputs:
        """What an op with several outputs gives. The node of each is added when it is asked for."""
        names = op.outputs_of(op.bind(attributes or {}))
        bound, operands, _, _ = self._checked_call(op.output(names[0]), list(arguments), attributes, None)
        return Outputs(op.name, names, lambda name: self.apply(op.output(name), operands, bound))

    @overload
    def node(self, name: str, value: Value, *, inner: str | None = None) -> Value: ...
    @overload
    def node(self, name: str, value: Outputs, *, inner: str | None = None) -> Outputs: ...
    @checked
    def node(self, name: str, value: Value | Outputs, *, inner: str | None = None) -> Value | Outputs:
        """Give ``value`` its name. The unnamed nodes it was computed from become ``NAME.OP``, ``NAME.OP_2``, ...,
        in the order in which they were added (``inner`` stands for NAME if it is given). A value that has a name
        already is passed through the op ``identity``. The outputs of an op that has several become ``NAME:OUTPUT``."""
        if isinstance(value, Outputs):
            for output in value.names:
                if (known := value[output].name) not in self._unnamed:
                    raise GraphError(f"the outputs of node '{name}' have a name already, '{known}'", node=name)
                self.node(f"{name}:{output}", value[output], inner=inner or name)
            return value
        if not isinstance(value, Value) or value.graph is not self:
            raise GraphError(f"node '{name}' takes a value of the same graph", node=name)
        if value.name not in self._unnamed:
            named: Value = self.apply(identity, [value], name=name)
            return named
        if inner is None:  # else a graph is built again under the names that it has, maybe with other ops
            own = self.ops.get(self.node_of(value.name).op)
            check_output(name, None if own is None else own.output_name)
        self._name_with_inner(name, value, inner or name)
        return value

    def _name_with_inner(self, name: str, value: Value, inner: str) -> None:
        """``node`` for a value that has no name, without its checks."""
        self._claim(name)  # which may give the value another name for now
        serials, within, frontier = self._unnamed, set[str](), [value.name]
        while frontier:
            for source in self._pred[frontier.pop()]:
                if source in serials and source not in within:
                    within.add(source)
                    frontier.append(source)
        counts: dict[str, int] = {}
        for old in sorted(within, key=serials.__getitem__):
            base = self.node_of(old).op or CONSTANT
            counts[base] = counts.get(base, 0) + 1
            suffix = f"_{counts[base]}" if counts[base] > 1 else ""
            spend(10, name)
            self._rename(old, self._claim(f"{inner}.{base}{suffix}"))
        spend(10, name)
        self._rename(value.name, name)

    # -------------------------------------------------------------------------------------------- asking

    def value(self, name: str) -> Value:
        """The handle on a node; a ``GraphError`` suggests the nearest names."""
        self.node_of(name)
        if name not in self._values:
            self._values[name] = Value(self, name)
        return self._values[name]

    # -------------------------------------------------------------------------------------------- internals

    def _kind_of_call(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None
    ) -> tuple[Any, ...] | None:
        """What calls have in common whose nodes are the same, or the same but for plain numbers that are floats;
        ``None`` for calls of which nothing is remembered."""
        if op.graph_attributes or (attributes and len(self._nodes_by_kind) >= MOST_CALLS):
            return None
        kind: list[Any] = [op, repr(attributes) if attributes else ""]
        computes = False
        for argument in arguments:
            if type(argument) is Value and argument.graph is self:
                kind.append(self.spec(argument.name))
                computes = True
            elif type(argument) is float and op.is_primitive:
                kind.append(float)
            else:
                return None
        return tuple(kind) if computes else None

    def _checked_call(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None, name: str | None
    ) -> tuple[dict[str, Any], list[Any], dict[int, Literal], TensorSpec]:
        """The attributes, bound; the arguments, at least one of them a value; those that are plain numbers; the
        result's spec."""
        spend(10, name or op.name)
        try:
            if op.has_outputs:
                outputs = f"op '{op.name}' has several outputs ({op.outputs_text})"
                raise OpError(f"{outputs}; a node has one, as by {op.name}.output(...), and apply_outputs gives all")
            bound = op.bind(attributes or {})
            operands = [
                x if isinstance(x, Value) and x.graph is self else self._operand(x) for x in op.complete(arguments)
            ]
            specs = [self.spec(x.name) if isinstance(x, Value) else None for x in operands]
            if not any(specs):
                operands[0] = self.constant(None, operands[0])
                specs[0] = operands[0].spec
            literals: dict[int, Literal] = {}
            if None in specs:
                literals = literals_of(operands)
                specs = with_literals(specs, literals)
            spec = infer(op, specs, bound, literals)
            if made := _checked_made_names(spec.shape):
                spec = self._with_own_sizes(op, operands, specs, bound, spec, made)
        except (ShapeError, DtypeError) as error:
            names = ", ".join(map(_written, arguments))
            error.message = f"{op.family_name}({names}): {error.message}"
            raise error.at(node=name) from None
        except DataflowError as error:
            raise error.at(node=name) from None
        return bound, operands, literals, spec

    def _with_own_sizes(
        self,
        op: Op,
        operands: Sequence[Any],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
        spec: TensorSpec,
        made: Collection[str],
    ) -> TensorSpec:
        """The spec in whose shape the sizes that the call makes have names of this graph."""
        known = {name for argument in specs if argument is not None for name in made_names(argument.shape)}
        for shape in (attributes[name] for name in op.shape_attributes if attributes[name] is not None):
            known |= made_names(shape)
        names: dict[str, Dim] = {}
        for name in sorted(set(made) - known):
            same = self._size_of_call(name, op, operands, specs, attributes)
            if same is None:
                self.graph["made"] = self.graph.get("made", 0) + 1
                same = Size.symbol(f"{MADE}{self.graph['made']}")
            names[name] = same
        return TensorSpec(renamed(spec.shape, names), spec.dtype)

    def _size_of_call(
        self,
        name: str,
        op: Op,
        operands: Sequence[Any],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
    ) -> Size | None:
        """The size that a node of the graph makes of the same operands, and that its shape rule calls so. Numbers are
        those of the trace of a body, and mean the same in another output of the op alone."""
        sources = tuple([x.name if isinstance(x, Value) else x for x in operands])
        first = next(x for x in operands if isinstance(x, Value))
        for target in self._succ[first.name]:
            node, own_op = self.node_of(target), self.op_of(target)
            if not made_names(node.shape):
                continue
            is_sibling = own_op.family_name == op.family_name and dict(node.attributes) == dict(attributes)
            if self.arguments(target) == sources and (is_sibling or not name[1:].isdigit()):
                rule = infer(own_op, specs, node.attributes, node.literals)
                for size, own in zip(rule.shape, node.shape, strict=True):
                    if isinstance(size, Size) and size.as_symbol == name and isinstance(own, Size):
                        return own
        return None

    @staticmethod
    def _float(parameter: str, dtype: np.dtype) -> np.dtype:
        if dtype not in TRAINED.values():
            raise GraphError(
                f"parameter '{parameter}' has the dtype {dtype}; a parameter is float64 or float32", node=parameter
            )
        return dtype

    def _declare(self, kind: str, name: str, shape: Shape, dtype: np.dtype, **data: Any) -> Value:
        check_output(name, None)
        if made := [int(size) for name_ in made_names(shape) if (size := name_[1:]).isdigit()]:
            self.graph["made"] = max(self.graph.get("made", 0), *made)  # those of another graph, in the trace of a body
        self.set_node(self._claim(name), Node(kind, shape, dtype, **data))
        value = self._values[name] = Value(self, name)
        return value

    def _dtype(self, dtype: Any) -> np.dtype:
        return self.dtype if dtype is None else parse_dtype(dtype)

    def _array(self, name: str, value: Any, dtype: Any, shape: Sequence[Dim | str] | None) -> np.ndarray:
        try:
            array = to_array(value)
            wanted = self._dtype(dtype) if dtype is not None or array.dtype.kind != "b" else array.dtype
            array = np.array(convert(value, wanted))
        except EntryError as error:
            raise error.named(name).at(node=name) from None
        check_shape(array.shape)
        if shape is not None and tuple(shape) != array.shape:
            raise ShapeError(
                f"the value of '{name}' has the shape {array.shape}, {tuple(shape)} is declared", node=name
            )
        return fixed(array)

    def _operand(self, argument: Any) -> Any:
        if isinstance(argument, Value):
            if argument.graph is not self:
                raise GraphError(f"'{argument.name}' belongs to another graph")
            return argument
        if argument is None or type(argument) in (int, float, bool):
            return argument
        refuse_outputs(argument)
        try:
            array = to_array(argument)
            array = to_dtype(array, np.dtype(np.int64)) if array.dtype.kind == "O" else array
        except EntryError as error:
            raise OpError(f"an op takes values and numbers: {error.message}") from None
        if array.ndim == 0:
            return array.item()
        return self.constant(None, array, array.dtype if array.dtype.kind != "f" else None)

    def _claim(self, name: str) -> str:
        """Check that a name is free; an unnamed node that happens to have it is renamed."""
        check_name(name)
        if name not in self._node:
            return name
        if name in self._unnamed:
            serial = self._unnamed[name]
            free = self._fresh(self.node_of(name).op or CONSTANT)
            self._rename(name, free)
            self._unnamed[free] = serial
        else:
            raise GraphError(f"the name '{name}' is used twice", node=name)
        return name

    def _fresh(self, base: str) -> str:
        count = self._counts.get(base, 0) + 1
        while (name := base if count == 1 else f"{base}_{count}") in self._node:
            count += 1
        self._counts[base] = count
        self._unnamed[name] = len(self)
        return name

    def _rename(self, old: str, new: str) -> None:
        succ, pred = self._succ, self._pred
        self._node[new] = self._node.pop(old)
        pred[new], succ[new] = incoming, outgoing = pred.pop(old), succ.pop(old)
        self._unnamed.pop(old, None)
        self._forget_conversions()
        for source in incoming:
            targets = succ[source]
            targets[new] = targets.pop(old)
        for target in outgoing:
            sources = pred[target]
            sources[new] = sources.pop(old)
        if (value := self._values.pop(old, None)) is not None:
            value.name = new
            self._values[new] = value


def _is_one_of_a_kind(op: Op, kind: Sequence[Any], result: TensorSpec) -> bool:
    """Whether all calls of that kind have this result, and to find that is no work that counts, as arithmetic of
    symbolic sizes is. Whether a whole number fits into a dtype depends on the number."""
    if float in kind and result.dtype.kind in "iu":
        return False
    if op.is_primitive and op.elementwise:
        return True
    return all(is_static(spec.shape) for spec in (*kind[2:], result) if spec is not float)


@lru_cache(maxsize=8192)
def _checked_made_names(shape: Shape) -> set[str]:
    """The sizes in a shape that a call makes; a ``ShapeError`` for a shape that no array has."""
    check_shape(shape)
    return made_names(shape)


def _written(argument: Any) -> str:
    """An argument as an error names it, on one line."""
    if isinstance(argument, Value):
        return argument.name
    plain = argument is None or isinstance(argument, (int, float))
    return str(argument) if plain else f"array {format_shape(np.shape(argument))}"


# ------------------------------------------------------------------------------------------------ tracing


@dataclass(frozen=True)
class Trace:
    """A composite op's body as a graph, which nobody changes. ``inputs`` names the graph's input for each argument that
    is an array."""

    graph: Graph
    inputs: tuple[str | None, ...]
    output: str
    position: Mapping[str, int] = field(compare=False, repr=False)
    """The place of each node of the graph, which several outputs may share, in its schedule."""

    @cached_property
    def order(self) -> Sequence[str]:
        """The schedule of what the output needs."""
        return sorted(self.graph.needed_for([self.output]), key=self.position.__getitem__)

    def by_input(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The arguments that are arrays, by the names of the graph's inputs."""
        return {name: argument for name, argument in zip(self.inputs, arguments, strict=True) if name is not None}

    def replay(self, arguments: Sequence[Any]) -> Any:
        """The output for other arguments: arrays, or values of another graph, to which the body's nodes are added."""
        return self.replay_all(arguments)[self.output]

    def replay_all(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The output and all values in between."""
        return replay(self.graph, self.by_input(arguments), [self.output], order=self.order)


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
    whole = op if op.family is None else op.family
    return _traces(whole, specs, attributes, literals)[op.output_name or ""]


@lru_cache(maxsize=512)
def _traces(op: Op, specs: tuple[TensorSpec | None, ...], attributes: Any, literals: Any) -> dict[str, Trace]:
    """The trace of each output: its body is traced once for all of them."""
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
    given = dict(attributes)
    outputs = op.outputs_of(given)
    result = call_rule(op, op.function, arguments, given)
    results = op.by_name(result, outputs) if op.has_outputs else {"": result}
    nodes = {output: _value_in(graph, op, value).name for output, value in results.items()}
    position = {name: i for i, name in enumerate(graph.schedule())}
    return {output: Trace(graph, tuple(names), node, position) for output, node in nodes.items()}


def _value_in(graph: Graph, op: Op, result: Any) -> Value:
    return result if isinstance(result, Value) else graph.constant(f"{op.name}_result", result)


def call_rule(op: Op, rule: Callable[..., Any], arguments: Sequence[Any], attributes: Any) -> Any:
    """Call a rule with values of a graph; one that computes with numpy is a ``RuleError`` that says so."""
    try:
        with np.errstate(all="ignore"):  # what a body makes of plain numbers is computed now
            return rule(*arguments, **attributes)
    except (TypeError, ValueError, AttributeError) as error:
        raise RuleError(
            f"op '{op.name}' cannot be traced ({error}); its rules must call ops, such as dataflow.ops.exp, not numpy"
        ) from error
