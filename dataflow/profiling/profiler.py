"""``profile``: a model's step taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.cost import Cost
from dataflow.feeding import batch_symbol
from dataflow.graph import Graph
from dataflow.interfaces import Backend, Optimizer, Runner
from dataflow.model import Model
from dataflow.plan import Plan, concrete, stages
from dataflow.profiling.passes import PlanSummary
from dataflow.profiling.result import BACKWARD, FORWARD, RECOMPUTED, UPDATE, Profile, Row, total
from dataflow.profiling.step import Step, arguments, step_of
from dataflow.profiling.timing import Times, measure
from dataflow.profiling.updates import update_cost
from dataflow.profiling.work import Work, work
from dataflow.shapes import TensorSpec, format_shape
from dataflow.training.settings import OptimizerLike, resolve, whole

ROUNDS = 20
Progress = Callable[[int, int], None]


def profile(
    model: Model,
    *,
    data: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    forward: bool = False,
    of: str | None = None,
    wrt: Sequence[str] | str | None = None,
    optimizer: OptimizerLike | None = None,
    backend: str = "numpy",
    threads: int | None = None,
    memory_limit: int | str | None = None,
    run: bool = True,
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> Profile:
    """What one step of training costs: the forward pass, the backward pass and the update. Where the model has no loss
    or no parameters, or with ``forward``, what its outputs cost; with ``wrt``, what the gradient of ``sum(of)`` (of the
    loss unless said) with respect to any inputs, parameters or nodes costs; with ``of`` alone, that node.

    Multiplications, other operations, bytes and memory are known before anything runs; a ``RuleError`` names an op that
    does not say what it costs. With ``run``, the step is then timed, whole and op by op in turn, ``rounds`` times.
    The model's parameters stay as they are.

    ``data`` is that of the model's file unless given, cut to the first ``batch_size`` examples (the file's batch size
    unless given). A model that has no data is profiled for ``batch_size`` examples drawn from a normal distribution.
    ``threads`` and ``memory_limit`` are those of ``Trainer``; what is computed again to stay below the limit is the
    phase "recomputed".
    """
    settings = resolve(
        model.train_settings,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=None,
        shuffle=None,
        seed=None,
        validation=None,
        backend=backend,
        threads=threads,
        memory_limit=memory_limit,
    )
    runs_on = registry.backend(backend)
    step = step_of(model, forward, of, [wrt] if isinstance(wrt, str) else wrt)
    given, sizes = arguments(model, step, data, batch_size, settings.batch_size)
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in given.items()}
    made = stages(step.graph, step.outputs, specs, sizes, settings.memory_limit)
    passes = tuple(PlanSummary(name, plan) for name, plan in made)
    plan = passes[-1].plan
    done = work(plan)
    update = _update_row(settings.optimizer, [given[name] for name in step.trained])
    times = None
    if run:
        vectors = _vectors([given[name] for name in step.trained])
        change = _updater(settings.optimizer, vectors)
        runner = runs_on.prepare(plan, settings.threads)
        times = _timed(runs_on, runner, plan, list(given.values()), change, whole("rounds", rounds, 1), progress)
    rows = list(_rows(done, _phases(model.graph, passes), times))
    if copies := _copies(plan):
        seconds = None if times is None or times.pieces is None else times.pieces.get((len(done), len(done)), 0.0)
        phase = BACKWARD if step.gradients else FORWARD
        rows.append(Row(phase, "", "copy", "", "", Cost(), copies, copies, seconds, 0))
    if step.trained:
        rows.append(replace(update, seconds=None if times is None else times.update))
    symbol = batch_symbol(model.graph)
    return Profile(
        model=model.name,
        backend=backend,
        batch=sizes.get(symbol) if symbol is not None else None,
        rows=tuple(rows),
        memory=_memory(plan, step, given, settings.optimizer),
        passes=passes,
        rounds=0 if times is None else times.rounds,
        step_seconds=None if times is None else times.step,
    )


def _timed(
    backend: Backend,
    runner: Runner,
    plan: Plan,
    given: Sequence[np.ndarray],
    update: Callable[[], object],
    rounds: int,
    progress: Progress | None,
) -> Times:
    outputs = [np.empty(concrete(plan.spec(slot)), plan.spec(slot).dtype) for slot in plan.output_slots]
    contiguous = [np.ascontiguousarray(array).reshape(array.shape) for array in given]
    step, pieces = runner.bind(contiguous, outputs), runner.pieces(contiguous, outputs)
    return measure(step, update, pieces, backend.scope, rounds, progress or (lambda done, of: None))


def _rows(done: Sequence[Work], phases: Sequence[str], times: Times | None) -> Iterator[Row]:
    """A row for each instruction, or for those that the backend runs as one."""
    rows = [_row(one, phase) for one, phase in zip(done, phases, strict=True)]
    if times is None or times.pieces is None:
        yield from rows
        return
    position = 0
    for (start, stop), seconds in sorted(times.pieces.items()):
        if start < stop:
            yield from rows[position:start]
            yield replace(_joined(rows[start:stop]), seconds=seconds)
            position = stop
    yield from rows[position:]


def _row(one: Work, phase: str) -> Row:
    shape, dtype = format_shape(one.result.shape), one.result.dtype.name
    return Row(phase, one.instruction.node, one.instruction.op.name, shape, dtype, one.cost, one.read, one.written)


def _phases(graph: Graph, passes: Sequence[PlanSummary]) -> list[str]:
    """For each instruction of the last plan: forward if it belongs to a node of the model's own graph, and recomputed
    if the plan before had fewer like it."""
    plan = passes[-1].plan
    before = passes[-2].plan if passes[-1].name == "recompute" else plan
    left = Counter((one.node, one.op) for one in before.instructions)
    phases = []
    for one in plan.instructions:
        left[one.node, one.op] -= 1
        forward = FORWARD if left[one.node, one.op] >= 0 else RECOMPUTED
        phases.append(forward if one.node in graph else BACKWARD)
    return phases


def _copies(plan: Plan) -> int:
    """Bytes of the outputs that no instruction makes where they are wanted, and that are copied there: views,
    arguments, constants, and what is an output twice."""
    made = {one.output for one in plan.instructions}
    copied = 0
    for slot in plan.output_slots:
        copied += plan.bytes_of(slot) if slot not in made else 0
        made.discard(slot)
    return copied


def _joined(rows: Sequence[Row]) -> Row:
    """Several rows as one; it belongs to the pass in which it ends."""
    if len(rows) == 1:
        return rows[0]
    ops = list(dict.fromkeys(row.op for row in rows))
    named = f"{', '.join(ops[:3])}{', ...' if len(ops) > 3 else ''}"
    last = rows[-1]
    return replace(total(rows), phase=last.phase, node=last.node, op=named, shape=last.shape, dtype=last.dtype)


def _update_row(optimizer: Optimizer, trained: Sequence[np.ndarray]) -> Row:
    cost, read, written = Cost(), 0, 0
    for vector, _ in _vectors(trained):
        found = update_cost(optimizer, vector.size, vector.itemsize)
        cost, read, written = cost + found[0], read + found[1], written + found[2]
    dtypes = ", ".join(dict.fromkeys(x.dtype.name for x in trained))
    return Row(UPDATE, "parameters", optimizer.name, f"({sum(x.size for x in trained)},)", dtypes, cost, read, written)


def _vectors(trained: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each dtype the parameters side by side, and zeros for their gradients."""
    dtypes = list(dict.fromkeys(x.dtype for x in trained))
    joined = [np.concatenate([x.reshape(-1) for x in trained if x.dtype == dtype]) for dtype in dtypes]
    return [(vector, np.zeros_like(vector)) for vector in joined]


