"""``Model``: a graph, its parameters, and what its file declares of data and training."""

from __future__ import annotations

import math
import warnings as python_warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np

from dataflow.autodiff.dead_ends import derivative_ends
from dataflow.autodiff.derivatives import Derivatives, Point
from dataflow.autodiff.per_example import per_example_gradients
from dataflow.autodiff.reverse import backward, check_differentiable
from dataflow.data.source import DataSource
from dataflow.data.split import split_source
from dataflow.errors import DataError, DataflowWarning, GraphError, counted, listed, plural
from dataflow.execution.forward import (
    forward,
    kink_warnings,
    made_sizes,
    missing_inputs,
    non_finite_warnings,
    shape_warnings,
)
from dataflow.execution.inputs import batch_symbol, feed, one_example
from dataflow.execution.parameters import Parameters
from dataflow.execution.traceable import traceable
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.graph.widths import Widths
from dataflow.metrics.comparisons import Comparison, check_targets, compared_by
from dataflow.metrics.predictions import Predictions
from dataflow.metrics.scores import Scores
from dataflow.model import streamed_tables, tables
from dataflow.model.asked import check_no_row, lacking
from dataflow.model.compiled import Compiled
from dataflow.model.streamed_tables import OnChunk, PredictedPieces, StreamOptions, stream_options
from dataflow.model.train_settings import TrainSettings
from dataflow.support.arguments import checked
from dataflow.support.arrays import frozen, read_only
from dataflow.support.byte_sizes import parse_bytes


@dataclass(frozen=True)
class Evaluation:
    """A forward pass, and a backward pass if there was something to differentiate."""

    values: dict[str, np.ndarray]
    """Of every node that could be computed. They and the cotangents are read-only and never change."""
    not_computed: dict[str, list[str]]
    """For each node that could not, the inputs that were not given."""
    of: str | None
    gradients: dict[str, np.ndarray]
    """Of ``sum(of)``, by wrt."""
    cotangents: dict[str, np.ndarray]
    """Of every node on a path from a wrt to ``of``."""
    no_path: list[str]
    """The wrts from which no path leads to ``of``, so that their gradient is zero."""
    warnings: list[str]


