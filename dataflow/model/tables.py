"""What a model says of a table: predictions for its rows, and scores over them."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from dataflow.autodiff.weighting import weighted_graph
from dataflow.data.source import DataSource
from dataflow.errors import DataError, DataflowWarning, GraphError, MissingInputError
from dataflow.execution.inputs import batch_symbol, example_axis, needed_inputs
from dataflow.execution.parameters import Parameters
from dataflow.graph.graph import Graph
from dataflow.metrics.comparisons import Comparison, by_output, chosen_metrics
from dataflow.metrics.measure import Measure
from dataflow.metrics.predictions import Places, Predictions, read_output
from dataflow.metrics.scores import Scores
from dataflow.metrics.totals import Totals
from dataflow.model.asked import Asked, about_data, asked_of, lacking
from dataflow.model.compiled import Compiled
from dataflow.model.train_settings import TrainSettings
from dataflow.model.units import Units
from dataflow.support.conversion import EntryError, first_place

SMALL = 2**20
"""What was compiled for inputs of at most this many bytes is kept for the next call."""
KEPT = 2**25
"""Unless it holds more bytes than these: it has the memory of its last run, for each set of shapes."""


class AskedModel(Protocol):
    """What is needed of a model."""

    graph: Graph
    outputs: list[str]
    loss: str | None
    data: DataSource | None
    train_settings: TrainSettings
    _compiled: dict[tuple[str, ...], Compiled]

    @property
    def parameters(self) -> Parameters: ...
    @property
    def comparisons(self) -> list[Comparison]: ...
    def release_widths(self) -> None: ...
    def taught(self, source: DataSource) -> DataSource: ...
    def feed(
        self, given: Mapping[str, Any] | None, parameters: Collection[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]: ...
    def compile(self, *, values: Sequence[str], backend: str) -> Compiled: ...


def predict(
    model: AskedModel, data: Any, inputs: Mapping[str, Any], columns: Sequence[str], backend: str
) -> Predictions:
    """The outputs for each row (see ``Model.predict``)."""
    predictor = Predictor(model, backend)
    asked = _ask(model, data, inputs, predictor.inputs, columns)
    with about_data(asked.name):
        return predictor(asked)


def score(
    model: AskedModel, data: Any, inputs: Mapping[str, Any], metrics: Sequence[str] | None, backend: str
) -> Scores:
    """The loss and metrics over all rows (see ``Model.score``)."""
    scorer = Scorer(model, metrics, backend)
    asked = _ask(model, data, inputs, None, ())
    with about_data(asked.name):
        scorer.add(asked)
    return scorer.scores()


class Predictor:
    """``predictor(asked)`` gives the outputs for the examples of a model that are asked about."""

    def __init__(self, model: AskedModel, backend: str) -> None:
        graph = model.graph
        if not model.outputs:
            raise GraphError('the model declares no outputs; name some, as outputs = ["NODE"] under [model]')
        self._model, self._backend = model, backend
        self._comparisons = by_output(graph, model.outputs, model.comparisons)
        self.needed = {name: needed_inputs(graph, [name]) for name in model.outputs}
        """The inputs of each output."""
        self._compiled: dict[tuple[str, ...], Compiled] = {}
        self._finite = FiniteCheck(model)

    @property
    def inputs(self) -> set[str]:
        """All inputs that are needed."""
        return {x for names in self.needed.values() for x in names}

    def outputs(self, given: Collection[str]) -> list[str]:
        """The outputs that can be predicted: those that need what is to be predicted are left out without it."""
        model = self._model
        targets = {comparison.target for comparison in model.comparisons}
        missing = {name: [x for x in names if x not in given] for name, names in self.needed.items()}
        outputs = [name for name in model.outputs if not missing[name] or not targets.issuperset(missing[name])]
        if not outputs:
            raise lacking(model.data, model.outputs[0], missing[model.outputs[0]])
        return outputs

    def values(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs as the model has them."""
        outputs = self.outputs(arrays)
        is_small = sum(getattr(array, "nbytes", SMALL) for array in arrays.values()) <= SMALL
        known = self._model._compiled if is_small else self._compiled
        key = self._backend, *outputs
        compiled = known.get(key)
        if compiled is None:
            compiled = known[key] = self._model.compile(values=outputs, backend=self._backend)
        found = compiled(data=arrays)[0]
        if is_small and compiled.memory > KEPT:
            known.pop(key, None)
        return found

    def __call__(self, asked: Asked) -> Predictions:
        graph = self._model.graph
        values = self.values(asked.arrays)
        axes = {name: example_axis(graph, name) for name in values}
        count = next((values[name].shape[axis] for name, axis in axes.items() if axis is not None), 1)
        places = Places(count if asked.count is None else asked.count, asked.rows)
        arrays: dict[str, np.ndarray] = {}
        shares: dict[str, np.ndarray] = {}
        classes: dict[str, list[str]] = {}
        results: dict[str, np.ndarray] = {}
        for name, axis in axes.items():
            comparison = self._comparisons.get(name)
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
        self._finite(asked.arrays, results)
        whole = frozenset(name for name, axis in axes.items() if axis is None)
        return Predictions(arrays, places.count, shares, classes, asked.carried or {}, places.left_out, whole)


