"""What differs between two models: nodes, parameters, settings, training and declared data; and, over data, their
results."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from dataflow.autodiff.weighting import weighted_graph
from dataflow.data.source import DataSource
from dataflow.errors import DataflowError
from dataflow.graph.graph import Graph
from dataflow.graph.node import PARAMETER
from dataflow.metrics.comparisons import chosen_metrics
from dataflow.metrics.comparisons import compare as compared
from dataflow.model.model import Evaluation, Model
from dataflow.model.train_settings import FILE_OPTIONS
from dataflow.model.units import Units
from dataflow.operations.attributes import plain
from dataflow.shapes import Shape, is_static
from dataflow.support.conversion import numbers


@dataclass(frozen=True)
class ArrayDifference:
    """Two arrays in numbers. Norms are Euclidean, over all entries."""

    shapes: tuple[Shape, Shape]
    dtypes: tuple[str, str]
    norms: tuple[float, float]
    difference: float | None
    """The norm of the second less the first; ``None`` where the shapes differ, as below."""
    largest: float | None
    """The largest absolute difference of two entries."""
    entries: int | None
    """How many entries differ. Two NaN are the same."""


Difference = tuple[Any, Any] | ArrayDifference
"""The values on both sides, ``None`` where there is none."""


@dataclass(frozen=True)
class Comparison:
    """What differs between a model and another one; empty where nothing does. The order of nodes does not count."""

    added: list[str]
    """The nodes that only the second model has."""
    removed: list[str]
    """The nodes that only the first one has."""
    changed: dict[str, dict[str, Difference]]
    """For each node that differs: ``op``, ``inputs``, ``shape``, ``attributes.NAME``, ..."""
    model: dict[str, Difference]
    """Of the whole: ``name``, ``doc``, ``dtype``, ``outputs``, ``targets``, ``classes.NODE``, ``loss``, ``seed``,
    ``calls.PATH``."""
    parameters: dict[str, ArrayDifference]
    """Of those that both models have and that differ in a bit."""
    settings: dict[str, Difference]
    """What is declared of training."""
    training: dict[str, Difference]
    """What is known of the training run: of the loss and the metrics, the last."""
    data: dict[str, Difference]
    """What is declared of data, and what was learned from them."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(getattr(self, section.name) for section in fields(self))


def compare(a: Model, b: Model) -> Comparison:
    """Compare everything but results."""
    nodes_a, nodes_b = dict(a.graph.node_items()), dict(b.graph.node_items())
    changed = {name: _node_differences(a.graph, b.graph, name) for name in nodes_b if name in nodes_a}
    return Comparison(
        added=[name for name in nodes_b if name not in nodes_a],
        removed=[name for name in nodes_a if name not in nodes_b],
        changed={name: differences for name, differences in changed.items() if differences},
        model=_differences(_about(a), _about(b)),
        parameters=dict(_parameter_differences(a, b)),
        settings=_differences(_settings(a), _settings(b)),
        training=_differences(_record(a), _record(b)),
        data=_differences(_declared(a.data), _declared(b.data)),
    )


def same_model(a: Model, b: Model) -> bool:
    """Whether nodes, their order aside, parameters, outputs, loss and calls of blocks are the same, to the bit. A
    parameter that is still to be drawn is not the same as one that was."""
    names = dict(a.graph.node_items())
    about = ("dtype", "outputs", "loss", "targets", "classes", "seed", "calls")
    return (
        names.keys() == dict(b.graph.node_items()).keys()
        and not any(_node_differences(a.graph, b.graph, name) for name in names)
        and not _differences(*({key: _about(model)[key] for key in about} for model in (a, b)))
        and all((a.parameters.known(name) is None) == (b.parameters.known(name) is None) for name in a.parameters)
        and not any(_parameter_differences(a, b))
    )


# ------------------------------------------------------------------------------------------------ results


@dataclass(frozen=True)
class ResultComparison:
    """What two models make of data. Names that only one of them has, and what it could not compute, are left out."""

    outputs: dict[str, ArrayDifference]
    metrics: dict[str, tuple[float, float]]
    gradients: dict[str, ArrayDifference]
    """Of the loss, by parameter."""


