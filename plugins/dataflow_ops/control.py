"""Control flow: ops whose attributes are graphs. Their derivatives are ops of the same kind, on gradients of these."""

from __future__ import annotations

import numpy as np

from dataflow import OpError, ShapeError, format_shape, op, primitive, sample
from dataflow.autodiff.subgraph_gradient import floats_of, gradient_of
from dataflow.errors import counted
from dataflow.execution.run_subgraph import SubgraphRun, as_arrays
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.limits import hold, spend
from dataflow.operations.engine_ops import index, stack, where
from dataflow.operations.operands import specs_of
from dataflow.shapes import TensorSpec, made_size
from dataflow_ops.control_parts import (
    INDEX,
    arrays_of,
    body_cost,
    check_single,
    is_true,
    joined_spec,
    name_of_steps,
    nothing_collected,
    placed,
    recording_of,
    specs_with_literals,
    stacked,
    step_back,
    step_specs,
)

# ------------------------------------------------------------------------------------------------ if


@primitive(name="if", outputs=lambda then: then.outputs, hides_nan=True)
def if_(*inputs, then: Subgraph, orelse: Subgraph):
    """What the graph ``then`` gives where the first input, a single boolean, is true, else what ``orelse`` gives. Both
    take all other inputs and give as many outputs, of the same dtypes and numbers of axes.

    Only the branch that is taken is computed, and its derivative is the op's.
    """
    condition, *arguments = arrays_of(inputs)
    return SubgraphRun(then if is_true("if", condition) else orelse)(arguments)


@if_.shape
def _(*specs, then, orelse):
    check_single("if", "condition", specs[0], "bool")
    results, others = then.on(specs[1:]).specs, orelse.on(specs[1:]).specs
    if len(results) != len(others):
        raise OpError(f"if: '{then.name}' has {counted(len(results), 'output')}, and '{orelse.name}' has {len(others)}")
    pairs = zip(then.outputs, results, others, strict=True)
    return tuple([joined_spec("if", f"'{name}'", a, b, f"in '{orelse.name}'") for name, a, b in pairs])


@if_.cost(exact=False)
def _(y, *specs, then, orelse):
    return max((body_cost(branch, specs[1:]) for branch in (then, orelse)), key=lambda cost: cost.operations)


@if_.vjp
def _(g, y, *inputs, then, orelse):
    condition, *arguments = inputs
    seeds = [share for share in g if share is not None]
    specs = specs_with_literals(arguments)
    floats = floats_of(specs)
    shares = []
    if seeds and floats and isinstance(condition, Value):
        branches = {"then": gradient_of(then, specs), "orelse": gradient_of(orelse, specs)}
        shares = [*if_(condition, *arguments, *seeds, **branches)]
    elif seeds and floats:
        branch = then if is_true("if", condition) else orelse
        shares = SubgraphRun(gradient_of(branch, specs))([*as_arrays(arguments, [s.dtype for s in specs]), *seeds])
    return placed([None, *arguments], [1 + i for i in floats], shares)


# ------------------------------------------------------------------------------------------------ loop


@primitive(outputs=lambda body: body.outputs[1:], hides_nan=True)
def loop(*inputs, body: Subgraph, states: int = 1):
    """Calls ``body`` again and again. The inputs are the most steps that there may be, whether to begin, ``states``
    arrays that change from step to step, and what is the same in each step.

    ``body`` takes the number of the step, from 0, the states and the rest, and gives whether to go on, the new states,
    and whatever else is collected: the outputs of the op are the last states, and what was collected, along a first
    axis. How long that is depends on values, as the number of steps does.
    """
    limit, condition, *arguments = arrays_of(inputs)
    carried, rest = arguments[:states], arguments[states:]
    run, step, held, goes_on = SubgraphRun(body), 0, 0, is_true("loop", condition)
    collected = [[] for _ in body.outputs[1 + states :]]
    while goes_on and step < limit:
        spend(3, body.name)
        condition, *results = run([np.asarray(step), *carried, *rest])
        carried, goes_on, step = results[:states], is_true("loop", condition), step + 1
        for entries, entry in zip(collected, results[states:], strict=True):
            hold(entry.nbytes, body.name)
            held += entry.nbytes
            entries.append(entry)
    hold(-held, "")
    if step:
        return [*carried, *(stacked(entries) for entries in collected)]
    specs = body.on(specs_of([np.asarray(0), *carried, *rest])).specs
    return [*carried, *(nothing_collected(spec) for spec in specs[1 + states :])]


