"""The step that is profiled: which outputs of which graph, on which examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import gradient_graph
from dataflow.autodiff.training_graph import TrainingGraph, training_graph
from dataflow.errors import DataError, GraphError, MissingInputError, counted, listed, plural
from dataflow.execution.inputs import batch_axis, batch_symbol
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, PARAMETER
from dataflow.model.model import Model
from dataflow.shapes import Size, format_shape, substitute
from dataflow.training.trained_parameters import frozen_names


@dataclass(frozen=True)
class Step:
    """What is computed: ``outputs`` of ``graph`` from inputs and parameters. The last ``gradients`` of them are
    gradients; those of ``trained`` parameters are what an update needs."""

    graph: Graph
    outputs: Sequence[str]
    gradients: int = 0
    trained: Sequence[str] = ()
    wrt: Sequence[str] = ()
    """What the gradients are of."""
    training: TrainingGraph | None = None
    """The model as training runs it, in a step of training."""

    @property
    def inputs(self) -> list[str]:
        """The inputs that it needs; the number of the minibatch is none of them."""
        return [name for name in self._needed(INPUT) if self.training is None or name != self.training.minibatch]

    @property
    def parameters(self) -> list[str]:
        """The parameters that it needs, trained or not."""
        return self._needed(PARAMETER)

    def _needed(self, kind: str) -> list[str]:
        needed = self.graph.needed_for(self.outputs)
        return [name for name in self.graph.names(kind) if name in needed]


def step_of(model: Model, forward: bool, of: str | None, wrt: Sequence[str] | None) -> Step:
    """A step of training; with ``wrt``, the gradient of ``sum(of)``, or of the loss; with ``forward``, or where there
    is nothing to train, the model's outputs alone, or its loss."""
    if wrt is not None:
        gradient = gradient_graph(model.graph, model.target(of), wrt)
        gradients = [gradient.cotangents[name] for name in wrt if name in gradient.cotangents]
        return Step(gradient.graph, [gradient.of, *gradients], len(gradients), wrt=wrt)
    if of is not None:
        return Step(model.graph, [model.graph.value(of).name])
    if forward or model.loss is None or not len(model.parameters):
        outputs = list(model.outputs) or ([model.loss] if model.loss is not None else [])
        if not outputs:
            raise GraphError("the model declares neither outputs nor a loss, so there is nothing to profile")
        return Step(model.graph, outputs)
    kept = frozen_names(model.parameters, model.train_settings.frozen)
    training = training_graph(model.graph, model.loss, model.train_settings.seed, kept)
    wanted = [name for name in model.parameters if name not in kept and name not in training.state]
    gradient = gradient_graph(training.graph, model.loss, wanted)
    trained = [name for name in model.parameters if name in gradient.cotangents]
    gradients = [gradient.cotangents[name] for name in trained]
    outputs = [model.loss, *training.updates.values(), *gradients]
    return Step(gradient.graph, outputs, len(gradients), trained, trained, training)


def arguments(
    model: Model, step: Step, data: Mapping[str, Any] | None, wanted: int | None, most: int | None
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Arrays for the step's inputs and parameters, and what symbolic sizes stand for.

    Of the data, the first ``wanted`` examples; if that is ``None``, as many as there are, but no more than ``most``.
    Without data, examples are drawn.
    """
    symbol = batch_symbol(model.graph)
    if data is None and model.data is None:
        inputs: Mapping[str, Any] | None = _draw_examples(model.graph, step.inputs, symbol, wanted or most)
    else:
        inputs = data
    known, sizes = model.feed(inputs)
    if missing := [name for name in step.inputs if name not in known]:
        raise MissingInputError(
            f"a step needs the {plural('input', len(missing))} {listed(missing)}, which the data lacks"
        )
    if symbol is not None and symbol in sizes:
        count = sizes[symbol]
        if wanted is not None and wanted > count:
            raise DataError(f"a batch of {wanted} is asked for, and there are {counted(count, 'example')}")
        sizes[symbol] = size = wanted or min(count, most or count)
        for name in step.inputs:
            axis = batch_axis(model.graph, name, symbol)
            if axis is not None:
                known[name] = np.ascontiguousarray(known[name][(slice(None),) * axis + (slice(size),)])
    arrays = {name: known[name] for name in (*step.inputs, *step.parameters)}
    if step.training is not None and step.training.minibatch:
        arrays[step.training.minibatch] = np.zeros((), np.int64)
    return arrays, sizes


def _draw_examples(graph: Graph, inputs: Sequence[str], symbol: str | None, count: int | None) -> dict[str, np.ndarray]:
    """Draw normal numbers for inputs of floats; others are zeros."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name in inputs:
        node = graph.node_of(name)
        sizes = {} if symbol is None or count is None else {symbol: count}
        if any(isinstance(size, Size) and not size.names <= sizes.keys() for size in node.shape):
            raise DataError(
                f"there is no data for the input '{name}' of shape {format_shape(node.shape)}; give some, or say "
                f"for how many examples with batch_size (--batch-size)",
                node=name,
            )
        shape = substitute(node.shape, sizes)
        floats = node.dtype.kind == "f"
        drawn[name] = (rng.normal(size=shape) if floats else np.zeros(shape)).astype(node.dtype)
    return drawn