def compare_results(
    a: Model,
    b: Model,
    data_a: Mapping[str, Any] | None,
    data_b: Mapping[str, Any] | None,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> ResultComparison:
    """Run both models, each over the data as it reads them; with ``weights``, what each example weighs for it."""
    first, second = _evaluated(a, data_a, weights[0]), _evaluated(b, data_b, weights[1])
    outputs = [name for name in a.outputs if name in b.outputs]
    numbers_a, numbers_b = _metrics(a, first, weights[0]), _metrics(b, second, weights[1])
    metrics = {name: (number, numbers_b[name]) for name, number in numbers_a.items() if name in numbers_b}
    return ResultComparison(
        _compared(first.values, second.values, outputs),
        metrics,
        _compared(first.gradients, second.gradients, list(first.gradients)),
    )


def _evaluated(model: Model, data: Mapping[str, Any] | None, weights: np.ndarray | None) -> Evaluation:
    wrt = [] if model.loss is None else list(model.parameters)
    evaluation = model.evaluate(of=model.loss, wrt=wrt if weights is None else [], data=data, everything=True)
    if weights is None or model.loss not in evaluation.values:
        return evaluation
    graph, name = weighted_graph(model.graph, str(model.loss))
    weighted = Model(graph, [], model.loss)
    weighted.parameters = model.parameters
    known = {**(model.own_data() if data is None else data), name: weights.astype(graph.node_of(name).dtype)}
    weighed = weighted.evaluate(of=model.loss, wrt=wrt, data=known)
    values = {**evaluation.values, str(model.loss): weighed.values[str(model.loss)]}
    return replace(evaluation, values=values, gradients=weighed.gradients)


def _metrics(model: Model, evaluation: Evaluation, weights: np.ndarray | None) -> dict[str, float]:
    """The loss and the metrics that fit it, as far as they could be computed."""
    values, undo = evaluation.values, Units(model.data).undo
    metrics = {} if model.loss not in values else {"loss": float(values[str(model.loss)])}
    for one in chosen_metrics(model.comparisons, None, ("training", "score")):
        pair = one.comparison
        if not one.metric.table and pair.prediction in values and pair.target in values:
            arrays = values[pair.prediction], values[pair.target]
            metrics[one.name] = float(one.metric.measure(compared(model.graph, pair, *arrays, weights, undo)))
    return metrics


def _compared(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], names: Collection[str]
) -> dict[str, ArrayDifference]:
    return {name: compare_arrays(a[name], b[name]) for name in names if name in a and name in b}


# ------------------------------------------------------------------------------------------------ parts of a model


def _about(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "doc": model.doc,
        "dtype": model.graph.dtype.name,
        "outputs": model.outputs,
        "targets": model.targets,
        "classes": model.graph.classes,
        "loss": model.loss,
        "seed": model.parameters.seed,
        "calls": model.graph.calls,
    }


def _node_differences(a: Graph, b: Graph, name: str) -> dict[str, Difference]:
    return _differences(_node_parts(a, name), _node_parts(b, name))


def _node_parts(graph: Graph, name: str) -> dict[str, Any]:
    node = graph.node_of(name)
    return {
        "kind": node.kind,
        "op": node.op,
        "inputs": graph.arguments(name),
        "attributes": node.attributes,
        "shape": node.shape,
        "dtype": node.dtype.name,
        "init": node.init,
        "block": node.block,
        # a parameter's value is compared as the model has it: drawn, set or trained
        "value": None if node.kind == PARAMETER else node.value,
    }


def _parameter_differences(a: Model, b: Model) -> Iterator[tuple[str, ArrayDifference]]:
    for name in b.parameters:
        both = name in a.parameters and all(is_static(model.graph.node_of(name).shape) for model in (a, b))
        if both and not _same_parameter(a, b, name):
            array_a, array_b = a.parameters.current(name), b.parameters.current(name)
            if not _same_bits(array_a, array_b):
                yield name, compare_arrays(array_a, array_b)