@loop.shape
def _(*specs, body, states):
    if not 0 <= states <= len(specs) - 2 or states + 1 > len(body.outputs):
        raise OpError(
            f"loop takes the most steps, whether to begin, {states} states and the rest, and a graph that gives "
            f"whether to go on and then the states; there are {counted(len(specs), 'input')} and "
            f"{counted(len(body.outputs), 'output')}"
        )
    check_single("loop", "number of steps", specs[0])
    check_single("loop", "condition", specs[1], "bool")
    carried, rest = list(specs[2 : 2 + states]), specs[2 + states :]
    while True:
        condition, *results = body.on([INDEX, *carried, *rest]).specs
        check_single("loop", "graph's first output", condition, "bool")
        pairs = zip(body.outputs[1:], carried, results, strict=False)
        joined = [joined_spec("loop", f"state '{name}'", a, b, "after a step") for name, a, b in pairs]
        if joined == carried:
            break
        carried = joined
    steps = made_size(name_of_steps(body, states))
    return (*carried, *(TensorSpec((steps, *spec.shape), spec.dtype) for spec in results[states:]))


@loop.cost(exact=False)
def _(y, *specs, body):
    return body_cost(body, [INDEX, *specs[2:]])  # of one step: how many there are, nobody knows


@loop.vjp
def _(g, y, *inputs, body, states):
    limit, condition, *arguments = inputs
    specs = (INDEX, *specs_with_literals(arguments))
    recording = recording_of(body, ("index",) + ("state",) * states)
    recorded = loop(limit, condition, *arguments, body=recording, states=states)
    shares = _backward(g, list(recorded)[len(body.outputs) - 1 :], arguments, specs, body, states, 0, True)
    return [None, None, *shares]


# ------------------------------------------------------------------------------------------------ scan


@op(outputs=lambda body: body.outputs)
def scan(*inputs, body: Subgraph, states: int = 1, sequences: int = 1, reverse: bool = False):
    """Calls ``body`` once for each entry along the first axis of ``sequences`` arrays, which stand behind ``states``
    first states and before what is the same in each step.

    ``body`` takes the states, an entry of each sequence and the rest, and gives the new states and whatever else is
    collected: the outputs of the op are the last states, and what was collected, along a first axis. ``reverse`` begins
    with the last entries, and collects in their places.
    """
    carried, rows, rest = list(inputs[:states]), inputs[states : states + sequences], inputs[states + sequences :]
    steps = rows[0].shape[0]
    if not any(isinstance(argument, Value) for argument in inputs):
        carried, *others = arrays_of(inputs, states)
        return _scanned(body, carried, others[:sequences], others[sequences:], range(steps), reverse)
    if not isinstance(steps, int):
        raise ShapeError(f"scan goes through an axis of the size {steps}; to be taken apart it has to be a number")
    collected = [[] for _ in body.outputs[states:]]
    for t in reversed(range(steps)) if reverse else range(steps):
        results = body(*carried, *(index(row, key=f"{t}") for row in rows), *rest)
        carried = results[:states]
        for entries, entry in zip(collected, results[states:], strict=True):
            entries.append(entry)
    if not steps:
        specs = body.on(step_specs(specs_with_literals(inputs), states, sequences)).specs
        return [*carried, *(nothing_collected(spec) for spec in specs[states:])]
    return [*carried, *(stack(*(entries[::-1] if reverse else entries)) for entries in collected)]


def _scanned(body, carried, rows, rest, steps, reverse):
    """``scan`` on arrays."""
    run, held = SubgraphRun(body), 0
    collected = [[] for _ in body.outputs[len(carried) :]]
    for t in reversed(steps) if reverse else steps:
        spend(3, body.name)
        results = run([*carried, *(row[t] for row in rows), *rest])
        for entries, entry in zip(collected, results[len(carried) :], strict=True):
            hold(entry.nbytes, body.name)
            held += entry.nbytes
            entries.append(entry)
        carried = results[: len(carried)]
    hold(-held, "")
    if collected and not steps:
        specs = body.on(specs_of([*carried, *(np.empty(row.shape[1:], row.dtype) for row in rows), *rest])).specs
        return [*carried, *(nothing_collected(spec) for spec in specs[len(carried) :])]
    return [*carried, *(stacked(entries[::-1] if reverse else entries) for entries in collected)]


