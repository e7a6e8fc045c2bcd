"""What a worker of a cluster computes of parts of minibatches: from bytes, and without state."""

from __future__ import annotations

import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.autodiff.training_graph import training_graph
from dataflow.backends.cluster import Part, Task
from dataflow.backends.joined import Joined
from dataflow.errors import DataflowWarning, TrainingError
from dataflow.execution.program import PlanByShape
from dataflow.files.msgpack.binary import pack_model
from dataflow.files.msgpack.container import container_bytes, parse_container
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.graph.node import INPUT, OP
from dataflow.limits import unlimited
from dataflow.model.model import Model
from dataflow.model.train_settings import TrainSettings
from dataflow.operations.engine_ops import random_uniform
from dataflow.registry import registry
from dataflow.shapes import Size
from dataflow.support.version import installed_version
from dataflow.training.minibatches.updates import Updates
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import resolve
from dataflow.training.trained_parameters import trained_parameters

_kept: list[tuple[bytes, dict[int, PartGradients]]] = []
"""What was made of the last setup, by the number of the shard: who takes over for another has two."""
_lock = threading.Lock()


def pack_setup(model: Model, **run: Any) -> tuple[bytes, dict[str, Any]]:
    """What ``work_of`` needs, for one run, and what ``missing`` takes."""
    bare = Model(model.graph, model.outputs, model.loss)
    bare.parameters = model.parameters
    with unlimited():
        packed = pack_model(bare, Path(), for_file=False)
        needs = needs_of(packed.header["plugins"], [run["backend"]], [run["optimizer"]["name"]])
        header = {"model": packed.header, "run": {**run, "run": uuid.uuid4().hex}}  # no other run has these bytes
        return container_bytes(header, packed.tensors, packed.version), needs


def needs_of(ops: Mapping[str, str], backends: Iterable[str], optimizers: Iterable[str]) -> dict[str, Any]:
    """What ``missing`` takes: versions, ops with their plugins, backends and optimizers."""
    named = {"ops": dict(ops), "backends": sorted(backends), "optimizers": sorted(optimizers)}
    return {"version": installed_version(), "numpy": np.__version__, **named}


def missing(needs: Mapping[str, Any]) -> str | None:
    """What this process lacks to compute with a model, in words."""
    if (version := installed_version()) != needs["version"]:
        return f"dataflow {version}, not {needs['version']}"
    if np.__version__ != needs["numpy"]:
        return f"numpy {np.__version__}, not {needs['numpy']}"
    found = registry.registry()
    for name, owner in needs["ops"].items():
        if name.partition(":")[0] not in found.ops:
            return f"no op '{name}', which {owner} has"
    for name in needs["backends"]:
        if name.partition(":")[0] not in found.backends:  # its device stands behind it
            return f"no backend '{name}'"
    for name in needs["optimizers"]:
        if name not in found.optimizers:
            return f"no optimizer '{name}'"
    return None


def compute(
    setup: bytes, shard: int, data: Mapping[str, np.ndarray], arrays: Sequence[np.ndarray], task: Task
) -> list[np.ndarray]:
    """What the run's work gives for a task on the shard of this number, as arrays of the caller's own; threads wait for
    each other."""
    with _lock:
        if not _kept or (_kept[0][0] is not setup and _kept[0][0] != setup):
            _kept[:] = [(setup, {})]
        works = _kept[0][1]
        if shard not in works:
            works[shard] = work_of(setup)
        work = works[shard]
        work.taken.take(arrays)
        work(data, task)
        return [array.copy() for array in work.given.arrays]


def work_of(setup: bytes) -> PartGradients:
    """What workers do in a run: gradients, or local steps."""
    with unlimited():
        container = parse_container(setup)
        model = unpack_model(container.header["model"], container.tensors, Path())
    run = container.header["run"]
    return (PartGradients if run["sync_every"] == 1 else LocalSteps)(model, run)


