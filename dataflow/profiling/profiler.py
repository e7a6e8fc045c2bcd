"""``profile``: a model's step taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from dataflow.backends.interface import Backend, Runner
from dataflow.backends.optimizer import Optimizer
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.graph import Graph
from dataflow.limits import spend
from dataflow.model.model import Model
from dataflow.operations.operation_cost import Cost
from dataflow.plan import Plan, concrete, stages
from dataflow.plan.run_work import steps_of
from dataflow.profiling.cut_step import cut_step
from dataflow.profiling.plan_listing import PlanSummary
from dataflow.profiling.result import Profile
from dataflow.profiling.roofline import Peaks, measure_peaks
from dataflow.profiling.step import Step, arguments, step_of
from dataflow.profiling.step_costs import BACKWARD, FORWARD, RECOMPUTED, UPDATE, Row, total
from dataflow.profiling.timing import Times, measure
from dataflow.profiling.update_cost import update_cost
from dataflow.profiling.work import Work, work
from dataflow.shapes import TensorSpec, format_shape
from dataflow.support.arguments import checked
from dataflow.support.conversion import whole
from dataflow.training.settings import OptimizerLike, resolve

ROUNDS = 20
Progress = Callable[[int, int], None]


@checked
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
    roofline: bool = False,
    cut: int | None = None,
    progress: Progress | None = None,
) -> Profile:
    """What one step of training costs: the forward pass, the backward pass and the update. Where the model has no loss
    or no parameters, or with ``forward``, what its outputs cost; with ``wrt``, what the gradient of ``sum(of)`` (by
    default of the loss) with respect to any inputs, parameters or nodes costs; with ``of`` alone, that node.

    Multiplications, other operations, bytes and memory are known before anything runs; a ``RuleError`` names an op that
    does not say what it costs. With ``run``, the step is then timed, whole and op by op in turn, ``rounds`` times.
    The model's parameters stay as they are.

    ``data`` is by default that of the model's file, cut to the first ``batch_size`` examples (by default the file's
    batch size). A model that has no data is profiled for ``batch_size`` examples drawn from a normal distribution.
    ``threads`` and ``memory_limit`` are those of ``Trainer``; what is computed again to stay below the limit is the
    phase "recomputed". With ``roofline``, the machine's peaks are measured, too, and each row says what limits it and
    the seconds that it needs at the least (``Profile.peaks``). ``cut`` is into how many parts the graph is cut for a
    pipeline (``Profile.cut``)."""
    chosen = {"batch_size": batch_size, "optimizer": optimizer, "backend": backend}
    chosen |= {"threads": threads, "memory_limit": memory_limit}
    given = {name: value for name, value in chosen.items() if value is not None}
    settings = resolve(model.train_settings, given)
    step = step_of(model, forward, of, [wrt] if isinstance(wrt, str) else wrt)
    inputs, sizes = arguments(model, step, data, batch_size, settings.batch_size)
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in inputs.items()}
    made = stages(step.graph, step.outputs, specs, sizes, settings.memory_limit)
    passes = tuple(PlanSummary(name, plan) for name, plan in made)
    plan = passes[-1].plan
    done = work(plan)
    update = _update_row(settings.rule, [inputs[name] for name in step.trained])
    times = None
    if run:
        vectors = _vectors([inputs[name] for name in step.trained])
        change = _updater(settings.rule, vectors)
        count = whole("rounds", rounds, 1)
        spend(2 * steps_of(plan) * count, step.outputs[0] if step.outputs else "")
        runner = settings.runs_on.prepare(plan, settings.threads)
        times = _time(settings.runs_on, runner, plan, list(inputs.values()), change, count, progress)
    base = model.graph if step.training is None else step.training.graph
    phases = _phases(base, passes)
    rows = list(_rows(done, phases, times))
    if copies := _copies(plan):
        seconds = None if times is None or times.pieces is None else times.pieces.get((len(done), len(done)), 0.0)
        phase = BACKWARD if step.gradients else FORWARD
        rows.append(Row(phase, "", "copy", "", "", Cost(), copies, copies, seconds, 0))
    if step.trained:
        rows.append(replace(update, seconds=None if times is None else times.update))
    peaks = None
    if roofline:
        dtypes = [row.dtype for row in rows]
        peaks = measure_peaks(dtypes, settings.threads, settings.runs_on.scope)
        rows = [_limited(row, peaks) for row in rows]
    parts = None
    if cut is not None:  # of single instructions: a backend may run several as one
        single = [*_rows(done, phases, None), *([update] if step.trained else [])]
        parts = cut_step(base, step, single, sizes, cut)
    symbol = batch_symbol(model.graph)
    return Profile(
        model=model.name,
        backend=settings.backend,
        batch=sizes.get(symbol) if symbol is not None else None,
        rows=tuple(rows),
        memory=_memory(plan, step, inputs, settings.rule),
        passes=passes,
        rounds=0 if times is None else times.rounds,
        step_seconds=None if times is None else times.step,
        cut=parts,
        peaks=peaks,
    )


def _time(
    backend: Backend,
    runner: Runner,
    plan: Plan,
    arrays: Sequence[np.ndarray],
    update: Callable[[], object],
    rounds: int,
    progress: Progress | None,
) -> Times:
    outputs = [np.empty(concrete(plan.spec(slot)), plan.spec(slot).dtype) for slot in plan.output_slots]
    contiguous = [np.ascontiguousarray(array).reshape(array.shape) for array in arrays]
    step, pieces = runner.bind(contiguous, outputs), runner.pieces(contiguous, outputs)
    return measure(step, update, pieces, backend.scope, rounds, progress or (lambda done, of: None))


def _rows(done: Sequence[Work], phases: Sequence[str], times: Times | None) -> Iterator[Row]:
    """Make a row for each instruction, or for those that the backend runs as one."""
    rows = [_row(item, phase) for item, phase in zip(done, phases, strict=True)]
    if times is None or times.pieces is None:
        yield from rows
        return
    position = 0
    for (start, stop), seconds in sorted(times.pieces.items()):
        if start < stop:
            yield from rows[position:start]
            yield replace(_join(rows[start:stop]), seconds=seconds)
            position = stop
    yield from rows[position:]


def _row(item: Work, phase: str) -> Row:
    shape, dtype = format_shape(item.result.shape), item.result.dtype.name
    return Row(phase, item.instruction.node, item.instruction.op.name, shape, dtype, item.cost, item.read, item.written)


def _limited(row: Row, peaks: Peaks) -> Row:
    limited, least = peaks.limit(row.cost.operations, row.read + row.written, row.dtype)
    return replace(row, limited=limited, least=least)


def _phases(graph: Graph, passes: Sequence[PlanSummary]) -> list[str]:
    """For each instruction of the last plan: forward if it belongs to a node of the model's own graph, and recomputed
    if the plan before had fewer like it."""
    plan = passes[-1].plan
    before = passes[-2].plan if passes[-1].name == "recompute" else plan
    left = Counter((instruction.node, instruction.op) for instruction in before.instructions)
    phases = []
    for instruction in plan.instructions:
        left[instruction.node, instruction.op] -= 1
        forward = FORWARD if left[instruction.node, instruction.op] >= 0 else RECOMPUTED
        phases.append(forward if instruction.node in graph else BACKWARD)
    return phases


def _copies(plan: Plan) -> int:
    """Bytes of the outputs that are copied to their place because no instruction makes them there: views, arguments,
    constants, and what is an output twice."""
    made = {instruction.output for instruction in plan.instructions}
    copied = 0
    for slot in plan.output_slots:
        copied += plan.bytes_of(slot) if slot not in made else 0
        made.discard(slot)
    return copied


def _join(rows: Sequence[Row]) -> Row:
    """Join several rows to one, which belongs to the pass in which it ends."""
    if len(rows) == 1:
        return rows[0]
    ops = list(dict.fromkeys(row.op for row in rows))
    named = f"{', '.join(ops[:3])}{', ...' if len(ops) > 3 else ''}"
    last = rows[-1]
    return replace(total(rows), phase=last.phase, node=last.node, op=named, shape=last.shape, dtype=last.dtype)


def _update_row(optimizer: Optimizer, trained: Sequence[np.ndarray]) -> Row:
    cost, read, written = Cost(), 0, 0
    for vector, _ in _vectors(trained):
        update = update_cost(optimizer, vector.size, vector.itemsize)
        cost, read, written = cost + update[0], read + update[1], written + update[2]
    dtypes = ", ".join(dict.fromkeys(x.dtype.name for x in trained))
    return Row(UPDATE, "parameters", optimizer.name, f"({sum(x.size for x in trained)},)", dtypes, cost, read, written)


def _vectors(trained: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Put the parameters of each dtype side by side, with zeros for their gradients."""
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


def _memory(plan: Plan, step: Step, inputs: Mapping[str, np.ndarray], optimizer: Optimizer) -> dict[str, int]:
    """Count bytes by kind."""
    trained = sum(inputs[name].nbytes for name in step.trained)
    count = len(plan.output_slots) - step.gradients
    others, gradients = plan.output_slots[:count], plan.output_slots[count:]
    return {
        "parameters": sum(inputs[name].nbytes for name in step.parameters),
        "gradients": sum(plan.bytes_of(slot) for slot in gradients),
        "optimizer state": trained * len(optimizer.state_names) if step.trained else 0,
        "inputs": sum(inputs[name].nbytes for name in step.inputs),
        "constants": sum(value.nbytes for value in plan.constants.values() if isinstance(value, np.ndarray)),
        "outputs": sum(plan.bytes_of(slot) for slot in others),
        "intermediate results": plan.intermediate_bytes,
    }