class Model:
    """A graph that can be run and differentiated.

    ``outputs`` are the nodes that the model is for, ``loss`` the scalar node that training makes small; ``targets`` say
    which output predicts which input, where the loss does not. Methods take inputs by keyword, or as ``data={...}``
    where a name clashes, or ``data`` is a file, a DataFrame or rows, read as the model's file says; parameters
    and constants can be given for one call like inputs. Where no input is given at all, the data that the model's file
    declares is used.
    """

    @checked
    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str] = (),
        loss: str | None = None,
        *,
        targets: Mapping[str, str] | None = None,
        doc: str = "",
        data: DataSource | None = None,
        train: TrainSettings | None = None,
    ) -> None:
        self.graph = graph
        self.outputs = [graph.value(name).name for name in outputs]
        if len(set(self.outputs)) < len(self.outputs):
            twice = next(name for name, count in Counter(self.outputs).items() if count > 1)
            raise GraphError(f"the output '{twice}' is listed twice", node=twice)
        self.loss = loss
        self.targets = dict(targets or {})
        """Which output predicts which input, where that was said."""
        check_targets(graph, self.outputs, self.targets)
        self.doc = doc
        self.data = data
        self._own: tuple[DataSource, DataSource] | None = None
        self.train_settings = train or TrainSettings()
        self.training: dict[str, Any] = {}
        """What a trained file knows of its training: epochs, losses, metrics, optimizer state."""
        if loss is not None:
            spec = graph.value(loss).spec
            if spec.shape != () or not spec.is_float:
                raise GraphError(
                    f"the loss '{loss}' is {spec}; a loss is one float, such as sum(...) or mse(...)", node=loss
                )
        self._derivatives = Derivatives(graph)
        widths = Widths(graph)
        self._widths = widths if widths.names else None
        """The widths that data still decide; none once the model is trained."""
        self._parameters = Parameters(graph, self.train_settings.seed)
        self._compiled: dict[tuple[str, ...], Compiled] = {}
        """What ``predict`` has compiled that is small, by the backend and the outputs."""

    @property
    def name(self) -> str:
        return str(self.graph.name)

    @property
    def parameters(self) -> Parameters:
        """Name to array; can be set. Training leaves its result here. The arrays are read-only and never change."""
        return self._parameters

    @parameters.setter
    @checked
    def parameters(self, values: Mapping[str, Any]) -> None:
        self._parameters.update(values)

    @property
    def comparisons(self) -> list[Comparison]:
        """What is held against what, for metrics: as ``targets`` says, else what the ops in the loss compare."""
        return compared_by(self.graph, self.loss, self.targets, self.data.one_hot if self.data is not None else ())

    def __repr__(self) -> str:
        count = sum(math.prod(self.graph.node_of(name).shape) for name in self._parameters)
        outputs = ", ".join(self.outputs)
        return (
            f"<model '{self.name}': {counted(len(self.graph), 'node')}, "
            f"{count} {plural('scalar parameter', count)}, outputs {outputs}>"
        )

    # -------------------------------------------------------------------------------------------- running

    @checked
    def run(self, *, data: Any = None, **inputs: Any) -> dict[str, np.ndarray]:
        """The value of every node that the given inputs suffice for, by name, as read-only arrays that never change.
        Where numbers leave an op's domain, a ``DataflowWarning`` names the node."""
        result = self.evaluate(data=self.given(data, inputs))
        self._warn(result.warnings)
        return result.values

    @checked
    def gradients(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str | None = None,
        data: Any = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """The gradient of ``sum(of)`` (of the loss unless said) with respect to any inputs, parameters or nodes (all
        parameters unless said), each of the shape of its wrt. Where no path leads from a wrt to ``of``, its gradient is
        zero, and a ``DataflowWarning`` says so."""
        target = self.target(of)
        names = self._names(wrt)
        result = self.evaluate(of=target, wrt=names, data=self.given(data, inputs))
        self._warn(result.warnings)
        return result.gradients

    @checked
    def evaluate(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        kinks: bool = False,
        everything: bool = False,
    ) -> Evaluation:
        """The forward pass and, with ``of``, the backward pass, with everything that came between.

        With ``kinks``, warnings also name the nodes whose inputs touch a point without a derivative. With
        ``everything``, nodes that ``of`` does not need are computed too, and where the inputs do not suffice for
        ``of`` there are no gradients instead of an error.
        """
        fed, sizes = self.feed(data)
        known = {name: frozen(array) for name, array in fed.items()}
        for name in (*([of] if of else []), *wrt):
            self.graph.value(name)
        order = self.graph.schedule() if of is None or everything else self.graph.schedule([of, *wrt])
        values = forward(self.graph, order, known, sizes)
        sizes = made_sizes(self.graph, values, sizes)
        not_computed = missing_inputs(self.graph, order, values)
        notes = non_finite_warnings(self.graph, order, values)
        notes += shape_warnings(self.graph, order, self.loss, batch_symbol(self.graph))
        cotangents: dict[str, np.ndarray] = {}
        gradients: dict[str, np.ndarray] = {}
        no_path: list[str] = []
        if of is not None and wrt and not (everything and of in not_computed):
            check_differentiable(self.graph, of, wrt)
            for name in (of, *wrt):
                if name in not_computed:
                    raise self._lacking(name, not_computed[name])
            needed = self.graph.schedule([of])
            cotangents = backward(self.graph, needed, values, {of: np.ones_like(values[of])}, wrt, sizes)
            for name in wrt:
                if name not in cotangents:
                    no_path.append(name)
                gradients[name] = np.array(cotangents.get(name, np.zeros_like(values[name])))
            if no_path:
                names = listed(no_path)
                ends = derivative_ends(self.graph, needed, no_path)
                why = "".join(f"; '{end}' ({self.graph.node_of(end).op}) has no derivative" for end in ends[:3])
                notes.append(
                    f"the gradient of '{of}' with respect to {names} is zero: there is no path between them{why}"
                )
            if kinks:
                on_path = [name for name in needed if name in cotangents]
                notes += kink_warnings(self.graph, on_path, values)
        values = {name: read_only(array) for name, array in values.items()}
        cotangents = {name: read_only(array) for name, array in cotangents.items()}
        return Evaluation(values, not_computed, of, gradients, cotangents, no_path, notes)

    # -------------------------------------------------------------------------------------------- more derivatives

    @checked
    def jacobian(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        mode: str | None = None,
        data: Any = None,
        **inputs: Any,
    ) -> np.ndarray:
        """The matrix ∂vec(of)/∂vec(wrt): a row for each entry of ``of``, and the columns of each wrt side by side, both
        in row-major order. A name that is given twice has two blocks; results by name have one entry. It comes from one
        batched pass: a reverse one for all rows or a forward one for all columns, whichever has fewer, unless ``mode``
        says "reverse" or "forward"."""
        return self._derivatives.jacobian(self._point(of, wrt, self.given(data, inputs)), mode)

    @checked
    def vjp(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        cotangent: Any,
        data: Any = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """``cotangent · J`` for each wrt, in its shape; ``cotangent`` has the shape of ``of``."""
        return self._derivatives.vjp(self._point(of, wrt, self.given(data, inputs)), cotangent)

    @checked
    def jvp(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        tangents: Mapping[str, Any],
        order: int = 1,
        data: Any = None,
        **inputs: Any,
    ) -> np.ndarray:
        """``J · tangent``, in the shape of ``of``: its derivative along ``tangents``, which has an array in the
        shape of each wrt; one left out is zero. With ``order`` k it is the k-th derivative along them,
        d^k/dt^k of(wrt + t·tangent) at t = 0."""
        return self._derivatives.jvp(self._point(of, wrt, self.given(data, inputs)), tangents, order)

    @checked
    def hvp(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str,
        tangents: Mapping[str, Any],
        data: Any = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """``H · tangent`` for each wrt, in its shape, where H is the Hessian of ``sum(of)`` (of the loss unless
        said) with respect to all wrts together."""
        return self._derivatives.hvp(self._point(self.target(of), wrt, self.given(data, inputs)), tangents)

    @checked
    def hessian(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str,
        data: Any = None,
        **inputs: Any,
    ) -> np.ndarray:
        """The matrix of second derivatives of ``sum(of)`` (of the loss unless said): rows and columns are the
        entries of the wrts, side by side, each in row-major order."""
        return self._derivatives.hessian(self._point(self.target(of), wrt, self.given(data, inputs)))

    @checked
    def per_example_gradients(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str | None = None,
        data: Any = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """What each example of the batch adds to the gradient of ``sum(of)``: arrays with a leading axis of length
        n, which sum to ``gradients``. A part that belongs to no example, such as a penalty on weights, is shared
        equally."""
        target = self.target(of)
        names = self._names(wrt)
        check_differentiable(self.graph, target, names)
        known, sizes = self.feed(self.given(data, inputs))
        values = forward(self.graph, self.graph.schedule([target, *names]), known, sizes)
        sizes = made_sizes(self.graph, values, sizes)
        self._require(values, [target, *names])
        return per_example_gradients(self.graph, target, names, values, sizes)

    @checked
    def compile(
        self,
        *,
        values: Sequence[str] = (),
        gradients: Sequence[str] = (),
        of: str | None = None,
        backend: str = "numpy",
        threads: int | None = None,
        memory_limit: int | str | None = None,
    ) -> Compiled:
        """A function ``f(x=x, y=y) -> (values, gradients)`` of the asked-for nodes and of the gradients of
        ``sum(of)`` (of the loss unless said). A plan is made for each set of shapes and kept; parameters are those
        of the model at each call.

        ``threads`` is an upper bound for the threads that the backend uses. ``memory_limit``, in bytes or as "64MB",
        bounds what intermediate values take: what is needed late is computed a second time, with the same result, where
        that helps. A limit that cannot be met is a ``MemoryLimitError`` at the first call."""
        if self.has_open_widths:
            self.decide_widths(self.own_data())
            if self.has_open_widths:
                names = listed(self._widths.names if self._widths is not None else [])
                raise DataError(f"data decides the sizes {names}, and none was given yet")
        target = self.target(of) if gradients else None
        limit = None if memory_limit is None else parse_bytes(memory_limit)
        return Compiled(self, values, gradients, target, backend, threads, limit)

    @checked
    def to_jax(self, values: Sequence[str] = ()) -> Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]:
        """A pure function ``f(parameters, inputs)`` of two dicts of arrays by name, which gives a dict of ``values``,
        the outputs unless said, and which JAX takes: ``jax.jit``, ``jax.grad``, ``jax.vmap``. It needs the extra
        ``jax``; ``dict(model.parameters)`` are parameters to begin with.

        JAX differentiates it by its own rules; float64 is computed where JAX is set to it (``jax_enable_x64``), else
        float32. Indices out of their range are no errors in it, and numpy computes ops of plugins that JAX has no
        function for, which have no derivative then."""
        return traceable(self.graph, [self.graph.value(name).name for name in values or self.outputs], "jax")

    # -------------------------------------------------------------------------------------------- tables

    @checked
    def read(self, data: Any) -> dict[str, np.ndarray]:
        """Arrays by input of a file, a DataFrame or rows, prepared as the model's file says and as training taught."""
        return self.taught((self.data or DataSource()).at(data)).load(self.graph)

    @overload
    def predict(
        self,
        data: Any = None,
        *,
        columns: Sequence[str] = (),
        backend: str = "numpy",
        stream: Literal[False] = False,
        **inputs: Any,
    ) -> Predictions: ...

    @overload
    def predict(
        self,
        data: Any = None,
        *,
        columns: Sequence[str] = (),
        backend: str = "numpy",
        stream: Literal[True],
        chunk_rows: int | None = None,
        on_error: str | None = None,
        on_chunk: OnChunk | None = None,
        **inputs: Any,
    ) -> PredictedPieces: ...

    @checked
    def predict(
        self,
        data: Any = None,
        *,
        columns: Sequence[str] = (),
        backend: str = "numpy",
        stream: bool = False,
        chunk_rows: int | None = None,
        on_error: str | None = None,
        on_chunk: OnChunk | None = None,
        **inputs: Any,
    ) -> Predictions | PredictedPieces:
        """The outputs for each row of a file, a DataFrame, rows, or arrays by input (see ``Predictions``): numbers in
        the unit of the table that trained the model, classes by name. What is predicted need not be there; outputs that
        need it are left out. ``columns`` of the table are carried over.

        With ``stream`` the data, a file or a folder of files or what training takes as a stream, is read piece by
        piece, and an iterator gives the predictions for each. ``chunk_rows`` and ``on_error`` are those of training;
        ``on_chunk`` is told how many pieces were read, of how many, if that is known."""
        options = self._stream_options(stream, chunk_rows, on_error, on_chunk)
        if options is None:
            return tables.predict(self, data, inputs, columns, backend)
        return streamed_tables.predict(self, data, inputs, columns, backend, options)

    @checked
    def score(
        self,
        data: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        backend: str = "numpy",
        stream: bool = False,
        chunk_rows: int | None = None,
        on_error: str | None = None,
        on_chunk: OnChunk | None = None,
        **inputs: Any,
    ) -> Scores:
        """The loss and metrics over a file, a DataFrame, rows, or arrays by input (see ``Scores``). Metrics are those
        that are named, else those that the model's file names, else what fits the loss. The loss is the model's own;
        metrics of numbers are in the unit of the table. ``stream`` and what belongs to it are as in ``predict``."""
        options = self._stream_options(stream, chunk_rows, on_error, on_chunk)
        if options is None:
            return tables.score(self, data, inputs, metrics, backend)
        return streamed_tables.score(self, data, inputs, metrics, backend, options)

    def _stream_options(
        self, stream: bool, chunk_rows: int | None, on_error: str | None, on_chunk: OnChunk | None
    ) -> StreamOptions | None:
        return stream_options(self.train_settings, stream, chunk_rows, on_error, on_chunk)

    # -------------------------------------------------------------------------------------------- what a run is given

    @checked
    def given(self, data: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Inputs given as ``data=`` and by keyword, together; ``None`` where neither is, which means the declared
        data."""
        if data is not None and not isinstance(data, Mapping):
            data = self.read(data)
        return {**(data or {}), **inputs} if data is not None or inputs else None

    @checked
    def target(self, of: str | None) -> str:
        """``of``, or the loss; a ``GraphError`` where there is neither."""
        if of is None and self.loss is None:
            raise GraphError("the model has no loss; say of which node the gradient is taken, with of= (--of NODE)")
        return of or str(self.loss)

    def taught(self, source: DataSource) -> DataSource:
        """The source with all learned that it learns: what it has from its training, else what the rows teach that
        training would take, which the model does not keep."""
        self.release_widths()
        if not source.learns:
            return source
        batch = batch_symbol(self.graph)
        shapes = {name: self.graph.node_of(name).shape for name in self.graph.names(INPUT)}
        inputs = [name for name, shape in shapes.items() if shape and str(shape[0]) == batch]
        declared = self.train_settings
        return source.learn(self.graph, split_source(source, self.graph, inputs, declared.validation, declared.seed)[0])

    def own_source(self) -> DataSource | None:
        """The source of the data that the model's file declares, with all learned that it learns (see ``taught``)."""
        if self.data is not None and (self._own is None or self._own[0] is not self.data):
            self._own = self.data, self.taught(self.data)
        return None if self.data is None or self._own is None else self._own[1]

    def own_data(self) -> dict[str, np.ndarray]:
        """The data that the model's file declares; nothing where it declares none."""
        source = self.own_source()
        return {} if source is None else source.load(self.graph)

    @property
    def has_batch(self) -> bool:
        """Whether an input's first axis has a symbolic size, so that there are examples."""
        return batch_symbol(self.graph) is not None

    @checked
    def one_example(self, given: Mapping[str, Any] | None, number: int) -> dict[str, np.ndarray]:
        """The given inputs, or the declared data, cut down to one example of the batch, counted from 0."""
        if given is None:
            given = self.own_data()
        return one_example(self.graph, given, number)

    @checked
    def sizes_of(self, given: Mapping[str, Any] | None) -> dict[str, int]:
        """What the symbolic sizes stand for with these inputs, or with the declared data."""
        return self.feed(given)[1]

    @checked
    def feed(
        self, given: Mapping[str, Any] | None, parameters: Collection[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Arrays of the declared dtypes for what is given, with these parameters, or with all; and what the symbolic
        sizes stand for. The arrays may be the caller's own and a trainer's: for computing at once, not for keeping."""
        return self._feed(given, parameters)

    def _feed(
        self, given: Mapping[str, Any] | None, parameters: Collection[str] | None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """``feed`` for calls in a loop, whose arguments are of the right kinds."""
        self._parameters.check_unchanged()
        if given is None:
            given = self.own_data()
        if self._widths is not None:
            self.decide_widths(given)
        check_no_row(self.data, self.graph, given)
        known, sizes = feed(self.graph, given)
        for name in self._parameters if parameters is None else parameters:
            if name not in known:
                known[name] = self._parameters.current(name)
        return known, sizes

    # -------------------------------------------------------------------------------------------- widths

    @property
    def has_open_widths(self) -> bool:
        """Whether there are widths that data decide, and none was given yet."""
        return self._widths is not None and not self._widths.known

    def release_widths(self) -> None:
        """Forget the widths that data decided, because other data may come; not those of a trained model."""
        if self._widths is not None:
            self._widths.release()

    def decide_widths(self, data: Mapping[str, Any], *, final: bool = False) -> None:
        """Let the data decide the widths of parameters that are still open; if that is ``final``, for good."""
        if self._widths is None:
            return
        if not self._widths.known or not _fits(self.graph, data):
            self._widths.release()
            self._widths.bind(feed(self.graph, data)[1], self._parameters.forget)
        if final and self._widths.known:
            self._widths = None

    # -------------------------------------------------------------------------------------------- internals

    def _point(self, of: str, wrt: Sequence[str] | str, given: Mapping[str, Any] | None) -> Point:
        """Where a derivative is taken; an error where a name, a dtype or an input is not right for it."""
        names = self._names(wrt)
        check_differentiable(self.graph, of, names)
        known, sizes = self.feed(given)
        self._require_inputs(self.graph.schedule([of, *names]), known, of)
        return Point(of, names, known, sizes)

    def _names(self, wrt: Sequence[str] | str | None) -> list[str]:
        """Those of ``wrt``; unless given, of all parameters."""
        return list(self._parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)

    def _require_inputs(self, order: Sequence[str], known: Mapping[str, Any], of: str) -> None:
        missing = [name for name in order if self.graph.node_of(name).kind == INPUT and name not in known]
        if missing:
            raise self._lacking(of, missing)

    def _require(self, values: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in names:
            if name not in values:
                raise self._lacking(name, missing_inputs(self.graph, self.graph.schedule([name]), values)[name])

    def _lacking(self, name: str, missing: Sequence[str]) -> DataError:
        return lacking(self.data, name, missing)

    @staticmethod
    def _warn(notes: Sequence[str]) -> None:
        for note in notes:
            python_warnings.warn(note, DataflowWarning, stacklevel=4)


def _fits(graph: Graph, data: Mapping[str, Any]) -> bool:
    """Whether the data have the shapes of the graph."""
    try:
        feed(graph, data)
    except DataError:
        return False
    return True