class PartGradients:
    """``work(data, task)`` computes with the arrays of ``taken``, the parameters, and leaves in ``given`` the loss of a
    part of a minibatch and its gradients, in the order of the trained parameters.

    Where minibatches are shuffled, a worker's parts have many sizes, and each would take a plan, memory and maybe
    compiled code of its own. So a part is filled up to a multiple of some grain, a thirty-second or so of their mean
    size, with copies of its last example, whose own loss and gradient are then subtracted as often.
    """

    taken: Joined
    given: Joined

    def __init__(self, model: Model, run: Mapping[str, Any]) -> None:
        training = training_graph(model.graph, str(model.loss), run["seed"], frozen := set(run["frozen"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataflowWarning)  # the run itself has warned
            trained = trained_parameters(model, training, frozen)
        graph = trained.gradient.graph
        outputs = [trained.gradient.of, *(trained.gradient.cotangents[name] for name in run["trained"])]
        needed = graph.needed_for(outputs)
        self._backend, self._split = registry.backend(run["backend"]), run["split"]
        self._threads, self._grain, self._mean = run["threads"] or 1, run["grain"], run["mean"]
        self._drawn = drawn_nodes(graph, needed)
        self._minibatch = [name for name in [training.minibatch] if name in needed]
        self._inputs = [n for n in graph.names(INPUT) if n in needed and n not in self._minibatch]
        self._nodes = {name: graph.node_of(name) for name in self._drawn}
        self._loss = np.zeros((), graph.spec(trained.gradient.of).dtype)
        self._read, self._written = self._places(model, run)
        arguments = [*self._inputs, *self._drawn, *self._minibatch, *run["read"]]
        self._plans: PlanByShape[None] = PlanByShape(
            graph, outputs, arguments, lambda _: None, memory_limit=run["memory_limit"]
        )
        self._bound: dict[int, _Bound] = {}

    def _places(self, model: Model, run: Mapping[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What a step reads besides examples, and what it writes."""
        self.taken = Joined.like([model.parameters[name] for name in run["read"]])
        self.given = Joined.like([self._loss, *(model.parameters[name] for name in run["trained"])])
        return self.taken.arrays, self.given.arrays

    def __call__(self, data: Mapping[str, np.ndarray], task: Task) -> None:
        [part] = task
        with self._backend.scope(), np.errstate(all="ignore"):
            self._step(data, part)

    def _step(self, data: Mapping[str, np.ndarray], part: Part) -> None:
        count = len(part.rows)
        kept = next((len(data[name]) for name in self._inputs if name in self._split), 0)
        copies = -count % max(1, int(self._grain * kept))
        if not copies:
            self._compute(data, part)
            return
        filled = np.minimum(np.arange(count + copies), count - 1)
        self._compute(data, replace(part, rows=part.rows[filled], places=part.places[filled]))
        whole = [array.copy() for array in self._written]
        self._compute(data, replace(part, rows=part.rows[-1:], places=part.places[-1:]))
        of_all, of_one = ((count + copies) / count, copies / count) if self._mean else (1.0, float(copies))
        for array, summed in zip(self._written, whole, strict=True):
            array *= -of_one
            array += summed * array.dtype.type(of_all)

    def _compute(self, data: Mapping[str, np.ndarray], part: Part) -> None:
        count, first = len(part.rows), int(part.rows[0])
        in_order = int(part.rows[-1]) - first == count - 1 and bool((np.diff(part.rows) == 1).all())
        bound = self._bound.get(count)
        if bound is None or (bound.first is not None and not (in_order and bound.first == first)):
            # the first part of a size is read where it lies, if it can be; where another follows, all are copied
            where = first if bound is None and in_order else None
            bound = self._bound[count] = self._bind(data, count, where)
        for name, place in bound.rows.items():
            if in_order:
                place[...] = data[name][first : first + count]
            else:
                data[name].take(part.rows, axis=0, out=place, mode="clip")  # "raise" would take by way of a copy
        for name, place in bound.drawn.items():
            place[...] = self._random(name, part)
        bound.number[...] = part.number
        bound.step()

    def _bind(self, data: Mapping[str, np.ndarray], count: int, first: int | None) -> _Bound:
        arrays = {name: np.ascontiguousarray(data[name]) for name in self._inputs}
        rows: dict[str, np.ndarray] = {}
        for name in [name for name in self._inputs if name in self._split]:
            if first is None:
                arrays[name] = rows[name] = np.empty((count, *data[name].shape[1:]), data[name].dtype)
            else:
                arrays[name] = arrays[name][first : first + count]
        drawn = {
            name: np.empty((count, *node.attributes["shape"][1:]), node.dtype) for name, node in self._nodes.items()
        }
        number = np.zeros((), np.int64)
        places = [*arrays.values(), *drawn.values(), *(number for _ in self._minibatch), *self._read]
        runner = self._backend.prepare(self._plans.plan(places), self._threads)
        return _Bound(first, rows, drawn, number, runner.bind(places, self._written))

    def _random(self, name: str, part: Part) -> np.ndarray:
        """The part's rows of what is drawn for the whole minibatch, so that it is the same however it is cut."""
        attributes = self._nodes[name].attributes
        shape = (part.size, *attributes["shape"][1:])
        whole = random_uniform(np.array(part.number), **{**attributes, "shape": shape})
        found: np.ndarray = np.asarray(whole)[part.places]
        return found


@dataclass(frozen=True)
class _Bound:
    """A step for parts of one size: places for what belongs to the examples, and the function that computes."""

    first: int | None
    """The first row of the only part that it is for, unless they are copied to ``rows``."""
    rows: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    number: np.ndarray
    step: Callable[[], object]


class LocalSteps(PartGradients):
    """The same for parts of minibatches that follow each other, with an update after each. ``taken`` are all vectors
    that a step changes, the parameters that it does not, the learning rates of a round (NaN where the optimizer keeps
    its own), the number of updates before it and that of its first minibatch; ``given`` are the loss of the last part,
    the number of the minibatch whose update is not finite, or -1, and the vectors."""

    def _places(self, model: Model, run: Mapping[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        settings = resolve(TrainSettings(), {"optimizer": run["optimizer"], "clip": run["clip"]})
        held = [name for name in run["read"] if name not in run["trained"]]
        self._vectors = Vectors(model.parameters, run["trained"], settings.rule.state_names, held)
        self._updates = Updates(self._vectors, settings, 1, lambda: int(self.taken.arrays[-1][0]))
        self._changing = list(self._vectors.changing().values())
        rest = [np.zeros(run["sync_every"]), np.zeros(2, np.int64)]
        self.taken = Joined.like([*self._changing, *self._vectors.held.values(), *rest])
        self.given = Joined.like([self._loss, np.zeros((), np.int64), *self._changing])
        return list(self._vectors.read.values()), [self._loss, *self._vectors.gradient_views.values()]

    def __call__(self, data: Mapping[str, np.ndarray], task: Task) -> None:
        *vectors, rates, (_, first) = self.taken.arrays
        for place, array in zip([*self._changing, *self._vectors.held.values()], vectors, strict=True):
            place[...] = array
        failed = -1
        with self._backend.scope(), np.errstate(all="ignore"):
            for part in task:
                done = part.number - int(first)
                if not np.isnan(rates[done]):
                    self._updates.optimizer.learning_rate = float(rates[done])
                self._step(data, part)
                if self._updates.take(float(self._loss), 0, done) is None:
                    failed = part.number
                    break
        self.given.take([self._loss, np.array(failed), *self._changing])


def drawn_nodes(graph: Any, needed: frozenset[str] | set[str]) -> list[str]:
    """The nodes of random numbers that have a row for each example. A ``TrainingError`` for one that has examples
    elsewhere than as its whole first axis."""
    drawn = []
    for name in graph.schedule():
        if name in needed and graph.node_of(name).kind == OP and graph.op_of(name) is random_uniform:
            sizes = graph.node_of(name).attributes["shape"]
            if any(isinstance(size, Size) for size in sizes[1:]) or (
                sizes and isinstance(sizes[0], Size) and not sizes[0].as_symbol
            ):
                raise TrainingError("random numbers whose examples are not the first axis cannot be shared", node=name)
            if sizes and isinstance(sizes[0], Size):
                drawn.append(name)
    return drawn
