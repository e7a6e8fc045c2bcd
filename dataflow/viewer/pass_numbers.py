"""The numbers of a forward and a backward pass: values, cotangents, factors and what each adds to a cotangent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.errors import DataError, DataflowError
from dataflow.execution.forward import kink_warnings, missing_text
from dataflow.execution.inputs import batch_symbol
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.explainer import chain_of
from dataflow.model.model import Model
from dataflow.operations.jacobians import DENSE_LIMIT, Jacobian
from dataflow.viewer.steps import Walk

MOST_EXAMPLES = 16
"""The most examples in a page by default."""
EXAMPLES_LIMIT = 200
WHOLE_BATCH = 64
"""Up to this many examples, the batch as a whole is in the page too."""


@dataclass
class Pass:
    """One pass through the model, for one example or the whole batch."""

    label: str
    example: int | None
    values: dict[str, np.ndarray]
    missing: dict[str, list[str]]
    """For each node that was not computed, the missing inputs."""
    notes: list[str]
    cotangents: dict[str, np.ndarray] = field(default_factory=dict)
    """(entries of ``of``, entries of the node)."""
    factors: dict[Edge, Jacobian] = field(default_factory=dict)
    terms: dict[Edge, np.ndarray] = field(default_factory=dict)
    """What a factor adds to its node's cotangent, where there are several."""
    problem: str = ""
    """Why the backward pass was not computed."""


@dataclass
class Passes:
    """The passes, and what was left out of them."""

    passes: list[Pass]
    examples: int | None = None
    """How many there are in the batch, where it was split into them."""
    notes: list[str] = field(default_factory=list)


def find_passes(
    model: Model, walk: Walk, inputs: Mapping[str, Any] | None, examples: int | None, example: int | None
) -> Passes:
    """A pass for each of the first ``examples`` of the batch and one for the batch as a whole, or for one ``example``
    alone; a single one for a model without a batch, or without data."""
    if example is not None:
        return Passes([_pass(model, walk, model.one_example(inputs, example), f"example {example}", example)])
    count = _batch_size(model, inputs)
    if count is None:
        known = model.feed(inputs)[0].keys() - model.parameters.keys()
        return Passes([_pass(model, walk, inputs, "the given values" if known else "no data", None)])
    if count == 0:
        return Passes([_pass(model, walk, inputs, "a batch of no examples", None)])
    whole = f"all {count} examples together"
    if count > 1 and not _can_be_split(model, inputs):
        return Passes([_pass(model, walk, inputs, whole, None)], notes=["the inputs cannot be split into examples"])
    shown = min(count, MOST_EXAMPLES if examples is None else examples)
    passes = [
        _pass(model, walk, model.one_example(inputs, number), f"example {number}", number) for number in range(shown)
    ]
    if 1 < count <= WHOLE_BATCH:
        passes.append(_pass(model, walk, inputs, whole, None))
    return Passes(passes, count)


def _batch_size(model: Model, inputs: Mapping[str, Any] | None) -> int | None:
    """Count the examples; ``None`` without a batch or without data."""
    batch = batch_symbol(model.graph)
    return model.sizes_of(inputs).get(batch) if batch is not None else None


def _can_be_split(model: Model, inputs: Mapping[str, Any] | None) -> bool:
    try:
        model.one_example(inputs, 0)
    except DataError:
        return False
    return True


def _pass(model: Model, walk: Walk, inputs: Mapping[str, Any] | None, label: str, example: int | None) -> Pass:
    result = model.evaluate(data=inputs)
    numbers = Pass(label, example, result.values, result.not_computed, list(result.warnings))
    if walk.of is None:
        return numbers
    if missing := result.not_computed.get(walk.of):
        numbers.problem = (
            f"'{walk.of}' needs {missing_text(missing)}, which the file does not have; give data with --data FILE"
        )
        return numbers
    try:
        with np.errstate(all="ignore"):
            _backward(numbers, walk, chain_of(model, walk.of, walk.wrt, inputs, visible=walk.visible))
    except DataflowError as error:
        numbers.problem = str(error)
        return numbers
    on_the_way = model.graph.depending_on(walk.wrt)
    touched = [name for name in model.graph.schedule([walk.of]) if name in on_the_way]
    numbers.notes += kink_warnings(model.graph, touched, numbers.values)
    return numbers


def _backward(numbers: Pass, walk: Walk, chain: Chain) -> None:
    """Multiply each factor from the left by the cotangent of its node, and add the product to the next cotangent."""
    assert walk.of is not None, "there is a backward pass"
    rows = chain.values[walk.of].size
    largest = max(chain.values[name].size for name in walk.cotangents)
    if rows > 1 and 8 * rows * largest > DENSE_LIMIT:
        raise DataError(f"'{walk.of}' has {rows:,} entries, too many to carry back; take one example (--example)")
    several = {name for name in walk.cotangents if sum(edge[1] == name for edge in walk.factors) > 1}
    numbers.cotangents[walk.of] = np.eye(rows)
    for edge in walk.factors:
        of, source, _ = edge
        factor = chain.factor(*edge).jacobian
        term = factor.left(numbers.cotangents[of])
        numbers.factors[edge] = factor
        if source in several:
            numbers.terms[edge] = term
        before = numbers.cotangents.get(source)
        numbers.cotangents[source] = term if before is None else before + term
