"""Which nodes are compared: what predicts what, as the ops in the loss declare it, or as the model's file says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataflow.errors import GraphError, TrainingError, nearest
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, OP
from dataflow.metrics.compared import Compared
from dataflow.metrics.metric import Metric
from dataflow.operations.op import Compares
from dataflow.registry import registry

Undo = Callable[[str, np.ndarray], np.ndarray]
"""What takes numbers as an input has them back to the unit of its table, given the input's name."""


@dataclass(frozen=True)
class Comparison:
    """A node that predicts, and the node, mostly an input, that it is held against."""

    prediction: str
    target: str
    kind: Compares
    logits: bool
    """Whether the prediction is logits; else, of classes and binary choices, probabilities or other scores."""
    ignored: int | None = None
    """The number of the class that does not count, where targets are numbers of classes."""


def compared_by(
    graph: Graph, loss: str | None, targets: Mapping[str, str], classes: Collection[str]
) -> list[Comparison]:
    """What is compared, in the order of the graph: as ``targets`` says (an input for each output), else what the ops
    in the loss compare. ``classes`` are the inputs that are known to be classes, for losses that nobody knows."""
    needed = graph.needed_for([loss]) if loss is not None else ()
    ops = [name for name, node in graph.node_items() if name in needed and node.kind == OP]
    known = []
    for name in ops:
        kind = graph.op_of(name).compares
        if kind is not None:
            prediction, target = graph.arguments(name)[:2]
            if isinstance(prediction, str) and isinstance(target, str):
                ignored = graph.node_of(name).attributes.get("ignore_index")
                known.append(Comparison(prediction, target, kind, kind != "numbers", ignored))
    if not targets:
        return list(dict.fromkeys(known))
    by_target = {one.target: one for one in reversed(known)}
    said = []
    for output, target in targets.items():
        one = by_target.get(target, Comparison(output, target, "classes" if target in classes else "numbers", False))
        said.append(one if one.prediction == output else replace(one, prediction=output, logits=False))
    return said


def by_output(graph: Graph, outputs: Sequence[str], comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """For each output that predicts an input, what is compared: the output itself, or, where that is the logits of
    classes, what is computed of them entry by entry, such as their softmax."""
    found = {}
    for output in outputs:
        needed = graph.needed_for([output])
        for one in comparisons:
            if graph.node_of(one.target).kind != INPUT or one.target in needed:
                continue
            same_shape = graph.node_of(one.prediction).shape == graph.node_of(output).shape
            if one.prediction == output:
                found[output] = one
            elif one.logits and same_shape and one.prediction in needed:
                found.setdefault(output, replace(one, prediction=output, logits=False))
    return found


def check_targets(graph: Graph, outputs: Sequence[str], targets: Mapping[str, str]) -> None:
    """A ``GraphError`` unless each of ``targets`` says which output predicts which input."""
    inputs = dict.fromkeys(graph.names(INPUT))  # a file may have very many
    for output, target in targets.items():
        if output not in outputs:
            raise GraphError(f"targets: '{output}' is no output{nearest(output, outputs)}")
        if target not in inputs:
            raise GraphError(f"targets: '{output}' predicts no input '{target}'{nearest(target, inputs)}")


def compare(
    graph: Graph,
    comparison: Comparison,
    prediction: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None = None,
    undo: Undo | None = None,
) -> Compared:
    """The values of the two nodes for metrics; numbers in the unit of the table that the target comes from."""
    one = comparison
    if undo is not None and one.kind == "numbers" and graph.node_of(one.target).kind == INPUT:
        prediction, target = undo(one.target, prediction), undo(one.target, target)
    return Compared(one.kind, prediction, target, weights, logits=one.logits, ignored=one.ignored)


@dataclass(frozen=True)
class Measured:
    """A metric of a comparison, under its name."""

    name: str
    metric: Metric
    comparison: Comparison


def chosen_metrics(
    comparisons: Sequence[Comparison], names: Sequence[str] | None, usual: Collection[str]
) -> list[Measured]:
    """The metrics of these names, or, where none are named, those that are ``usual`` and fit. Where a metric fits
    several comparisons, the prediction's name is a part of its name. ``TrainingError`` for one that fits none."""
    everything = registry.registry().metrics.values()
    chosen = [one for one in everything if one.usual in usual] if names is None else list(map(registry.metric, names))
    measured = []
    for one in chosen:
        if one.numbered and one.k is None:
            raise registry.unnumbered(one.name, one.name)
        fitting = [comparison for comparison in comparisons if comparison.kind in one.fits]
        if not fitting and names is not None:
            raise TrainingError(_misfit(one, comparisons, everything))
        for comparison in fitting:
            name = one.name if len(fitting) == 1 else f"{one.name}_{comparison.prediction}"
            measured.append(Measured(name, one, comparison))
    return measured


def _misfit(metric: Metric, comparisons: Sequence[Comparison], everything: Iterable[Metric]) -> str:
    text = f"the metric '{metric.name}' is for {' or '.join(_WORDS[kind] for kind in metric.fits)}"
    if not comparisons:
        return (
            f"{text}, and no op in the loss says what it compares; say which output predicts which input, as in "
            'targets = { yhat = "y" } under [model]'
        )
    kinds = list(dict.fromkeys(one.kind for one in comparisons))
    compared = " and ".join(_WORDS[kind] for kind in kinds)
    fitting = sorted(one.name for one in everything if set(kinds) & set(one.fits))
    return f"{text}, and the loss compares {compared}; those that fit: {', '.join(fitting)}"


_WORDS: Mapping[Compares, str] = {"classes": "classes", "binary": "yes and no", "numbers": "numbers"}
