"""The forward pass, node by node, with every intermediate value kept; and what is worth a warning in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dataflow.errors import DataflowError, RuleError, listed, plural
from dataflow.graph.cost import steps_of_entries
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER, Node, concrete_attributes
from dataflow.graph.walk import walk
from dataflow.limits import hold, is_limited, spend
from dataflow.operations.engine_ops import subtract
from dataflow.operations.op import Op
from dataflow.shapes import Shape, axes_with, bind, format_shape, made_names, substitute
from dataflow.support.byte_sizes import no_room


def forward(
    graph: Graph, order: Sequence[str], known: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The value of every node of ``order`` (topological) that ``known`` suffices for. What depends on an input
    that is not known is not in the result: it is not computed."""
    return Forward(graph, order, sizes)(known)


class Forward:
    """``forward``, to be called for one set of values after the other: what does not depend on them is found once."""

    def __init__(self, graph: Graph, order: Sequence[str], sizes: Mapping[str, int]) -> None:
        self._graph, self._order, self._sizes, self._known_sizes = graph, order, dict(sizes), sizes
        self._settled: dict[str, _Settled] = {}
        self._siblings: dict[Any, dict[str, np.ndarray]] = {}
        """What ops with several outputs gave: all of it, for the nodes of the other outputs."""
        self._held = 0

    def __call__(self, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._held = 0
        self._siblings.clear()
        if self._graph.makes_sizes:
            self._settled.clear()
            self._sizes = made_sizes(self._graph, known, self._known_sizes)
        with np.errstate(all="ignore"):
            values: dict[str, np.ndarray] = walk(
                self._graph, self._order, known, self._apply, leaf=lambda _, node: _constant(node)
            )
        hold(-self._held, "")
        self._siblings.clear()
        return values

    def _apply(self, name: str, op: Op, node: Node, arguments: Sequence[Any]) -> np.ndarray:
        try:
            if self._graph.makes_sizes and not made_names(node.shape) <= self._sizes.keys():
                return self._apply_making(name, op, node, arguments)
            if name not in self._settled:
                self._settled[name] = self._settle(name, op, node, arguments)
            call = self._settled[name]
            hold(call.size, name)
            self._held += call.size
            spend(call.steps, name)
            computed = (
                op.compute(arguments, call.attributes) if op.family is None else self._output(op, arguments, call)
            )
            result: np.ndarray = op.checked(computed, call.shape, node.dtype)
            return result
        except DataflowError as error:
            raise error.at(node=name) from None
        except MemoryError:
            raise no_room(call.size).at(node=name) from None

    def _output(self, op: Op, arguments: Sequence[Any], call: _Settled) -> np.ndarray:
        """One output of an op with several, which is computed once for all of them."""
        assert op.family is not None
        assert op.output_name is not None
        attributes = tuple(call.attributes.items())
        key = (
            op.family,
            tuple([id(x) if isinstance(x, np.ndarray) else (type(x), repr(x)) for x in arguments]),
            attributes,
        )
        if key not in self._siblings:
            self._siblings[key] = op.family.compute_outputs(arguments, call.attributes)
        return self._siblings[key][op.output_name]

    def _apply_making(self, name: str, op: Op, node: Node, arguments: Sequence[Any]) -> np.ndarray:
        """The result of a node whose values decide a size, which is known from here on."""
        attributes = concrete_attributes(op, node, self._sizes)
        spend(6 + (steps_of_entries(op, arguments, attributes) if is_limited() else 0), name)
        call = _Settled((), 0, attributes, 0)
        try:
            computed = op.compute(arguments, attributes) if op.family is None else self._output(op, arguments, call)
        except MemoryError:
            raise RuleError(f"there is no memory for what op '{op.name}' gives") from None
        problem = bind(node.shape, computed.shape, self._sizes)
        if problem is not None:
            raise RuleError(f"op '{op.name}': {problem}")
        hold(computed.nbytes, name)
        self._held += computed.nbytes
        return op.checked(computed, computed.shape, node.dtype)

    def _settle(self, name: str, op: Op, node: Node, arguments: Sequence[Any]) -> _Settled:
        spend(3, name)
        shape = substitute(node.shape, self._sizes)
        attributes = concrete_attributes(op, node, self._sizes)
        steps = steps_of_entries(op, arguments, attributes) if is_limited() else 0
        return _Settled(shape, math.prod(shape) * int(node.dtype.itemsize), attributes, 3 + steps)


class _Settled(NamedTuple):
    """What holds for a node whatever the values are: its size in bytes, and the steps of work that it takes."""

    shape: tuple[int, ...]
    size: int
    attributes: dict[str, Any]
    steps: int


def made_sizes(graph: Graph, values: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes with those that nodes have made, whose results are among the values."""
    known = dict(sizes)
    for name in graph.nodes & values.keys() if graph.makes_sizes else ():
        if made_names(graph.node_of(name).shape) - known.keys():
            bind(graph.node_of(name).shape, values[name].shape, known)
    return known


def _constant(node: Node) -> np.ndarray | None:
    """A constant's value; ``None`` for an input or a parameter, whose value is not known."""
    return node.value if node.kind == CONSTANT else None


def shape_warnings(graph: Graph, order: Iterable[str], loss: str | None, batch: str | None) -> list[str]:
    """A line for each node of ``order`` that its shapes alone show to be a mistake: on the way to the loss, every
    example meets every other, because an operand of fewer axes is broadcast, or a target is held against a prediction
    of another width; or a softmax is over a single entry.

    Axes that the graph writes out, as in ``expand_dims(x, axis=0) - expand_dims(x, axis=1)``, are meant."""
    towards = graph.needed_for([loss]) if loss is not None else ()
    trained = graph.depending_on(graph.names(PARAMETER))
    found = []
    for name in order:
        node = graph.node_of(name)
        if node.kind != OP:
            continue
        op = graph.op_of(name)
        sources = [source for source in graph.arguments(name) if isinstance(source, str)]
        shapes = [graph.node_of(source).shape for source in sources]
        if batch is not None and name in towards and len(node.shape) > 1 and op.elementwise:
            pair, advice = _crossing(sources, shapes, batch)
            if not pair and op is subtract and _is_compared(graph, sources, trained) and _differ(shapes, batch):
                pair, advice = (0, 1), ": targets are held against a prediction of another width; give both one shape"
            if pair:
                both = " and ".join(f"{sources[i]} {format_shape(shapes[i])}" for i in pair)
                found.append(f"node '{name}' ({node.op}) broadcasts {both} to {format_shape(node.shape)}{advice}")
        elif op.over_one_entry is not None and shapes[0][node.attributes["axis"]] == 1:
            found.append(
                f"node '{name}' ({node.op}) is over an axis of size 1 of {sources[0]} {format_shape(shapes[0])}, "
                f"and so always {op.over_one_entry:g}; use two columns, or sigmoid"
            )
    return found


def _crossing(sources: Sequence[str], shapes: Sequence[Shape], batch: str) -> tuple[Sequence[int], str]:
    """Two operands of which every example of one meets every one of the other, and what to do; none where none do."""
    for few, many in itertools.permutations(range(len(sources)), 2):
        meant = _aligned(shapes[few], shapes[many], batch)
        if meant is not None:
            advice = f", every example with every other; reshape {sources[few]} to {format_shape(meant)}"
            return sorted((few, many)), advice
    return (), ""


def _is_compared(graph: Graph, sources: Sequence[str], trained: Collection[str]) -> bool:
    """Whether these are an input and something that parameters decide."""
    kinds = [graph.node_of(source).kind == INPUT for source in sources]
    return sorted(kinds) == [False, True] and sources[kinds.index(False)] in trained


def _differ(shapes: Sequence[Shape], batch: str) -> bool:
    """Whether both have a row for each example, of another width."""
    return shapes[0] != shapes[1] and all(shape and str(shape[0]) == batch for shape in shapes)


def _aligned(few: Shape, many: Shape, batch: str) -> Shape | None:
    """The shape in which the batch of ``few``, which has fewer axes, would meet that of ``many``; ``None`` where it
    does, or where one has no batch, or examples in two axes."""
    own, other = axes_with(few, batch), axes_with(many, batch)
    missing = len(many) - len(few)
    if missing < 1 or len(own) != 1 or len(other) != 1 or own[0] + missing == other[0]:
        return None
    return (*few[: own[0] + 1], *[1] * missing, *few[own[0] + 1 :])


MOST_MISSING = 12
"""So many inputs that are missing are told of a node, and one more where there are more."""


def missing_inputs(graph: Graph, order: Iterable[str], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """For each node of ``order`` (topological) that is not known, the first of the inputs that it lacks."""
    position = {name: i for i, name in enumerate(graph.names(INPUT))}
    lacking: dict[str, list[str]] = {}
    for name in order:
        if name in values:
            continue
        if name in position:
            lacking[name] = [name]
            continue
        known = [lacking[source] for source in graph.pred[name] if source in lacking]
        if len(known) == 1:
            lacking[name] = known[0]  # the same list all along a chain
        else:
            together = sorted({one for found in known for one in found}, key=position.__getitem__)
            lacking[name] = together[: MOST_MISSING + 1]
    return lacking


def missing_text(missing: Sequence[str]) -> str:
    """``the inputs 'x', 'y'``."""
    more = " and more" if len(missing) > MOST_MISSING else ""
    return f"the {plural('input', len(missing))} {listed(missing[:MOST_MISSING])}{more}"


def non_finite_warnings(graph: Graph, order: Iterable[str], values: Mapping[str, np.ndarray]) -> list[str]:
    """A line for each node that made NaN or infinity of finite numbers."""
    finite: dict[str, bool] = {}
    found = []
    for name in order:
        if name not in values:
            continue
        value = values[name]
        finite[name] = value.dtype.kind != "f" or bool(np.isfinite(value).all())
        if finite[name] or graph.node_of(name).kind != OP:
            continue
        sources = [source for source in graph.arguments(name) if isinstance(source, str)]
        if all(finite.get(source, True) for source in sources):
            places = np.argwhere(~np.isfinite(value))
            found.append(
                f"node '{name}' ({graph.node_of(name).op}): {_number(value, places[0])}{_place(places)}, "
                f"from {_operands(graph, name, values)}; outside its domain, or too large for {value.dtype}"
            )
    return found


def kink_warnings(graph: Graph, order: Iterable[str], values: Mapping[str, np.ndarray]) -> list[str]:
    """A line for each node whose input lies where its op has no derivative, with the convention that is used."""
    found = []
    for name, touched in touched_kinks(graph, order, values).items():
        if touched.any():
            op, places = graph.op_of(name), np.argwhere(touched)
            convention = op.kink_rule.convention if op.kink_rule is not None else ""
            found.append(f"node '{name}' ({op.name}) touches its kink{_place(places)}: {convention}")
    return found


def touched_kinks(graph: Graph, names: Iterable[str], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each of these op nodes that has a kink, where its output touches it."""
    masks = {}
    for name in names:
        node = graph.node_of(name)
        if name not in values or node.kind != OP or (kink := graph.op_of(name).kink_rule) is None:
            continue
        arguments = [values[source] if isinstance(source, str) else source for source in graph.arguments(name)]
        mask = kink.touched(*graph.op_of(name).complete(arguments), **node.attributes)
        masks[name] = np.broadcast_to(mask, values[name].shape)
    return masks


def _place(places: np.ndarray) -> str:
    if places.shape[1] == 0:
        return ""
    first = ", ".join(str([int(i) for i in place]) for place in places[:3])
    more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
    return f" at {first}{more}"


def _number(value: np.ndarray, place: np.ndarray) -> str:
    return str(float(value[tuple(place)]))


def _operands(graph: Graph, name: str, values: Mapping[str, np.ndarray]) -> str:
    sources = graph.arguments(name)
    texts = []
    for source in sources:
        if not isinstance(source, str):
            texts.append(str(source))
        elif values[source].ndim == 0:
            texts.append(f"{source} = {values[source].item():g}")
        else:
            texts.append(source)
    return ", ".join(texts)
