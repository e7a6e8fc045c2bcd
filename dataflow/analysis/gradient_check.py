"""Is a model right? Its gradients against central finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.analysis.finite_differences import central_difference, faulty_node, has_kink
from dataflow.analysis.high_precision import Precise
from dataflow.autodiff.training_graph import training_graph
from dataflow.errors import DataError, DtypeError, MissingExtraError, RuleError
from dataflow.execution.forward import Forward, kink_warnings, touched_kinks
from dataflow.execution.inputs import batch_axis, batch_symbol
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, Node
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.graph.walk import walk
from dataflow.limits import spend, work_left
from dataflow.model.model import Evaluation, Model
from dataflow.operations.op import Op
from dataflow.registry import registry
from dataflow.shapes import Size, substitute

ENTRIES = 64
"""The most entries of an array that are checked; of a larger one also one direction through all of them."""
FEWEST_ENTRIES = 8
MOST_NODES = 100_000
"""The approximate number of nodes computed for each step of the differences: in a model with many nodes and parameters
fewer entries of each are checked, down to ``FEWEST_ENTRIES``."""
EXAMPLES = 32
"""The most examples of a batch that are used."""
PRECISE_ENTRIES = 20_000
"""Up to this many entries of inputs and parameters, gradients are compared with an evaluation of 50 digits too."""
PRECISE_EXAMPLES = 4
"""The most examples compared with those 50 digits, which take a thousand times longer."""
TOLERANCE = 1e-6
"""The relative difference that still counts as agreement, beyond what the finite difference itself may be off by."""


@dataclass(frozen=True)
class Fault:
    """An entry at which a gradient is wrong; ``place`` is empty for a number, and ``None`` for a direction."""

    place: tuple[int, ...] | None
    expected: float
    """From finite differences."""
    uncertainty: float
    found: float


@dataclass(frozen=True)
class GradientCheck:
    """What came out for one wrt."""

    wrt: str
    size: int
    checked: int
    """Entries that were compared."""
    kinks: int
    """Entries left out because a kink is touched: the derivative there is a convention."""
    undecided: int
    """Entries left out because their finite difference is not finite, or too rough."""
    error: float
    """The largest absolute difference."""
    digits: float
    """How many digits agree at least; infinite where all are equal."""
    faults: tuple[Fault, ...]
    precise_digits: float | None = None
    """How many digits agree with an evaluation of 50 digits, along one direction that moves all entries; infinite where
    all do, ``None`` where there is none: a kink is touched, an op has no symbolic rule, or mpmath is not installed."""


@dataclass(frozen=True)
class GradientReport:
    """The gradients of ``sum(of)``, checked."""

    of: str
    checks: tuple[GradientCheck, ...]
    kinks: tuple[str, ...]
    """A line for each node that touches its kink, with the convention."""
    blamed: tuple[str, str] | None
    """The first node whose own derivative is wrong, and its op, where a gradient is wrong."""
    weighted: bool = False
    """Whether it is the gradient of a weighted sum of ``of``, in place of ``sum(of)``."""
    in_training: bool = False
    """Whether it is that of a minibatch in training, where ops have another body then."""

    @property
    def ok(self) -> bool:
        return not any(check.faults for check in self.checks)


def check_gradients(
    model: Model, of: str, wrt: Sequence[str], data: Mapping[str, Any], backend: str | None = None
) -> GradientReport:
    """Compare the gradient of ``sum(of)`` with respect to each wrt with central finite differences.

    Everything is computed in float64, whatever the model's dtypes: what is checked are the derivative rules. Of arrays
    with more than ``ENTRIES`` entries a fixed choice is compared, and the derivative along one direction that moves
    all entries. Where a plain sum might be blind, as that of a softmax is, which is always 1, the entries of ``of`` are
    weighted. Raises a ``DataError`` where an input is missing.
    """
    twin, asked = in_float64(model), of
    twin, of = _weighted(twin, of)
    backend = backend and registry.present_name("backend", backend)
    result = twin.evaluate(of=of, wrt=wrt, data=data)
    gradients = result.gradients if backend is None else _computed_by(backend, twin, of, wrt, data)
    order = twin.graph.schedule([of])
    sizes = twin.sizes_of(data)
    entries = max(FEWEST_ENTRIES, min(ENTRIES, MOST_NODES // max(1, len(order) * len(wrt))))
    checks = tuple(
        _check_one(twin.graph, of, name, gradients[name], result.values, order, sizes, entries) for name in wrt
    )
    checks = _with_precise_digits(twin, of, checks, data, backend, result, gradients)
    on_path = [name for name in order if name in result.cotangents]
    kinks = tuple(kink_warnings(twin.graph, on_path, result.values))
    blamed = None
    if any(check.faults for check in checks):
        blamed = faulty_node(twin.graph, on_path, result.values, set(result.cotangents), sizes)
    return GradientReport(asked, checks, kinks, blamed, of != asked)


def check_training(model: Model, wrt: Sequence[str], data: Mapping[str, Any]) -> GradientReport | None:
    """Compare the loss's gradient with finite differences as ``check_gradients`` does, with the bodies that ops have in
    training; the random numbers are those of one minibatch. ``None`` where no op has another body."""
    assert model.loss is not None
    training = training_graph(model.graph, model.loss, model.train_settings.seed)
    if training.graph is model.graph:
        return None
    twin = Model(training.graph, model.outputs, model.loss)
    twin.parameters = model.parameters
    number = {training.minibatch: np.array(0)} if training.minibatch else {}
    names = [name for name in wrt if name not in training.updates]
    return replace(check_gradients(twin, model.loss, names, {**data, **number}), in_training=True)


def _with_precise_digits(
    model: Model,
    of: str,
    checks: Sequence[GradientCheck],
    data: Mapping[str, Any],
    backend: str | None,
    result: Evaluation,
    gradients: Mapping[str, np.ndarray],
) -> tuple[GradientCheck, ...]:
    """Compare with the evaluation of 50 digits too, where there is one."""
    few = some_examples(model.graph, {name: np.asarray(value) for name, value in data.items()}, PRECISE_EXAMPLES)
    known, sizes = model.feed(few)
    if sum(array.size for array in known.values()) > PRECISE_ENTRIES:
        return tuple(checks)
    wrt = [check.wrt for check in checks]
    if any(few[name].size < np.size(value) for name, value in data.items()):
        result = model.evaluate(of=of, wrt=wrt, data=few)
        gradients = result.gradients if backend is None else _computed_by(backend, model, of, wrt, few)
    # Where float64 has NaN or infinity on the way, mpmath has complex numbers or divides by zero.
    if not all(np.isfinite(value).all() for value in result.values.values()):
        return tuple(checks)
    try:
        precise = Precise(model.graph, of, known, sizes)
        if precise.work * (1 + 3 * len(checks)) > work_left() // 2:
            return tuple(checks)  # the rest of the work is for the checks that must be made
        precise.value()
    except (MissingExtraError, RuleError):
        return tuple(checks)
    completed = []
    for check in checks:
        gradient = gradients[check.wrt]
        if check.kinks or not check.size or not np.isfinite(gradient).all():
            completed.append(check)
            continue
        direction = np.random.default_rng(0).uniform(0.5, 1.5, gradient.shape)
        terms = gradient * direction
        try:
            error = abs(float(math.fsum(terms.reshape(-1)) - precise.slope(check.wrt, direction)))
        except (ArithmeticError, TypeError):  # beside a point such as 0 to the power 1.5, numbers are complex
            completed.append(check)
            continue
        scale = float(np.abs(terms).sum())
        digits = math.inf if error == 0 else max(0.0, -math.log10(error / scale)) if scale else 0.0
        completed.append(replace(check, precise_digits=digits))
    return tuple(completed)


def some_examples(graph: Graph, data: Mapping[str, np.ndarray], count: int = EXAMPLES) -> dict[str, np.ndarray]:
    """The data cut down to the first ``count`` examples of the batch."""
    batch = batch_symbol(graph)
    if batch is None:
        return dict(data)
    try:
        axes = {name: batch_axis(graph, name, batch) for name in data}
    except DataError:  # an input mixes examples, so that nothing can be cut
        return dict(data)
    return {
        name: array
        if axes[name] is None
        else np.take(array, range(min(count, array.shape[axes[name] or 0])), axes[name])
        for name, array in data.items()
    }


def drawn_examples(graph: Graph) -> dict[str, np.ndarray]:
    """Three examples of numbers that are drawn, where there is no data that can be used: normal floats, and zeros for
    whole numbers, which are the first class of labels."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name in graph.names(INPUT):
        node = graph.node_of(name)
        symbols = {symbol: 3 for size in node.shape if isinstance(size, Size) for symbol in size.names}
        shape = substitute(node.shape, symbols)
        drawn[name] = (rng.normal(size=shape) if node.dtype.kind == "f" else np.zeros(shape)).astype(node.dtype)
    return drawn


