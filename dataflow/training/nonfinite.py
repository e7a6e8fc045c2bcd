"""Where NaN or infinity came from: the first node of a minibatch's forward pass, else of its backward pass, to have
it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dataflow.errors import NonFiniteError
from dataflow.graph import INPUT, PARAMETER
from dataflow.model import Model


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
                kind, found = model.graph.nodes[name]["kind"], _described(values[name])
                if kind == INPUT and not what:
                    return NonFiniteError(f"{place}: the data of input '{name}' has {found}; clean it", node=name)
                if kind == PARAMETER and not what:
                    return parameter_error(place, name, values[name])
                op = model.graph.nodes[name].get("op", kind)
                return NonFiniteError(f"{place}: {what}node '{name}' ({op}) has {found}; {kept}{smaller}", node=name)
    message = f"{place}: the update leads to NaN or infinity; {kept}{smaller}"
    return NonFiniteError(message, node=loss)


def parameter_error(place: str, name: str, value: np.ndarray) -> NonFiniteError:
    """The error for a parameter that is not finite."""
    return NonFiniteError(f"{place}: parameter '{name}' has {_described(value)}; set it anew", node=name)


def _described(value: np.ndarray) -> str:
    places = np.argwhere(~np.isfinite(value))
    first = tuple(int(i) for i in places[0])
    return f"{float(value[first])}" + (f" at {list(first)}" if first else "")
