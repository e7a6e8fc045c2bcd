"""``Model``: a graph, its parameters, and what its file declares of data and training."""

from __future__ import annotations

import math
import warnings as python_warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.autodiff import backward, check_differentiable, gradient_graph
from dataflow.derivatives import Derivatives, Point, zeros
from dataflow.errors import DataError, DataflowWarning, GraphError
from dataflow.evaluate import forward, kink_warnings, missing_inputs, non_finite_warnings
from dataflow.feeding import batch_symbol, feed, one_example
from dataflow.graph import INPUT, PARAMETER, Graph
from dataflow.memory import parse_bytes
from dataflow.parameters import Parameters
from dataflow.perexample import per_example_gradients
from dataflow.program import Program

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
        if len(set(self.outputs)) < len(self.outputs):
            twice = next(name for name, count in Counter(self.outputs).items() if count > 1)
            raise GraphError(f"the output '{twice}' is listed twice", node=twice)
        self.loss = loss
        self.doc = doc
        self.data = data
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
        count = sum(math.prod(self.graph.nodes[name]["shape"]) for name in self._parameters)
        outputs = ", ".join(self.outputs)
        return f"<model '{self.name}': {len(self.graph)} nodes, {count} scalar parameters, outputs {outputs}>"

    # -------------------------------------------------------------------------------------------- running

    def run(self, *, data: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """The value of every node that the given inputs suffice for, by name. Where numbers leave an op's domain, a
        ``DataflowWarning`` names the node."""
        result = self.evaluate(data=self.given(data, inputs))
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
        target = self.target(of)
        names = list(self._parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
        result = self.evaluate(of=target, wrt=names, data=self.given(data, inputs))
        self._warn(result.warnings)
        return result.gradients

    def evaluate(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        kinks: bool = False,
    ) -> Evaluation:
        """The forward pass and, with ``of``, the backward pass, with everything that came between.

        With ``kinks``, warnings also name the nodes whose inputs touch a point without a derivative.
        """
        known, sizes = self.feed(data)
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
                    raise DataError(
                        f"'{name}' needs {_listed('input', not_computed[name])}, which is not given", node=name
                    )
            needed = self.graph.schedule([of])
            cotangents = backward(self.graph, needed, values, {of: np.ones_like(values[of])}, wrt, sizes)
            for name in wrt:
                if name not in cotangents:
                    no_path.append(name)
                gradients[name] = np.array(cotangents.get(name, np.zeros_like(values[name])))
            if no_path:
                names = _listed("", no_path)
                notes.append(f"the gradient of '{of}' with respect to {names} is zero: there is no path between them")
            if kinks:
                on_path = [name for name in needed if name in cotangents]
                notes += kink_warnings(self.graph, on_path, values)
        return Evaluation(values, not_computed, of, gradients, cotangents, no_path, notes)

    # -------------------------------------------------------------------------------------------- more derivatives

    def jacobian(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        mode: str | None = None,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> np.ndarray:
        """The matrix ∂vec(of)/∂vec(wrt): a row for each entry of ``of``, and the columns of each wrt side by side,
        both in row-major order. It comes from one batched pass: a reverse one for all rows or a forward one for
        all columns, whichever has fewer, unless ``mode`` says "reverse" or "forward"."""
        return self._derivatives.jacobian(self._point(of, wrt, self.given(data, inputs)), mode)

    def vjp(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        cotangent: Any,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """``cotangent · J`` for each wrt, in its shape; ``cotangent`` has the shape of ``of``."""
        return self._derivatives.vjp(self._point(of, wrt, self.given(data, inputs)), cotangent)

    def jvp(
        self,
        *,
        of: str,
        wrt: Sequence[str] | str,
        tangents: Mapping[str, Any],
        order: int = 1,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> np.ndarray:
        """``J · tangent``, in the shape of ``of``: its derivative along ``tangents``, which has an array in the
        shape of each wrt; one left out is zero. With ``order`` k it is the k-th derivative along them,
        d^k/dt^k of(wrt + t·tangent) at t = 0."""
        return self._derivatives.jvp(self._point(of, wrt, self.given(data, inputs)), tangents, order)

    def hvp(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str,
        tangents: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """``H · tangent`` for each wrt, in its shape, where H is the Hessian of ``sum(of)`` (of the loss unless
        said) with respect to all wrts together."""
        return self._derivatives.hvp(self._point(self.target(of), wrt, self.given(data, inputs)), tangents)

    def hessian(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> np.ndarray:
        """The matrix of second derivatives of ``sum(of)`` (of the loss unless said): rows and columns are the
        entries of the wrts, side by side, each in row-major order."""
        return self._derivatives.hessian(self._point(self.target(of), wrt, self.given(data, inputs)))

    def per_example_gradients(
        self,
        *,
        of: str | None = None,
        wrt: Sequence[str] | str | None = None,
        data: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """What each example of the batch adds to the gradient of ``sum(of)``: arrays with a leading axis of length
        n, which sum to ``gradients``. A part that belongs to no example, such as a penalty on weights, is shared
        equally."""
        target = self.target(of)
        names = list(self._parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
        check_differentiable(self.graph, target, names)
        known, sizes = self.feed(self.given(data, inputs))
        values = forward(self.graph, self.graph.schedule([target, *names]), known, sizes)
        self._require(values, [target, *names])
        return per_example_gradients(self.graph, target, names, values, sizes)

    def compile(
        self,
        *,
        values: Sequence[str] = (),
        gradients: Sequence[str] = (),
        of: str | None = None,
        backend: str = "numpy",
        threads: int | None = None,
        memory_limit: int | str | None = None,
    ) -> Callable[..., tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """A function ``f(x=x, y=y) -> (values, gradients)`` of the asked-for nodes and of the gradients of
        ``sum(of)`` (of the loss unless said). A plan is made for each set of shapes and kept; parameters are those
        of the model at each call.

        ``threads`` is an upper bound for the threads that the backend uses. ``memory_limit``, in bytes or as "64MB",
        bounds what intermediate values take: what is needed late is computed a second time, with the same result, where
        that helps. A limit that cannot be met is a ``MemoryLimitError`` at the first call."""
        graph, cotangents = self.graph, {}
        if gradients:
            extended = gradient_graph(self.graph, self.target(of), gradients)
            graph, cotangents = extended.graph, extended.cotangents
        wanted = [self.graph.value(name).name for name in values]
        connected = [name for name in gradients if name in cotangents]
        program = Program(
            graph,
            [*wanted, *(cotangents[name] for name in connected)],
            backend,
            threads=threads,
            memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
        )

        parameters = [name for name in program.arguments if graph.nodes[name]["kind"] == PARAMETER]

        def compiled(data: Mapping[str, Any] | None = None, **inputs: Any) -> Any:
            known, sizes = self.feed(self.given(data, inputs), parameters)
            self._require(known, program.arguments)
            results = program.run(known, sizes)
            found = dict(zip(connected, results[len(wanted) :], strict=True))
            for name in gradients:
                if name not in found:
                    found[name] = zeros(self.graph, name, sizes)
            return dict(zip(wanted, results, strict=False)), {name: found[name] for name in gradients}

        return compiled

    # -------------------------------------------------------------------------------------------- what a run is given

    def given(self, data: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Inputs given as ``data=`` and by keyword, together; ``None`` where neither is, which means the declared
        data."""
        return {**(data or {}), **inputs} if data is not None or inputs else None

    def target(self, of: str | None) -> str:
        """``of``, or the loss; a ``GraphError`` where there is neither."""
        if of is None and self.loss is None:
            raise GraphError("the model has no loss; say of which node the gradient is taken, with of=")
        return of or str(self.loss)

    @property
    def has_batch(self) -> bool:
        """Whether an input's first axis has a symbolic size, so that there are examples."""
        return batch_symbol(self.graph) is not None

    def one_example(self, given: Mapping[str, Any] | None, number: int) -> dict[str, np.ndarray]:
        """The given inputs, or the declared data, cut down to one example of the batch, counted from 0."""
        if given is None:
            given = self.data.load(self.graph) if self.data is not None else {}
        return one_example(self.graph, given, number)

    def sizes_of(self, given: Mapping[str, Any] | None) -> dict[str, int]:
        """What the symbolic sizes stand for with these inputs, or with the declared data."""
        return self.feed(given)[1]

    def feed(
        self, given: Mapping[str, Any] | None, parameters: Iterable[str] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Arrays of the declared dtypes for what is given, with these parameters, or with all; and what the symbolic
        sizes stand for."""
        if given is None:
            given = self.data.load(self.graph) if self.data is not None else {}
        known, sizes = feed(self.graph, given)
        for name in self._parameters if parameters is None else parameters:
            if name not in known:
                known[name] = self._parameters[name]
        return known, sizes

    # -------------------------------------------------------------------------------------------- internals

    def _point(self, of: str, wrt: Sequence[str] | str, given: Mapping[str, Any] | None) -> Point:
        """Where a derivative is taken; an error where a name, a dtype or an input is not right for it."""
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        check_differentiable(self.graph, of, names)
        known, sizes = self.feed(given)
        self._require_inputs(self.graph.schedule([of, *names]), known, of)
        return Point(of, names, known, sizes)

    def _require_inputs(self, order: Sequence[str], known: Mapping[str, Any], of: str) -> None:
        missing = [name for name in order if self.graph.nodes[name]["kind"] == INPUT and name not in known]
        if missing:
            raise DataError(f"'{of}' needs {_listed('input', missing)}, which is not given", node=of)

    def _require(self, values: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in names:
            if name not in values:
                missing = missing_inputs(self.graph, name, values)
                raise DataError(f"'{name}' needs {_listed('input', missing)}, which is not given", node=name)

    @staticmethod
    def _warn(notes: Sequence[str]) -> None:
        for note in notes:
            python_warnings.warn(note, DataflowWarning, stacklevel=3)


def _listed(kind: str, names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names)
    return f"{kind}{'s' if kind and len(names) != 1 else ''} {listed}".strip()