class Scorer:
    """The loss and metrics over all examples that are added: all at once, or piece by piece."""

    def __init__(self, model: AskedModel, metrics: Sequence[str] | None, backend: str) -> None:
        graph, loss = model.graph, model.loss
        names = model.train_settings.metrics if metrics is None else metrics
        self.measured = chosen_metrics(model.comparisons, names, ["training", "score"])
        if loss is None and not self.measured:
            raise GraphError('the model has no loss and no targets to score; declare targets = { OUTPUT = "INPUT" }')
        pairs = [name for one in self.measured for name in (one.comparison.prediction, one.comparison.target)]
        self.nodes = [*([loss] if loss else []), *pairs]
        self.needed = needed_inputs(graph, self.nodes)
        """The inputs that are needed."""
        batch = batch_symbol(graph)
        self._split = [name for name in self.needed if batch and example_axis(graph, name) == 0]
        self._model, self._backend, self._finite = model, backend, FiniteCheck(model)
        self._measure: Measure | None = None
        self._weights = ""
        self._units = Units(None)
        self._totals: Totals | None = None
        self.examples = 0

    def add(self, asked: Asked) -> None:
        """Add examples."""
        model = self._model
        known, _ = model.feed(asked.arrays)
        if missing := [name for name in self.needed if name not in known]:
            raise lacking(model.data, self.nodes[0], missing)
        measure = self._measure or self._made(asked)
        if self._weights and asked.weights is not None:
            known[self._weights] = asked.weights.astype(model.graph.node_of(str(model.loss)).dtype)
        data = {name: known[name] for name in measure.inputs}
        self._totals = self._totals or Totals(measure, model.loss, self.measured)
        loss, compared = self._totals.add(data)
        predictions = {pair.prediction: compared[pair].prediction for pair in compared}
        losses = {} if model.loss is None else {model.loss: np.array(loss)}
        self._finite(asked.arrays, predictions | losses)
        self.examples += len(known[self._split[0]]) if self._split else 1

    def scores(self) -> Scores:
        """Over all that was added."""
        totals = self._totals
        assert totals is not None
        values: dict[str, Any] = {} if self._model.loss is None else {"loss": totals.loss}
        shown = totals.shown()
        classes = {
            one.name: self._units.classes(one.comparison.target) or [str(i) for i in range(pair.classes)]
            for one in self.measured
            if (pair := shown[one.comparison]).kind != "numbers"
        }
        compared = {one.name: (one, shown[one.comparison]) for one in self.measured}
        return Scores(values | totals.results(), classes, self.examples, compared)

    def _made(self, asked: Asked) -> Measure:
        model, weighted = self._model, self._model.graph
        if asked.weights is not None and model.loss is not None:
            weighted, self._weights = weighted_graph(model.graph, model.loss)
        self._units = asked.units
        self._measure = Measure(
            weighted,
            model.loss,
            model.parameters,
            [*self._split, *([self._weights] if self._weights else [])],
            self.measured,
            self._backend,
            weights=self._weights,
            stated=model.graph,
            undo=asked.units.undo,
        )
        return self._measure


class FiniteCheck:
    """Where a result is not finite, an input that is not is an error, as it is in training; else there is a warning,
    one for each node."""

    def __init__(self, model: AskedModel) -> None:
        self._model, self._told = model, set[str]()

    def __call__(self, given: Mapping[str, Any], results: Mapping[str, np.ndarray]) -> None:
        model = self._model
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
            if name not in self._told:
                self._told.add(name)
                place = first_place(~finite)
                where = f" at {list(place)}" if place else ""
                text = (
                    f"'{name}' is {result[place]}{where}: outside the domain of an op, or too large for {result.dtype}"
                )
                python_warnings.warn(text, DataflowWarning, stacklevel=6)


# ------------------------------------------------------------------------------------------------ internals


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
        raise MissingInputError("there is no data: the model's file declares none, and none is given")
    source = model.data if data is None else (model.data or DataSource()).at(data)
    source = source or DataSource()
    source.table(model.graph, columns, names)  # with all columns at once: standard input is read a single time
    asked = asked_of(model.taught(source), model.graph, names, columns)
    return replace(asked, arrays={**asked.arrays, **inputs})