def in_float64(model: Model) -> Model:
    """The same model with float64 in place of floats of fewer bits; the model itself where there is nothing to
    replace, or an op takes no float64 there, as one that reads bits."""
    if not any(node.dtype.name in _FEWER_BITS for _, node in model.graph.node_items()):
        return model
    try:
        return Model(_graph_in_float64(model.graph, model.parameters), model.outputs, model.loss)
    except DtypeError:
        return model


_FEWER_BITS = ("float32", "float16")


def _graph_in_float64(graph: Graph, parameters: Mapping[str, np.ndarray]) -> Graph:
    result = Graph(graph.name, "float64")

    def leaf(name: str, node: Node) -> Value:
        dtype = np.dtype("float64") if node.dtype.name in _FEWER_BITS else node.dtype
        match node.kind:
            case "input":
                return result.input(name, node.shape, dtype)
            case "parameter":
                return result.parameter(name, value=parameters[name], dtype=dtype)
        return result.constant(name, node.value, dtype)

    def attribute(value: Any) -> Any:
        if isinstance(value, Subgraph):
            nodes = dict(zip(value.outputs, value.nodes, strict=True))
            return Subgraph(_graph_in_float64(value.graph, {}), value.inputs, nodes, name=value.name)
        return "float64" if isinstance(value, str) and value in _FEWER_BITS else value

    def apply(name: str, op: Op, node: Node, arguments: Sequence[Any]) -> Value:
        attributes = {key: attribute(x) for key, x in node.attributes.items()}
        return result.apply(op, arguments, attributes, name=name)

    walk(graph, graph.schedule(), {}, apply, leaf)
    return result


