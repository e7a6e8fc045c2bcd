"""What the ops of control flow share: specs and arrays of their inputs, what their graphs cost, and the graphs of their
derivatives."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dataflow import Cost, DtypeError, ShapeError, format_shape
from dataflow.autodiff.subgraph_gradient import gradient_of
from dataflow.execution.run_subgraph import as_arrays
from dataflow.graph.cost import cost_of
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.operations.operands import literals_of, specs_of, with_literals
from dataflow.shapes import TensorSpec, made_names, made_size

# ------------------------------------------------------------------------------------------------ inputs

INDEX = TensorSpec((), np.dtype("int64"))


def specs_with_literals(arguments):
    """The specs of arrays or values; a plain number has the dtype that it takes beside them."""
    values = [x.spec if isinstance(x, Value) else specs_of([x])[0] for x in arguments]
    literals = literals_of(arguments)
    return tuple(with_literals([None if i in literals else spec for i, spec in enumerate(values)], literals))


def arrays_of(inputs, states=None):
    """The inputs as arrays; with ``states``, a list of the first ones and then the others."""
    arrays = as_arrays(inputs, [spec.dtype for spec in specs_with_literals(inputs)])
    if any(array.dtype == object for array in arrays):
        raise TypeError("a graph in an attribute is run on numbers")
    return arrays if states is None else [arrays[:states], *arrays[states:]]


def is_true(name, condition):
    """The condition of an op as a bool."""
    array = np.asarray(condition)
    if array.size != 1:
        raise ShapeError(f"the condition of {name} is a single boolean, not of the shape {format_shape(array.shape)}")
    return bool(array.reshape(())[()])


def check_single(name, what, spec, dtype=None):
    """Refuse an input of an op that has several entries, or another dtype."""
    if spec.dtype.name != (dtype or spec.dtype.name):
        raise DtypeError(f"{name} takes a single {dtype} as its {what}, not {spec.dtype}")
    if any(size != 1 and not made_names([size]) for size in spec.shape):
        raise ShapeError(f"{name}: the {what} is a single entry, not of the shape {format_shape(spec.shape)}")


def joined_spec(name, what, a, b, where_b):
    """What holds for both of two specs: sizes that differ depend on values."""
    if a.dtype != b.dtype:
        raise DtypeError(f"{name}: {what} is {a.dtype}, and {where_b} {b.dtype}")
    if len(a.shape) != len(b.shape):
        raise ShapeError(f"{name}: {what} is {format_shape(a.shape)}, and {where_b} {format_shape(b.shape)}")
    sizes = []
    for axis, (left, right) in enumerate(zip(a.shape, b.shape, strict=True)):
        own = made_size(f"{what}_{axis}")
        sizes.append(left if left in (right, own) else own)
    return TensorSpec(tuple(sizes), a.dtype)


def body_cost(body, specs):
    """What one run of a graph costs."""
    placed, total = body.on(specs), Cost()
    for name in placed.order:
        node = placed.graph.node_of(name)
        if node.op:
            arguments = placed.graph.arguments(name)
            numbers = literals_of(arguments)
            known = [placed.graph.spec(x) if isinstance(x, str) else None for x in arguments]
            call = placed.graph.op_of(name), with_literals(known, numbers), node.attributes, numbers
            total += cost_of(*call)
    return total


def stacked(entries):
    """What is collected, along a first axis."""
    if any(entry.shape != entries[0].shape for entry in entries):
        raise ShapeError("what is collected has one shape in all steps; here it changes from step to step")
    return np.stack(entries)


def nothing_collected(spec):
    """What is collected where there is no step."""
    return np.zeros((0, *(0 if not isinstance(size, int) else size for size in spec.shape)), spec.dtype)


def step_specs(specs, states, sequences):
    """What the body of a scan is called on."""
    rows = [TensorSpec(spec.shape[1:], spec.dtype) for spec in specs[states : states + sequences]]
    return (*specs[:states], *rows, *specs[states + sequences :])


# ------------------------------------------------------------------------------------------------ graphs


@lru_cache(maxsize=512)
def name_of_steps(body, states):
    """What decides how many steps there are: so that what else a body gives does not."""
    return f"steps_{body.first(1 + states).digest}"


@lru_cache(maxsize=512)
def recording_of(body, kept):
    """The body that also gives its first inputs, as many as there are names, to be collected."""
    outputs = dict(zip(body.outputs, body.nodes, strict=True))
    for i, (what, node) in enumerate(zip(kept, body.inputs, strict=False)):
        name = f"{what}_{i}"
        while name in outputs:
            name += "_"
        outputs[name] = node
    return Subgraph(body.graph, body.inputs, outputs, name=f"{body.name}_recording")


@lru_cache(maxsize=512)
def step_back(body, specs, given, live, same, moving, changing):
    """One step of the scan back, on inputs that are ``given``: cotangents of the states that are float and of the rest
    that is, as far as they are added up; the inputs of the body that change from step to step, and cotangents of what
    it collects; what is the same in each step."""
    pull = gradient_of(body, specs)

    def step(*values):
        states, sums, values = values[:live], values[live : live + same], values[live + same :]
        behind = len(values) - (len(specs) - changing)
        pulled = pull(*values[:changing], *values[behind:], *states, *values[changing:behind])
        by_rest = pulled[live + moving :]
        return [*pulled[:live], *(a + b for a, b in zip(sums, by_rest, strict=True)), *pulled[live : live + moving]]

    named = {f"x{i}": spec for i, spec in enumerate(given)}
    outputs = [f"d{i}" for i in range(live + same + moving)]
    return Subgraph.traced(step, named, outputs, f"{body.name}_backward")


def placed(arguments, positions, shares):
    """A list with the shares in their places, and ``None`` elsewhere."""
    found = dict(zip(positions, shares, strict=False))
    return [found.get(i) for i in range(len(arguments))]