@scan.shape
def _(*specs, body, states, sequences):
    if states < 0 or sequences < 1 or states + sequences > len(specs) or states > len(body.outputs):
        raise OpError(
            f"scan takes {states} states, {sequences} sequences, of which there is one at least, and the rest, and a "
            f"graph that gives the states first; there are {counted(len(specs), 'input')} and "
            f"{counted(len(body.outputs), 'output')}"
        )
    rows = specs[states : states + sequences]
    if any(not row.shape or row.shape[0] != rows[0].shape[0] for row in rows):
        shapes = ", ".join(format_shape(row.shape) for row in rows)
        raise ShapeError(f"scan takes sequences with one number of entries along the first axis, not {shapes}")
    results = body.on(step_specs(specs, states, sequences)).specs
    for name, before, after in zip(body.outputs, specs, results[:states], strict=False):
        if before != after:
            raise ShapeError(f"scan: state '{name}' is {before} first, and {after} after a step")
    return (
        *results[:states],
        *(TensorSpec((rows[0].shape[0], *spec.shape), spec.dtype) for spec in results[states:]),
    )


@scan.vjp
def _(g, y, *inputs, body, states, sequences, reverse):
    recording = recording_of(body, ("state",) * states)
    options = {"states": states, "sequences": sequences, "reverse": reverse}
    recorded = scan(*inputs, body=recording, **options)
    specs = step_specs(specs_with_literals(inputs), states, sequences)
    return _backward(g, list(recorded)[len(body.outputs) :], inputs, specs, body, states, sequences, not reverse)


# ------------------------------------------------------------------------------------------------ derivatives


def _backward(g, recorded, arguments, specs, body, states, sequences, reverse):
    """The cotangents of the states, sequences and the rest of a loop, by a scan through its steps in the other
    direction. ``recorded`` are the first inputs of each step, ``specs`` all inputs of one."""
    first = len(specs) - len(arguments)
    results = body.on(specs).specs[first:]
    live, moving, same = (
        [i for i in positions if specs[first + i].is_float]
        for positions in (
            range(states),
            range(states, states + sequences),
            range(states + sequences, len(arguments)),
        )
    )
    if not [*live, *moving, *same]:
        return [None] * len(arguments)
    if any(specs[first + i] != results[i] for i in range(states)):
        raise ShapeError(f"the states of '{body.name}' change their shapes from step to step; it has no derivative")
    shares = list(g)
    totals = [shares[i] if i in live else where(False, arguments[i], 0) for i in [*live, *same]]
    seeds = [shares[i] for i in floats_of(results) if i >= states]
    rows = [*recorded, *arguments[states : states + sequences], *seeds]
    rest = arguments[states + sequences :]
    options = {"states": len(totals), "sequences": len(rows), "reverse": reverse}
    given = step_specs(specs_with_literals([*totals, *rows, *rest]), len(totals), len(rows))
    back = step_back(body, specs, given, len(live), len(same), len(moving), len(recorded) + sequences)
    results = scan(*totals, *rows, *rest, body=back, **options)
    return placed(arguments, [*live, *same, *moving], list(results))


# ------------------------------------------------------------------------------------------------ samples


def _spec(*shape, dtype="float64"):
    return TensorSpec(shape, np.dtype(dtype))


@if_.samples
def _(rng):
    specs = {"x": _spec(2), "y": _spec(2)}
    then = Subgraph.traced(lambda x, y: [x * x * y], specs, ["z"], "product")
    orelse = Subgraph.traced(lambda x, y: [x - y], specs, ["z"], "difference")
    yield sample(np.array(True), rng.normal(size=2), rng.normal(size=2), then=then, orelse=orelse)
    yield sample(np.array(False), rng.normal(size=2), rng.normal(size=2), then=then, orelse=orelse)


@loop.samples
def _(rng):
    specs = {"i": INDEX, "h": _spec(1), "a": _spec(1)}
    body = Subgraph.traced(lambda i, h, a: [i < 9, h * a + h * h, h * a], specs, ["more", "h", "products"], "step")
    yield sample(np.array(2), np.array(True), rng.normal(size=1), rng.normal(size=1), body=body)


@scan.samples
def _(rng):
    specs = {"h": _spec(1), "x": _spec(1), "a": _spec(1)}
    body = Subgraph.traced(lambda h, x, a: [h * a + x, h * x], specs, ["h", "y"], "step")
    arrays = [rng.normal(size=1), rng.normal(size=(2, 1)), rng.normal(size=1)]
    yield sample(*arrays, body=body)
    each = Subgraph.traced(lambda x, a: [x * a], {"x": _spec(1), "a": _spec(1)}, ["y"], "each")
    yield sample(*arrays[1:], body=each, states=0, reverse=True)