def _same_parameter(a: Model, b: Model, name: str) -> bool:
    """Whether a parameter is the same in both models by what is known without drawing it."""
    node_a, node_b = a.graph.node_of(name), b.graph.node_of(name)
    drawn_alike = (a.parameters.seed, node_a.shape, node_a.dtype) == (b.parameters.seed, node_b.shape, node_b.dtype)
    undrawn = a.parameters.known(name) is None and b.parameters.known(name) is None
    return undrawn and drawn_alike and not _differences({"init": node_a.init}, {"init": node_b.init})


def _settings(model: Model) -> dict[str, Any]:
    return {name: option.plain(getattr(model.train_settings, name)) for name, option in FILE_OPTIONS.items()}


def _record(model: Model) -> dict[str, Any]:
    """The record of the run without what the first parameters were, and of each series its last number."""
    record = {key: value for key, value in model.training.items() if key != "start"}
    metrics = record.get("metrics")
    series = {"loss": record.get("loss"), **(metrics if isinstance(metrics, Mapping) else {})}
    last = {name: values[-1] for name, values in series.items() if isinstance(values, list) and values}
    return {**record, "loss": last.pop("loss", None), "metrics": last} if record else {}


def _declared(source: DataSource | None) -> dict[str, Any]:
    """The declaration without where its file lies on this machine."""
    if source is None:
        return {}
    declared = {entry.name: getattr(source, entry.name) for entry in fields(source) if entry.repr}
    declared.pop("folder")
    return declared | {"arrays": {name: _numbers(name, value) for name, value in (source.arrays or {}).items()}}


def _numbers(name: str, value: Any) -> Any:
    """Nested lists as an array, as other formats hold them."""
    try:
        return numbers(name, value)
    except DataflowError:  # a fault of the declaration, which is told when it is read
        return value


# ------------------------------------------------------------------------------------------------ values


def compare_arrays(a: Any, b: Any) -> ArrayDifference:
    """Compare two arrays of numbers."""
    arrays = np.asarray(a), np.asarray(b)
    shapes, dtypes = (arrays[0].shape, arrays[1].shape), (arrays[0].dtype.name, arrays[1].dtype.name)
    wide = [array.astype(np.float64, copy=False) for array in arrays]
    norms = _norm(wide[0]), _norm(wide[1])
    if shapes[0] != shapes[1]:
        return ArrayDifference(shapes, dtypes, norms, None, None, None)
    differs = (wide[0] != wide[1]) & ~(np.isnan(wide[0]) & np.isnan(wide[1]))
    with np.errstate(all="ignore"):
        difference = np.where(differs, wide[1] - wide[0], 0.0)
    return ArrayDifference(shapes, dtypes, norms, _norm(difference), _largest(difference), int(differs.sum()))


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))


def _norm(array: np.ndarray) -> float:
    """Scaled by the largest entry, so that no square overflows."""
    largest = _largest(array)
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = array.ravel() / largest
    return largest * math.sqrt(float(scaled @ scaled))


def _differences(a: Any, b: Any) -> dict[str, Difference]:
    """Where two trees of plain data and arrays differ: what is on both sides, by keys joined with dots."""
    found: dict[str, Difference] = {}
    pending = [("", a, b)]
    while pending:
        path, x, y = pending.pop()
        if x is y:
            continue
        x, y = _as_tree(x), _as_tree(y)
        if isinstance(x, Mapping) and y is None:
            y = {}
        elif x is None and isinstance(y, Mapping):
            x = {}
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            inner = reversed({**x, **y})
            pending += [(f"{path}.{key}" if path else str(key), x.get(key), y.get(key)) for key in inner]
        elif _is_array(x) and _is_array(y):
            if not _same_bits(x, y):
                found[path] = compare_arrays(x, y)
        elif repr(x) != repr(y):  # by text: nan is nan, and 1 is neither 1.0 nor True
            found[path] = x, y
    return found


def _as_tree(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: getattr(value, entry.name) for entry in fields(value) if entry.repr}
    if isinstance(value, tuple):
        return plain(value)
    return value


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a is b or (a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())
