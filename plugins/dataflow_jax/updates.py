"""An optimizer's own rule, traced: its text, which changes vectors of numpy in place, runs on stand-ins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import jax.numpy as jnp
import numpy as np

from dataflow.backends.optimizer import Optimizer
from dataflow_jax.table.entries import has_ufunc


class _Asked(dict[str, np.ndarray]):
    """State that knows which of it was asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__({name: np.ones(1) for name in names})
        self.names: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        self.names.append(name)
        return super().__getitem__(name)


def used_vectors(optimizer: Optimizer) -> list[str]:
    """Which vectors of its state the rule uses, as its settings are: without momentum, no velocity. It is tried on one
    number."""
    asked = _Asked(optimizer.state_names)
    copy(optimizer).update(np.ones(1), np.ones(1), asked, 1)
    return [name for name in optimizer.state_names if name in asked.names]


class Vector(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for a vector of numpy, or with no axis for a plain number, while a rule is traced. What the rule does in
    place changes which array of JAX it holds."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.value.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__" or options or not has_ufunc(ufunc):
            return NotImplemented
        values = [one.value if isinstance(one, Vector) else one for one in inputs]
        dtype = next((value.dtype for value in values if getattr(value, "ndim", 0)), None)
        if dtype is not None:  # a number takes the dtype of the vector beside it
            values = [jnp.asarray(value, dtype) if np.ndim(value) == 0 else value for value in values]
        result = getattr(jnp, ufunc.__name__)(*values)
        if out is None:
            return Vector(result)
        out[0].value = result.astype(out[0].dtype)
        return out[0]

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is not Ellipsis:
            raise TypeError("a traced rule changes whole vectors alone")
        given = value.value if isinstance(value, Vector) else value
        self.value = jnp.broadcast_to(jnp.asarray(given, self.dtype), self.shape)


def updated(
    optimizer: Optimizer, parameters: Any, gradients: Any, state: Mapping[str, Any], step: Any, rate: Any
) -> tuple[Any, dict[str, Any]]:
    """The parameters and the state, of any shape, after one update, the one of number ``step`` from 1."""
    rule = copy(optimizer)
    rule.learning_rate = Vector(rate)  # type: ignore[assignment]
    shape = parameters.shape
    vector = Vector(parameters.reshape(-1))
    kept = {name: Vector(array.reshape(-1)) for name, array in state.items()}
    rule.update(vector, Vector(gradients.reshape(-1)), kept, Vector(step))  # type: ignore[arg-type]
    return vector.value.reshape(shape), {name: one.value.reshape(shape) for name, one in kept.items()}
