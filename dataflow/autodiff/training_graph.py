"""The graph that training differentiates: ops that have another body for training are replaced by it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import count
from typing import Any

from dataflow.autodiff.rewrite_ops import body_of, free_name, rewrite, rewrite_body
from dataflow.errors import RuleError
from dataflow.graph.graph import Graph, Trace, call_rule
from dataflow.graph.node import OP, PARAMETER, Node
from dataflow.graph.value import Value
from dataflow.operations.engine_ops import random_uniform
from dataflow.operations.op import Op
from dataflow.shapes import TensorSpec


@dataclass(frozen=True)
class TrainingGraph:
    """A model's graph as training runs it."""

    graph: Graph
    """The model's own where no op has another body for training. Nodes keep their names."""
    minibatch: str = ""
    """The input for the number of the minibatch, one whole number, where random numbers are drawn."""
    updates: Mapping[str, str] = field(default_factory=dict)
    """For each parameter that is state, the node with its value after the minibatch."""
    still: frozenset[str] = frozenset()
    """The parameters that are state and stay as they are, as what belongs to them is frozen or no parameter."""

    @property
    def state(self) -> frozenset[str]:
        """The parameters that no optimizer changes."""
        return self.still.union(self.updates)


def training_graph(graph: Graph, loss: str, seed: int, frozen: Collection[str] = ()) -> TrainingGraph:
    """The graph with the bodies for training in all that ``loss`` needs. What is drawn depends on the seed, the name of
    the node and the number of the minibatch. ``frozen`` parameters stay as they are, and so do their ops."""
    replaced = {name for name in graph.needed_for([loss]) if graph.node_of(name).kind == OP and _trains(graph, name)}
    if not replaced:
        return TrainingGraph(graph)
    minibatch, updated = free_name(graph, "minibatch"), free_name(graph, "updated")
    result = Graph(graph.name, graph.dtype)
    bodies = _Bodies(result.input(minibatch, (), "int64"), seed, frozen)

    def apply(name: str, op: Op, node: Node, arguments: list[Any]) -> Any:
        place = name if op.family is None else name.rpartition(":")[0]
        return bodies.apply(place, op, node, arguments)

    rewrite(graph, result, replaced, apply, inner=minibatch)
    updates = {name: result.node(f"{updated}.{name}", value).name for name, value in bodies.updates.items()}
    return TrainingGraph(
        result, minibatch if bodies.draws else "", updates, frozenset(bodies.still.difference(updates))
    )


class _Bodies:
    """``apply(place, op, node, arguments)``: the result of a node in training, as a value of the new graph. The place
    is where it is applied: the outputs of one application have one."""

    def __init__(self, minibatch: Value, seed: int, frozen: Collection[str]) -> None:
        self._minibatch, self._seed, self._frozen = minibatch, seed, frozen
        self.updates: dict[str, Value] = {}
        self.still: set[str] = set()
        self.draws = 0
        self._made: dict[str, Value] = {}

    def apply(self, place: str, op: Op, node: Node, arguments: list[Any]) -> Any:
        if op.training_rule is not None:
            if place not in self._made:
                self._made[place] = self._trained(place, op, arguments, node)
            return self._made[place]
        if op.is_primitive or not _contains_training(trace := body_of(op, arguments, node.attributes)):
            return op(*arguments, **node.attributes)
        return rewrite_body(trace, arguments, lambda name, *inner: self.apply(f"{place}\n{name}", *inner))

    def _trained(self, place: str, op: Op, arguments: list[Any], node: Node) -> Any:
        assert op.training_rule is not None
        states = [arguments[i] for i in op.state_inputs]
        if not all(map(self._is_state, states)):
            self.still.update(state.name for state in states if self._is_state(state))
            return op(*arguments, **node.attributes)
        for i, state in zip(op.state_inputs, states, strict=True):
            arguments[i] = self.updates.get(state.name, state)  # of another node that has the same state
        random = partial(self._random, place, count(1))
        made = call_rule(op, op.training_rule, [random, *arguments], node.attributes)
        results = made if isinstance(made, tuple) and op.state_inputs else (made,)
        expected = [TensorSpec(node.shape, node.dtype), *(state.spec for state in states)]
        if [getattr(result, "spec", None) for result in results] != expected:
            found = ", ".join(str(getattr(result, "spec", result)) for result in results)
            raise RuleError(f"op '{op.name}': its training rule gives {', '.join(map(str, expected))}, not {found}")
        self.updates |= {state.name: value for state, value in zip(states, results[1:], strict=True)}
        return results[0]

    def _is_state(self, argument: Any) -> bool:
        if not isinstance(argument, Value):
            return False
        return argument.graph.node_of(argument.name).kind == PARAMETER and argument.name not in self._frozen

    def _random(self, place: str, numbers: Iterator[int], like: Value) -> Value:
        """Random numbers in the shape of a value, from a stream that no other draw of the graph has."""
        self.draws += 1
        digest = hashlib.sha256(f"{place}\n{next(numbers)}".encode()).digest()
        dtype = like.dtype.name if like.dtype.kind == "f" else "float64"
        stream = int.from_bytes(digest[:8], "little") >> 1  # so that files can hold it
        drawn: Value = random_uniform(self._minibatch, shape=like.shape, dtype=dtype, seed=self._seed, stream=stream)
        return drawn


def _trains(graph: Graph, name: str) -> bool:
    """Whether a node's op has another body for training, or has an op inside that has one."""
    op = graph.op_of(name)
    if op.training_rule is not None or op.is_primitive:
        return op.training_rule is not None
    operands = [graph.value(x) if isinstance(x, str) else x for x in op.complete(graph.arguments(name))]
    return _contains_training(body_of(op, operands, graph.node_of(name).attributes))


@lru_cache(maxsize=2048)
def _contains_training(trace: Trace) -> bool:
    """Whether a body has, anywhere inside, an op with another body for training. Traces are kept, and told apart by
    themselves, so that each is looked through once."""
    return any(_trains(trace.graph, name) for name, node in trace.graph.node_items() if node.kind == OP)