# ------------------------------------------------------------------------------------------------ internals


def _weighted(model: Model, of: str) -> tuple[Model, str]:
    """The model with a node more, in which the entries of ``of`` are weighted along its axes of known size, and that
    node's name; the model itself and ``of`` where there are no such entries."""
    shape = [1 if isinstance(size, Size) else size for size in model.graph.value(of).shape]
    if math.prod(shape) < 2:
        return model, of
    try:
        graph = _graph_in_float64(model.graph, model.parameters)
    except DtypeError:
        return model, of
    weights = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    name = f"{of}.weighted"
    graph.node(name, graph.value(of) * graph.constant(None, weights))
    return Model(graph, [name]), name


def _computed_by(
    backend: str, model: Model, of: str, wrt: Sequence[str], data: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The gradients as another backend computes them."""
    return model.compile(gradients=wrt, of=of, backend=backend)(data=data)[1]


def _check_one(
    graph: Graph,
    of: str,
    wrt: str,
    gradient: np.ndarray,
    values: Mapping[str, np.ndarray],
    order: Sequence[str],
    sizes: Mapping[str, int],
    entries: int,
) -> GradientCheck:
    spend(2 * len(order), wrt)
    affected = graph.depending_on([wrt])
    again = [name for name in order if name in affected and name != wrt]
    fixed = {name: value for name, value in values.items() if name not in affected}
    moved = Forward(graph, again, sizes)
    base = values[wrt]
    kinks = {name: mask for name, mask in touched_kinks(graph, again, values).items() if mask.any()}

    def at(point: np.ndarray) -> dict[str, np.ndarray]:
        return moved({**fixed, wrt: point})

    def along(direction: np.ndarray) -> Callable[[float], np.ndarray]:
        def moved_by(step: float) -> np.ndarray:
            if of not in affected:
                return np.zeros(())  # no path leads there, so that nothing of it moves, to the last bit
            result = at(base + step * direction)[of]
            if result.shape != values[of].shape:  # the numbers decide it, so that there is no difference
                return np.full(values[of].shape, np.nan)
            return result

        return moved_by

    def leaves_kink(direction: np.ndarray) -> bool:
        if not kinks:
            return False
        moved = touched_kinks(graph, list(kinks), at(base + _scale(base) * 1e-4 * direction))
        return any(mask.shape != moved[name].shape or (mask & ~moved[name]).any() for name, mask in kinks.items())

    tally = _Tally(float(np.abs(gradient[np.isfinite(gradient)]).max(initial=0)))
    rng = np.random.default_rng(0)
    chosen = (
        range(base.size) if base.size <= entries else sorted(rng.choice(base.size, entries, replace=False).tolist())
    )
    for entry in chosen:
        direction = np.zeros(base.size)
        direction[entry] = max(abs(float(base.reshape(-1)[entry])), _scale(base))
        place = tuple(int(i) for i in np.unravel_index(entry, base.shape))
        tally.add(place, direction.reshape(base.shape), direction[entry], gradient, along, leaves_kink)
    if base.size > entries:
        direction = rng.choice([-1.0, 1.0], base.shape) * _scale(base)
        tally.add(None, direction, 1.0, gradient, along, leaves_kink)
    return GradientCheck(
        wrt, base.size, tally.checked, tally.kinks, tally.undecided, tally.error, tally.digits, tuple(tally.faults)
    )


class _Tally:
    """What the comparisons of one gradient add up to; ``largest`` is its largest entry."""

    def __init__(self, largest: float) -> None:
        self.largest = largest
        self.checked = self.kinks = self.undecided = 0
        self.error = 0.0
        self.digits = math.inf
        self.faults: list[Fault] = []

    def add(
        self,
        place: tuple[int, ...] | None,
        direction: np.ndarray,
        unit: float,
        gradient: np.ndarray,
        along: Callable[[np.ndarray], Callable[[float], np.ndarray]],
        leaves_kink: Callable[[np.ndarray], bool],
    ) -> None:
        """Compare the derivative along ``direction``, divided by ``unit``, with what the gradient says."""
        # an entry of the gradient that is not finite must not hide behind 0 · inf
        slope = float(np.sum(gradient[direction != 0] * direction[direction != 0])) / unit
        if leaves_kink(direction):
            self.kinks += 1
            return
        largest = self.largest * (1.0 if place is not None else float(np.abs(direction).sum()))
        for start in (1e-2, 1e-5):  # the second for a kink so near that larger steps cross it
            measured = central_difference(along(direction), start)
            expected, uncertainty = measured.value / unit, measured.uncertainty / unit
            limit = 1e-3 * max(abs(expected), abs(slope), 1e-3 * largest)
            decided = uncertainty <= limit or (not math.isfinite(slope) and math.isfinite(uncertainty))
            tolerance = TOLERANCE * max(abs(expected), abs(slope)) + 1e-9 * largest + 10 * uncertainty
            if decided and abs(expected - slope) <= tolerance:
                break
        if not decided:
            self.undecided += 1
            return
        difference = abs(expected - slope)
        wrong = not difference <= tolerance
        if wrong and has_kink(along(direction), slope * unit):  # one that no rule of an op tells
            self.kinks += 1
            return
        self.checked += place is not None
        if wrong:
            self.faults.append(Fault(place, expected, uncertainty, slope))
        self.error = max(self.error, difference) if difference == difference else math.nan
        scale = max(abs(expected), abs(slope), 1e-3 * largest)
        if difference != 0 and scale:
            agreement = -math.log10(difference / scale) if math.isfinite(difference) else 0.0
            self.digits = min(self.digits, max(0.0, agreement))


def _scale(array: np.ndarray) -> float:
    """The size that entries of the array typically have; 1 if they are all 0."""
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.mean()) if finite.size and finite.any() else 1.0
