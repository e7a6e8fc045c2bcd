"""What a model says of a table: predictions for its rows, and scores over them."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from dataflow.autodiff.weighting import weighted_graph
from dataflow.data.source import DataSource
from dataflow.errors import DataError, DataflowWarning, GraphError
from dataflow.execution.inputs import batch_symbol, example_axis, needed_inputs
from dataflow.execution.parameters import Parameters
from dataflow.graph.graph import Graph
from dataflow.metrics.comparisons import Comparison, by_output, chosen_metrics
from dataflow.metrics.measure import Measure
from dataflow.metrics.predictions import Places, Predictions, read_output
from dataflow.metrics.scores import Scores
from dataflow.model.asked import Asked, asked_of, lacking
from dataflow.model.train_settings import TrainSettings
from dataflow.model.units import Units
from dataflow.support.conversion import EntryError, first_place


class AskedModel(Protocol):
    """What is needed of a model."""

    graph: Graph
    outputs: list[str]
    loss: str | None
    data: DataSource | None
    train_settings: TrainSettings

    @property
    def parameters(self) -> Parameters: ...
    @property
    def comparisons(self) -> list[Comparison]: ...
    def taught(self, source: DataSource) -> DataSource: ...
    def feed(
        self, given: Mapping[str, Any] | None, parameters: Collection[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]: ...
    def compile(self, *, values: Sequence[str], backend: str) -> Callable[..., Any]: ...


def predict(
    model: AskedModel, data: Any, inputs: Mapping[str, Any], columns: Sequence[str], backend: str
) -> Predictions:
    """The outputs for each row (see ``Model.predict``)."""
    graph = model.graph
    if not model.outputs:
        raise GraphError('the model declares no outputs; name some, as outputs = ["NODE"] under [model]')
    comparisons = by_output(graph, model.outputs, model.comparisons)
    needed = {name: needed_inputs(graph, [name]) for name in model.outputs}
    asked = _ask(model, data, inputs, {x for names in needed.values() for x in names}, columns)
    targets = {comparison.target for comparison in model.comparisons}
    missing = {name: [x for x in names if x not in asked.arrays] for name, names in needed.items()}
    outputs = [name for name in model.outputs if not missing[name] or not targets.issuperset(missing[name])]
    if not outputs:
        raise lacking(model.data, model.outputs[0], missing[model.outputs[0]])
    values = model.compile(values=outputs, backend=backend)(data=asked.arrays)[0]
    axes = {name: example_axis(graph, name) for name in outputs}
    count = next((values[name].shape[axis] for name, axis in axes.items() if axis is not None), 1)
    places = Places(count if asked.count is None else asked.count, asked.rows)
    arrays: dict[str, np.ndarray] = {}
    shares: dict[str, np.ndarray] = {}
    classes: dict[str, list[str]] = {}
    results: dict[str, np.ndarray] = {}
    for name in outputs:
        axis, comparison = axes[name], comparisons.get(name)
        array = values[name] if axis is None else np.moveaxis(values[name], axis, 0)
        names = asked.units.classes(comparison.target) if comparison is not None else None
        arrays[name], share, labels = read_output(comparison, array, names, asked.units.undo)
        if comparison is None and graph.has_texts(name):
            arrays[name] = graph.as_texts(name, array)
        elif comparison is None:
            labels = graph.classes.get(name, [])
        results[name] = arrays[name] if arrays[name].dtype.kind == "f" else array
        if share is not None:
            shares[name], classes[name] = share, labels
        elif labels:
            classes[name] = labels
        if axis is not None:
            arrays[name] = places.put(arrays[name])
            if share is not None:
                shares[name] = places.put(share)
    _check_finite(model, asked.arrays, results)
    whole = frozenset(name for name, axis in axes.items() if axis is None)
    return Predictions(arrays, places.count, shares, classes, asked.carried or {}, places.left_out, whole)


def score(
    model: AskedModel, data: Any, inputs: Mapping[str, Any], metrics: Sequence[str] | None, backend: str
) -> Scores:
    """The loss and metrics over all rows (see ``Model.score``)."""
    graph, loss = model.graph, model.loss
    names = model.train_settings.metrics if metrics is None else metrics
    measured = chosen_metrics(model.comparisons, names, ["training", "score"])
    if loss is None and not measured:
        raise GraphError('the model has no loss and no targets to score; declare targets = { OUTPUT = "INPUT" }')
    pairs = [name for one in measured for name in (one.comparison.prediction, one.comparison.target)]
    nodes = [*([loss] if loss else []), *pairs]
    asked = _ask(model, data, inputs, None, ())
    known, _ = model.feed(asked.arrays)
    needed = needed_inputs(graph, nodes)
    if missing := [name for name in needed if name not in known]:
        raise lacking(model.data, nodes[0], missing)
    weighted, weights = graph, ""
    if asked.weights is not None and loss is not None:
        weighted, weights = weighted_graph(graph, loss)
        known[weights] = asked.weights.astype(weighted.node_of(weights).dtype)
    batch = batch_symbol(graph)
    split = [name for name in needed if batch and example_axis(graph, name) == 0]
    measure = Measure(
        weighted,
        loss,
        model.parameters,
        [*split, *([weights] if weights else [])],
        measured,
        backend,
        weights=weights,
        stated=graph,
        undo=asked.units.undo,
    )
    loss_value, compared = measure.compared({name: known[name] for name in measure.inputs})
    values: dict[str, Any] = {} if loss is None else {"loss": loss_value}
    predictions = {pair.prediction: compared[pair].prediction for pair in compared}
    _check_finite(model, asked.arrays, predictions | ({} if loss is None else {loss: np.array(loss_value)}))
    values |= {one.name: one.metric.measure(compared[one.comparison]) for one in measured}
    classes = {
        one.name: asked.units.classes(one.comparison.target) or [str(i) for i in range(pair.classes)]
        for one in measured
        if (pair := compared[one.comparison]).kind != "numbers"
    }
    count = len(known[split[0]]) if split else 1
    return Scores(values, classes, count, {one.name: (one, compared[one.comparison]) for one in measured})


# ------------------------------------------------------------------------------------------------ internals


def _check_finite(model: AskedModel, given: Mapping[str, Any], results: Mapping[str, np.ndarray]) -> None:
    """Where a result is not finite, an input that is not is an error, as it is in training; else there is a warning."""
    for name, result in results.items():
        if result.dtype.kind != "f" or (finite := np.isfinite(result)).all():
            continue
        inputs = needed_inputs(model.graph, [name])
        for source, array in model.feed({x: value for x, value in given.items() if x in inputs}, ())[0].items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                place = first_place(~np.isfinite(array))
                made = f"of which '{name}' becomes {result[~finite][0]}"
                message = f"a finite number is expected, {array[place]} found, {made}"
                raise EntryError(message, place).named(source).at(node=source)
        place = first_place(~finite)
        where = f" at {list(place)}" if place else ""
        text = f"'{name}' is {result[place]}{where}: outside the domain of an op, or too large for {result.dtype}"
        python_warnings.warn(text, DataflowWarning, stacklevel=5)


def _ask(
    model: AskedModel, data: Any, inputs: Mapping[str, Any], names: Collection[str] | None, columns: Sequence[str]
) -> Asked:
    """What is asked about: ``data``, or the declared data, with the inputs that are given by keyword in the place of
    others; of a table with these inputs alone, where ``names`` says so."""
    if isinstance(data, Mapping) or (data is None and inputs):
        if columns:
            raise DataError("columns are carried over from a table, and the data is arrays by input")
        return Asked({**(data or {}), **inputs}, Units(model.data))
    if data is None and model.data is None:
        raise DataError("there is no data: the model's file declares none, and none is given")
    source = model.data if data is None else (model.data or DataSource()).at(data)
    source = source or DataSource()
    source.table(model.graph, columns, names)  # with all columns at once: standard input is read a single time
    asked = asked_of(model.taught(source), model.graph, names, columns)
    return replace(asked, arrays={**asked.arrays, **inputs})
