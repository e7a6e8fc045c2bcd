"""Where NaN or infinity came from: the first node of a minibatch's forward pass, else of its backward pass, to have
it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dataflow.errors import NonFiniteError
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, PARAMETER
from dataflow.model.model import Model


def non_finite_error(
    model: Model, trained: Iterable[str], batch: Mapping[str, np.ndarray], place: str, kept: str, learning_rate: object
) -> NonFiniteError:
    """The error for a minibatch whose loss, gradient or update is not finite. The model's parameters are those that the
    minibatch was run with."""
    smaller = ""
    if isinstance(learning_rate, int | float) and learning_rate > 0:
        smaller = f"; try a smaller learning rate, such as {learning_rate / 10:g}"
    loss = str(model.loss)
    result = model.evaluate(of=loss, wrt=list(trained), data=batch)
    order = model.graph.schedule([loss])
    tables = ((order, result.values, ""), (list(reversed(order)), result.cotangents, "the gradient with respect to "))
    for names, values, what in tables:
        for name in names:
            if name in values and not np.isfinite(values[name]).all():
                kind, found = model.graph.node_of(name).kind, _described(values[name])
                if kind == INPUT and not what:
                    return NonFiniteError(f"{place}: the data of input '{name}' has {found}; clean it", node=name)
                if kind == PARAMETER and not what:
                    return parameter_error(place, name, values[name])
                op = model.graph.node_of(name).op or kind
                hidden = np.isfinite(result.values[loss]).all() and (not what or np.isnan(values[name]).any())
                advice = _not_taken(model.graph, name, loss) if hidden else None
                advice = f"; {advice}" if advice else smaller
                return NonFiniteError(f"{place}: {what}node '{name}' ({op}) has {found}; {kept}{advice}", node=name)
    message = f"{place}: the update leads to NaN or infinity; {kept}{smaller}"
    return NonFiniteError(message, node=loss)


def _not_taken(graph: Graph, name: str, loss: str) -> str | None:
    """What to say where a choice lies between a node that is not finite and the loss, which is: the branch not taken
    gets the gradient 0, and 0 times an infinite derivative is NaN."""
    between = (graph.needed_for([loss]) & graph.depending_on([name])) - {name}
    for one in graph.schedule([loss]):
        if one in between and (op := graph.op_of(one)).chooses:
            return (
                f"it is in a branch that '{one}' ({op.name}) does not take, where 0 times an infinite derivative "
                f"is NaN; choose inside the branch, too: where(c, f(where(c, x, 1)), y)"
            )
    return None


def parameter_error(place: str, name: str, value: np.ndarray) -> NonFiniteError:
    """The error for a parameter that is not finite."""
    return NonFiniteError(f"{place}: parameter '{name}' has {_described(value)}; set it anew", node=name)


def _described(value: np.ndarray) -> str:
    places = np.argwhere(~np.isfinite(value))
    first = tuple(int(i) for i in places[0])
    return f"{float(value[first])}" + (f" at {list(first)}" if first else "")
