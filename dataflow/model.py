"""``Model``: a graph, its parameters, and what its file declares of data and training."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow import registry
from dataflow.autodiff import backward, check_differentiable, gradient_graph
from dataflow.errors import DataError, DataflowWarning, GraphError, nearest
from dataflow.evaluate import forward, kink_warnings, missing_inputs, non_finite_warnings
from dataflow.graph import INPUT, OP, PARAMETER, Graph
from dataflow.parameters import Parameters
from dataflow.perexample import per_example_gradients
from dataflow.plan import make_plan
from dataflow.shapes import TensorSpec, bind, element_count, substitute

if TYPE_CHECKING:
    from dataflow.data import DataSource


@dataclass(frozen=True)
class TrainSettings:
    """What a file declares of training; each can be overridden when training starts."""

    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "sgd"})
    epochs: int = 1
    batch_size: int | None = None
    """``None`` is the whole data at once."""
    shuffle: bool = False
    seed: int = 0
    validation: float = 0.0
    """The share of the examples, from the end, that is held out."""


@dataclass(frozen=True)
class Evaluation:
    """A forward pass, and a backward pass if there was something to differentiate."""

    values: dict[str, np.ndarray]
    """Of every node that could be computed."""
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

    ``outputs`` are the nodes that the model is for, ``loss`` the scalar node that training makes small. Methods take
    inputs by keyword, or as ``data={...}`` where a name clashes; parameters and constants can be given for one call the
    same way. Where no input is given at all, the data that the model's file declares is used.
    """

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str] = (),
        loss: str | None = None,
        *,
        doc: str = "",
        data: DataSource | None = None,
        train: TrainSettings | None = None,
    ) -> None:
        self.graph = graph
        self.outputs = [graph.value(name).name for name in outputs]
        self.loss = loss
        self.doc = doc
        self.data = data
        self.train_settings = train or TrainSettings()
        self.training: dict[str, Any] = {}
        """What a trained file knows of its training: epochs, losses, metrics, optimizer state."""
        if loss is not None:
            spec = graph.value(loss).spec
            if spec.shape != () or not spec.is_float:
                raise GraphError(f"the loss '{loss}' is {spec}; a loss is one float, such as sum(...) or mse(...)", node=loss)
        self._parameters = Parameters(graph, self.train_settings.seed)

    @property
    def name(self) -> str:
        return str(self.graph.name)

    @property
    def parameters(self) -> Parameters:
        """Name to array; can be set. Training leaves its result here."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: Mapping[str, Any]) -> None:
        self._parameters.update(values)

    def __repr__(self) -> str:
        count = sum(int(element_count(self.graph.nodes[name]["shape"])) for name in self._parameters)
        return f"<model '{self.name}': {len(self.graph)} nodes, {count} scalar parameters, outputs {', '.join(self.outputs)}>"

    # -------------------------------------------------------------------------------------------- running

    def run(self, *, data: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """The value of every node that the given inputs suffice for, by name. Where numbers leave an op's domain, a
        ``DataflowWarning`` names the node."""
        result = self.evaluate(data=self._given(data, inputs))
        self._warn(result.warnings)
        return result.values

    def gradients(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str | None = None,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """The gradient of ``sum(of)`` (of the loss unless said) with respect to any inputs, parameters or nodes (all
        parameters unless said), each of the shape of its wrt. Where no path leads from a wrt to ``of``, its gradient is
        zero, and a ``DataflowWarning`` says so."""
        target = self._target(of)
        names = list(self._parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
        result = self.evaluate(of=target, wrt=names, data=self._given(data, inputs))
        self._warn(result.warnings)
        return result.gradients

    def evaluate(
        self, *, of: str | None = None, wrt: Sequence[str] = (), data: Mapping[str, Any] | None = None, kinks: bool = False
    ) -> Evaluation:
        """The forward pass and, with ``of``, the backward pass, with everything that came between.

        With ``kinks``, warnings also name the nodes whose inputs touch a point without a derivative.
        """
        known, sizes = self._feed(data)
        for name in (*([of] if of else []), *wrt):
            self.graph.value(name)
        order = self.graph.schedule() if of is None else self.graph.schedule([of, *wrt])
        values = forward(self.graph, order, known, sizes)
        not_computed = {name: missing_inputs(self.graph, name, values) for name in order if name not in values}
        notes = non_finite_warnings(self.graph, order, values)
        cotangents: dict[str, np.ndarray] = {}
        gradients: dict[str, np.ndarray] = {}
        no_path: list[str] = []
        if of is not None and wrt:
            check_differentiable(self.graph, of, wrt)
            for name in (of, *wrt):
                if name in not_computed:
                    raise DataError(f"'{name}' needs {_listed('input', not_computed[name])}, which is not given", node=name)
            needed = self.graph.schedule([of])
            cotangents = backward(self.graph, needed, values, {of: np.ones_like(values[of])}, wrt, sizes)
            for name in wrt:
                if name not in cotangents:
                    no_path.append(name)
                gradients[name] = np.array(cotangents.get(name, np.zeros_like(values[name])))
            if no_path:
                notes.append(
                    f"the gradient of '{of}' with respect to {_listed('', no_path)} is zero: there is no path between them"
                )
            if kinks:
                on_path = [name for name in needed if name in cotangents]
                notes += kink_warnings(self.graph, on_path, values)
        return Evaluation(values, not_computed, of, gradients, cotangents, no_path, notes)

    # -------------------------------------------------------------------------------------------- more derivatives

    def jacobian(
        self, *, of: str, wrt: Sequence[str] | str, data: Mapping[str, Any] | None = None, **inputs: Any
    ) -> np.ndarray:
        """The matrix ∂vec(of)/∂vec(wrt): a row for each entry of ``of``, and the columns of each wrt side by side, both in
        row-major order."""
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        check_differentiable(self.graph, of, names)
        known, sizes = self._feed(self._given(data, inputs))
        order = self.graph.schedule([of, *names])
        values = forward(self.graph, order, known, sizes)
        self._require(values, [of, *names])
        self._warn(non_finite_warnings(self.graph, order, values))
        needed = self.graph.schedule([of])
        shape, dtype = values[of].shape, values[of].dtype
        widths = [values[name].size for name in names]
        matrix = np.zeros((values[of].size, sum(widths)), np.result_type(dtype, *(values[name] for name in names)))
        starts = np.cumsum([0, *widths])
        for row in range(len(matrix)):
            seed = np.zeros(values[of].size, dtype)
            seed[row] = 1
            found = backward(self.graph, needed, values, {of: seed.reshape(shape)}, names, sizes)
            for name, start, width in zip(names, starts, widths, strict=False):
                if name in found:
                    matrix[row, start : start + width] = found[name].reshape(-1)
        return matrix

    def per_example_gradients(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str | None = None,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """What each example of the batch adds to the gradient of ``sum(of)``: arrays with a leading axis of length n, which
        sum to ``gradients``. A part that belongs to no example, such as a penalty on weights, is shared equally."""
        target = self._target(of)
        names = list(self._parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
        check_differentiable(self.graph, target, names)
        known, sizes = self._feed(self._given(data, inputs))
        values = forward(self.graph, self.graph.schedule([target, *names]), known, sizes)
        self._require(values, [target, *names])
        return per_example_gradients(self.graph, target, names, values, sizes)

    def compile(
        self, *, values: Sequence[str] = (), gradients: Sequence[str] = (), of: str | None = None, backend: str = "numpy"
    ) -> Callable[..., tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """A function ``f(x=x, y=y) -> (values, gradients)`` of the asked-for nodes and of the gradients of ``sum(of)`` (of the
        loss unless said). A plan is made for each set of shapes and kept; parameters are those of the model at each call."""
        runner_of = registry.backend(backend)
        graph, cotangents = self.graph, {}
        if gradients:
            extended = gradient_graph(self.graph, self._target(of), gradients)
            graph, cotangents = extended.graph, extended.cotangents
        wanted = [self.graph.value(name).name for name in values]
        connected = [name for name in gradients if name in cotangents]
        outputs = [*wanted, *(cotangents[name] for name in connected)]
        needed = graph.needed_for(outputs)
        names = [name for name in graph if name in needed and graph.nodes[name]["kind"] in (INPUT, PARAMETER)]
        runners: dict[Any, Any] = {}

        def compiled(data: Mapping[str, Any] | None = None, **inputs: Any) -> Any:
            known, sizes = self._feed(self._given(data, inputs))
            self._require(known, [name for name in names if graph.nodes[name]["kind"] == INPUT])
            arguments = [known[name] for name in names]
            key = tuple(argument.shape for argument in arguments)
            if key not in runners:
                specs = {name: TensorSpec(known[name].shape, known[name].dtype) for name in names}
                runners[key] = runner_of.prepare(make_plan(graph, outputs, specs))
            results = runners[key].run(arguments)
            found = dict(zip(connected, map(np.array, results[len(wanted) :]), strict=True))
            for name in gradients:
                if name not in found:
                    spec = self.graph.spec(name)
                    found[name] = np.zeros(substitute(spec.shape, sizes), spec.dtype)
            return dict(zip(wanted, map(np.array, results), strict=False)), {name: found[name] for name in gradients}

        return compiled

    # -------------------------------------------------------------------------------------------- internals

    def _given(self, data: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return {**(data or {}), **inputs} if data is not None or inputs else None

    def _target(self, of: str | None) -> str:
        if of is None and self.loss is None:
            raise GraphError("the model has no loss; say of which node the gradient is taken, with of=")
        return of or str(self.loss)

    def _feed(self, given: Mapping[str, Any] | None) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Arrays of the declared dtypes for what is given, with the parameters; and what the symbolic sizes stand for."""
        if given is None:
            given = self.data.load(self.graph) if self.data is not None else {}
        known: dict[str, np.ndarray] = {}
        sizes: dict[str, int] = {}
        for name, value in given.items():
            if name not in self.graph or self.graph.nodes[name]["kind"] == OP:
                feedable = [n for n, data in self.graph.nodes(data=True) if data["kind"] != OP]
                raise DataError(f"there is no input '{name}'{nearest(name, feedable)}")
            known[name] = as_input(self.graph, name, value)
            problem = bind(self.graph.nodes[name]["shape"], known[name].shape, sizes)
            if problem is not None:
                raise DataError(f"{self.graph.nodes[name]['kind']} '{name}': {problem}", node=name)
        for name in self._parameters:
            if name not in known:
                known[name] = self._parameters[name]
        return known, sizes

    def _require(self, values: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in names:
            if name not in values:
                missing = missing_inputs(self.graph, name, values)
                raise DataError(f"'{name}' needs {_listed('input', missing)}, which is not given", node=name)

    @staticmethod
    def _warn(notes: Sequence[str]) -> None:
        for note in notes:
            python_warnings.warn(note, DataflowWarning, stacklevel=3)


def as_input(graph: Graph, name: str, value: Any) -> np.ndarray:
    """``value`` as an array of the dtype that ``name`` is declared with; a ``DataError`` where that would lose something."""
    dtype: np.dtype = graph.nodes[name]["dtype"]
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"'{name}' takes an array whose rows have one length", node=name) from None
    if array.dtype.kind not in "fiub" or (dtype.kind == "b" and array.dtype.kind != "b" and array.size):
        raise DataError(f"'{name}' takes {dtype} numbers, not {array.dtype}", node=name)
    if dtype.kind == "i" and array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
        raise DataError(f"'{name}' takes whole numbers ({dtype}), not decimals", node=name)
    return array.astype(dtype, copy=False)


def _listed(kind: str, names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names)
    return f"{kind}{'s' if kind and len(names) != 1 else ''} {listed}".strip()