def _updater(optimizer: Optimizer, vectors: Sequence[tuple[np.ndarray, np.ndarray]]) -> Callable[[], object]:
    """An update of copies of the parameters. The gradients are zero, and stay so: others would shrink with each update
    until the processor is slow with them."""
    own = copy(optimizer)
    states = [{name: np.zeros_like(vector) for name in optimizer.state_names} for vector, _ in vectors]

    def update() -> None:
        for (parameters, gradients), state in zip(vectors, states, strict=True):
            own.update(parameters, gradients, state, 1)

    return update


def _memory(plan: Plan, step: Step, given: Mapping[str, np.ndarray], optimizer: Optimizer) -> dict[str, int]:
    """Bytes by kind."""
    trained = sum(given[name].nbytes for name in step.trained)
    count = len(plan.output_slots) - step.gradients
    others, gradients = plan.output_slots[:count], plan.output_slots[count:]
    return {
        "parameters": sum(given[name].nbytes for name in step.parameters),
        "gradients": sum(plan.bytes_of(slot) for slot in gradients),
        "optimizer state": trained * len(optimizer.state_names) if step.trained else 0,
        "inputs": sum(given[name].nbytes for name in step.inputs),
        "constants": sum(value.nbytes for value in plan.constants.values() if isinstance(value, np.ndarray)),
        "outputs": sum(plan.bytes_of(slot) for slot in others),
        "intermediate results": plan.intermediate_bytes,
    }
