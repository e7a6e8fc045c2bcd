"""A graph as a chain of dense layers, recognized by what its ops do: a product with a parameter, a bias that is added,
functions that keep the number of units. Ops that are composed of others are looked into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataflow.draw.neurons.layers import Chain, Column, Layer, Selection, Weights, Width
from dataflow.draw.picture.fit import FitError
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.graph import trace_op
from dataflow.graph.node import INPUT, OP
from dataflow.graph.node_graph import Argument
from dataflow.model.model import Model
from dataflow.operations.engine_ops import add, matmul
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of
from dataflow.shapes import Shape, Size, TensorSpec, format_shape


def find_chain(model: Model, of: str | None) -> Chain:
    """The layers that lead to the model's loss, or to ``of``; a ``FitError`` says what is no such chain."""
    return _Finder(model).find(of)


@dataclass(frozen=True)
class _Call:
    op: Op
    arguments: tuple[Argument, ...]
    attributes: Mapping[str, Any]
    spec: TensorSpec


@dataclass
class _Finder:
    model: Model
    calls: dict[str, _Call] = field(default_factory=dict)
    """The ops in the order of evaluation, those with a product in them opened."""

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.graph = graph
        self.batch = batch_symbol(graph)
        for name in graph.schedule():
            node = graph.node_of(name)
            if node.kind == OP:
                self.open(name, graph.op_of(name), graph.arguments(name), node.attributes, graph.spec(name))
        self.position = {name: i for i, name in enumerate([*graph.names(INPUT), *self.calls])}
        self.data = set(graph.names(INPUT))
        self.learned = {name for name in graph if graph.node_of(name).kind not in (INPUT, OP)}
        for name, call in self.calls.items():
            for known in (self.data, self.learned):
                if any(argument in known for argument in call.arguments if isinstance(argument, str)):
                    known.add(name)

    def find(self, of: str | None) -> Chain:
        loss: str | None = None
        targets: tuple[str, ...] = ()
        end = of or self.model.loss or self.last_output()
        if end == self.model.loss:
            loss = end
            end, targets = self.prediction_of(end)
        columns = self.columns_to(end)
        if len(columns) == 1:
            raise self.misfit(f"'{end}' is computed without a product of a parameter and units")
        last = columns[-1]
        shown = self.shown_output(end)
        if shown is not None:
            functions = (*last.functions, self.calls[shown].op.name)
            columns[-1] = Column(shown, last.width, functions, last.layer)
        return Chain(tuple(columns), loss, targets, end)

    # -------------------------------------------------------------------------------------------- opening

    def open(self, name: str, op: Op, arguments: Sequence[Argument], attributes: Mapping[str, Any], spec: Any) -> None:
        """Add a call; of one with a product inside, the calls of its body."""
        if op.is_primitive or not self.has_product(op, arguments, attributes):
            self.calls[name] = _Call(op, tuple(arguments), attributes, spec)
            return
        trace = self.trace(op, arguments, attributes)
        names = trace.by_input(arguments)
        for inner in trace.graph.schedule([trace.output]):
            node = trace.graph.node_of(inner)
            if node.kind == INPUT:
                continue
            if node.kind != OP:
                names[inner] = node.value.item() if node.value.ndim == 0 else None
                continue
            names[inner] = name if inner == trace.output else f"{name} {inner}"
            given = [names[a] if isinstance(a, str) else a for a in trace.graph.arguments(inner)]
            self.open(str(names[inner]), trace.graph.op_of(inner), given, node.attributes, trace.graph.spec(inner))

    def trace(self, op: Op, arguments: Sequence[Argument], attributes: Mapping[str, Any]) -> Any:
        return _trace(op, arguments, attributes, self.spec)

    def has_product(self, op: Op, arguments: Sequence[Argument], attributes: Mapping[str, Any]) -> bool:
        pending = [self.trace(op, arguments, attributes).graph]
        while pending:
            graph = pending.pop()
            for name in graph.names(OP):
                inner = graph.op_of(name)
                if inner is matmul:
                    return True
                if not inner.is_primitive:
                    trace = _trace(inner, graph.arguments(name), graph.node_of(name).attributes, graph.spec)
                    pending.append(trace.graph)
        return False

    def spec(self, name: str) -> TensorSpec:
        return self.calls[name].spec if name in self.calls else self.graph.spec(name)

    # -------------------------------------------------------------------------------------------- where it ends

    def last_output(self) -> str:
        outputs = [name for name in self.calls if name in self.model.outputs]
        if not outputs:
            raise self.misfit("the model computes no output")
        return outputs[-1]

    def prediction_of(self, loss: str) -> tuple[str, tuple[str, ...]]:
        """What the loss is computed from that is learned, and the inputs that it is compared with."""
        frontier, targets = [loss], dict[str, None]()
        while True:
            name = max(frontier, key=self.position.__getitem__)
            if len(frontier) == 1 and name != loss and self.is_prediction(name):
                return name, tuple(targets)
            if name not in self.calls:
                raise self.misfit(f"the loss '{loss}' compares no result of layers with anything")
            frontier.remove(name)
            for argument in self.sources(name):
                if argument not in self.learned:
                    targets[argument] = None
                elif argument not in frontier:
                    frontier.append(argument)
            if not frontier:
                raise self.misfit(f"the loss '{loss}' is computed from no parameter and input")

    def is_prediction(self, name: str) -> bool:
        shape = self.spec(name).shape
        has_examples = self.batch is None or any(isinstance(s, Size) and s.as_symbol == self.batch for s in shape)
        return has_examples and self.width(name) is not None and (bool(shape) or name in self.model.outputs)

    def shown_output(self, end: str) -> str | None:
        """What is an output in place of ``end``, such as the softmax of logits."""
        for name, call in self.calls.items():
            if name in self.model.outputs and self.sources(name) == [end] and call.spec.shape == self.spec(end).shape:
                return name
        return None

    # -------------------------------------------------------------------------------------------- layers

    def columns_to(self, end: str) -> list[Column]:
        columns: list[Column] = []
        top = end
        while True:
            functions, bottom = self.functions_below(top)
            width = self.width(top)
            if width is None:
                raise self.misfit(
                    f"'{self.told(top)}' of shape {format_shape(self.spec(top).shape)} is no row of units"
                )
            if bottom not in self.calls:
                columns.append(Column(top, width, functions))
                return columns[::-1]
            bias, product = self.bias_of(bottom)
            left, right = self.calls[product].arguments
            is_left = left not in self.data
            weights = self.weights_of(left if is_left else right)
            columns.append(Column(top, width, functions, Layer(weights, is_left, bias, bottom)))
            top = str(right if is_left else left)

    def functions_below(self, top: str) -> tuple[tuple[str, ...], str]:
        """The ops from a layer's result, or from an input, to ``top``, and where they begin."""
        frontier, functions = [top], list[str]()
        while True:
            name = max(frontier, key=self.position.__getitem__)
            if len(frontier) == 1 and (name not in self.calls or self.is_layer(name)):
                return tuple(functions[::-1]), name
            call = self.calls.get(name)
            if call is None or self.is_layer(name):
                others = " and ".join(f"'{self.told(other)}'" for other in frontier)
                raise self.misfit(
                    f"'{self.told(top)}' joins {others} (a skip connection, or units that are nodes of their own)"
                )
            sources = self.sources(name)
            if not sources:
                raise self.misfit(f"'{self.told(name)}' depends on no input")
            changed = [source for source in sources if self.width(source) != self.width(name)]
            if changed:
                raise self.misfit(
                    f"'{self.told(name)}', {call.op.name} of '{self.told(changed[0])}', is neither a dense layer nor a "
                    f"function of its units"
                )
            functions.append(call.op.name)
            frontier.remove(name)
            frontier += [source for source in sources if source not in frontier]

    def is_layer(self, name: str) -> bool:
        """Whether it is a product of units and parameters, or that with a bias."""
        return self.bias_of(name)[1] != ""

    def bias_of(self, name: str) -> tuple[Weights | None, str]:
        """The bias of a layer's result, and its product; no product where it is no layer's result."""
        call = self.calls.get(name)
        if call is None:
            return None, ""
        if call.op is matmul:
            fits = [argument for argument in call.arguments if argument in self.data]
            return None, name if len(fits) == 1 else ""
        if call.op is not add:
            return None, ""
        products = [a for a in call.arguments if isinstance(a, str) and a in self.data]
        others = [a for a in call.arguments if isinstance(a, str) and a not in self.data]
        if len(products) == 1 and len(others) == 1 and self.bias_of(products[0])[1] == products[0]:
            try:
                return self.weights_of(others[0]), products[0]
            except FitError:
                return None, ""
        return None, ""

    def weights_of(self, name: Argument) -> Weights:
        """The parameter that these weights are entries of."""
        selections: list[Selection] = []
        inner = name
        while inner in self.calls:
            call = self.calls[str(inner)]
            if call.op.structure != "selection" or len(call.arguments) != 1:
                raise self.misfit(f"the weights '{self.told(str(name))}' are computed, and are no parameter")
            selections.append(Selection(call.op, call.attributes))
            inner = call.arguments[0]
        return Weights(str(inner), tuple(selections[::-1]))

    # -------------------------------------------------------------------------------------------- helpers

    def sources(self, name: str) -> list[str]:
        """The arguments that depend on an input."""
        return list(dict.fromkeys(a for a in self.calls[name].arguments if isinstance(a, str) and a in self.data))

    def width(self, name: str) -> Width | None:
        """The number of units; ``None`` where there are two axes of them."""
        shape: Shape = self.spec(name).shape
        sizes = [s for s in shape if s != 1 and not (isinstance(s, Size) and s.as_symbol == self.batch)]
        return None if len(sizes) > 1 else sizes[0] if sizes else 1

    def told(self, name: str) -> str:
        """A node by the name that the graph has for it."""
        return name.partition(" ")[0]

    def misfit(self, reason: str) -> FitError:
        return FitError(f"the style 'neurons' shows chains of dense layers, and {reason}")


def _trace(
    op: Op, arguments: Sequence[Argument], attributes: Mapping[str, Any], spec: Callable[[str], TensorSpec]
) -> Any:
    """The body of a composed op, for arguments of which ``spec`` knows the nodes."""
    specs = [spec(argument) if isinstance(argument, str) else None for argument in arguments]
    return trace_op(op, specs, attributes, literals_of(arguments))
