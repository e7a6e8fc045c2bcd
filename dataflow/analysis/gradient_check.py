"""Is a model right? Its gradients against central finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
from dataflow.graph.node import INPUT, OP, Node
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.graph.walk import walk
from dataflow.limits import is_limited, spend, work_left
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
STEPS_OF_AN_ENTRY = 60
"""About how many steps of work a finite difference takes for each node that the entry moves: ten or so evaluations."""
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
    together: tuple[str, ...] = ()
    """The wrts, where it is of several: they were moved together, along one direction, and ``wrt`` says how many."""

    @property
    def is_compared(self) -> bool:
        """Whether anything was."""
        return self.checked > 0 or (bool(self.together) and not self.kinks and not self.undecided)


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
    weighted. Where a command may not do the work for each wrt, those that it takes most for are moved together, along
    one direction: that grows with the graph, and no faster. Raises a ``DataError`` where an input is missing.
    """
    twin, asked = in_float64(model), of
    twin, of = _weighted(twin, of)
    backend = backend and registry.present_name("backend", backend)
    result = twin.evaluate(of=of, wrt=wrt, data=data)
    gradients = result.gradients if backend is None else _computed_by(backend, twin, of, wrt, data)
    order = twin.graph.schedule([of])
    sizes = twin.sizes_of(data)
    entries = max(FEWEST_ENTRIES, min(ENTRIES, MOST_NODES // max(1, len(order) * len(wrt))))
    differences = _Differences(twin.graph, of, gradients, result.values, order, sizes)
    single, together = _affordable(twin.graph, order, wrt, entries)
    checks = tuple(differences.check([name], entries) for name in single)
    if together:
        checks = (*checks, differences.check(together, 0))
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
    wrt = [check.wrt for check in checks if not check.together]
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
        if check.together:
            completed.append(check)
            continue
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


def _affordable(
    graph: Graph, order: Sequence[str], wrt: Sequence[str], entries: int
) -> tuple[Sequence[str], Sequence[str]]:
    """Which wrts can be checked one by one with half of the work that is left, the cheapest first, and which are moved
    together: inputs and parameters that are not among the first. What else is asked for is checked by itself."""
    if not is_limited():
        return wrt, ()
    places = {name: i for i, name in enumerate(order)}
    costs = {}
    for name in wrt:
        first = min((places[user] for user in graph.successors(name) if user in places), default=len(order))
        costs[name] = (entries + 1) * STEPS_OF_AN_ENTRY * (len(order) - first) + len(order)
    left, single = (work_left() - STEPS_OF_AN_ENTRY * len(order)) // 2, set[str]()  # one direction comes last
    for name in sorted(dict.fromkeys(wrt), key=costs.__getitem__):
        left -= costs[name]
        if left < 0:
            break
        single.add(name)
    others = {name: None for name in wrt if name not in single and graph.node_of(name).kind != OP}
    if len(others) < 2:
        return wrt, ()
    return [name for name in wrt if name not in others], list(others)


class _Differences:
    """The gradient of a node at one point, held against finite differences."""

    def __init__(
        self,
        graph: Graph,
        of: str,
        gradients: Mapping[str, np.ndarray],
        values: Mapping[str, np.ndarray],
        order: Sequence[str],
        sizes: Mapping[str, int],
    ) -> None:
        self.graph, self.of, self.gradients, self.values = graph, of, gradients, values
        self.order, self.sizes = order, sizes

    def check(self, wrt: Sequence[str], entries: int) -> GradientCheck:
        """Compare so many entries of one wrt, or all of it if it has no more; else, and of several together, one
        direction that moves all entries."""
        spend(len(self.order), wrt[0])
        moved = _Moved(self, wrt)
        gradient = np.concatenate([self.gradients[name].reshape(-1) for name in wrt])
        tally = _Tally(float(np.abs(gradient[np.isfinite(gradient)]).max(initial=0)))
        rng, size = np.random.default_rng(0), gradient.size
        chosen = range(size) if size <= entries else sorted(rng.choice(size, entries, replace=False).tolist())
        for entry in chosen:
            direction = np.zeros(size)
            direction[entry] = max(abs(float(moved.base[entry])), moved.scale[entry])
            place = tuple(int(i) for i in np.unravel_index(entry, self.values[wrt[0]].shape))
            tally.add(place, direction, direction[entry], gradient, moved)
        if size > entries:
            tally.add(None, rng.choice([-1.0, 1.0], size) * moved.scale, 1.0, gradient, moved)
        found = (tally.checked, tally.kinks, tally.undecided, tally.error, tally.digits, tuple(tally.faults))
        if len(wrt) > 1:
            return GradientCheck(f"{len(wrt):,} others", size, *found, together=tuple(wrt))
        return GradientCheck(wrt[0], size, *found)


class _Moved:
    """Inputs, parameters or nodes of a graph moved along a direction, which is one vector for all of them."""

    def __init__(self, at: _Differences, wrt: Sequence[str]) -> None:
        self.of, self.graph, self.values = at.of, at.graph, at.values
        self.shapes = {name: at.values[name].shape for name in wrt}
        self.base = np.concatenate([at.values[name].reshape(-1) for name in wrt])
        self.scale = np.concatenate([np.full(at.values[name].size, _scale(at.values[name])) for name in wrt])
        """Of each entry, the size that those of its array typically have."""
        self.affected = at.graph.depending_on(wrt)
        again = [name for name in at.order if name in self.affected and name not in self.shapes]
        used: Collection[str] = at.values  # where values make sizes, any of them may say one
        if not at.graph.makes_sizes:
            used = {source for name in again for source in at.graph.predecessors(name)}
        self.fixed = {name: at.values[name] for name in used if name not in self.affected and name in at.values}
        self.forward = Forward(at.graph, again, at.sizes)
        self.kinks = {name: mask for name, mask in touched_kinks(at.graph, again, at.values).items() if mask.any()}

    def at(self, point: np.ndarray) -> dict[str, np.ndarray]:
        """All values, where the moved ones are these."""
        parts, start = dict[str, np.ndarray](), 0
        for name, shape in self.shapes.items():
            parts[name] = point[start : (start := start + math.prod(shape))].reshape(shape)
        return self.forward({**self.fixed, **parts})

    def along(self, direction: np.ndarray) -> Callable[[float], np.ndarray]:
        """What ``of`` is some steps along a direction."""

        def moved_by(step: float) -> np.ndarray:
            if self.of not in self.affected:
                return np.zeros(())  # no path leads there, so that nothing of it moves, to the last bit
            result = self.at(self.base + step * direction)[self.of]
            if result.shape != self.values[self.of].shape:  # the numbers decide it, so that there is no difference
                return np.full(self.values[self.of].shape, np.nan)
            return result

        return moved_by

    def leaves_kink(self, direction: np.ndarray) -> bool:
        """Whether a little way along a direction a kink is left that is touched now."""
        if not self.kinks:
            return False
        moved = touched_kinks(self.graph, list(self.kinks), self.at(self.base + self.scale * 1e-4 * direction))
        return any(mask.shape != moved[name].shape or (mask & ~moved[name]).any() for name, mask in self.kinks.items())


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
        moved: _Moved,
    ) -> None:
        """Compare the derivative along ``direction``, divided by ``unit``, with what the gradient says."""
        # an entry of the gradient that is not finite must not hide behind 0 · inf
        slope = float(np.sum(gradient[direction != 0] * direction[direction != 0])) / unit
        if moved.leaves_kink(direction):
            self.kinks += 1
            return
        largest = self.largest * (1.0 if place is not None else float(np.abs(direction).sum()))
        for start in (1e-2, 1e-5):  # the second for a kink so near that larger steps cross it
            measured = central_difference(moved.along(direction), start)
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
        if wrong and has_kink(moved.along(direction), slope * unit):  # one that no rule of an op tells
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
