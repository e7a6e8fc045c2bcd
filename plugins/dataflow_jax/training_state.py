"""What a minibatch reads and changes, where it lies in the trainer's vectors, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow.support.arrays import address
from dataflow_jax.trace_plan import TracedPlan


class Piece(NamedTuple):
    """Where a parameter lies: in which group, and which entries of its vectors."""

    group: int
    entries: slice
    shape: tuple[int, ...]


class Changing(NamedTuple):
    """All that a minibatch changes, in arrays of JAX."""

    parameters: list[Any]
    optimizer: list[dict[str, Any]]
    """By piece, the vectors of the optimizer."""
    state: list[Any]


class Carried(NamedTuple):
    """What goes from one minibatch to the next."""

    position: Any
    loss: Any
    fine: Any
    updates: Any
    changing: Changing


@dataclass(frozen=True)
class Read:
    """What a minibatch reads besides its inputs."""

    changing: Changing
    held: list[Any]
    number: Any

    def of(self, role: tuple[str, int]) -> Any:
        """The array of that role."""
        kind, which = role
        if kind == "number":
            return self.number
        return (self.held if kind == "held" else getattr(self.changing, kind))[which]


@dataclass(frozen=True)
class Stretch:
    """Minibatches of one size, compiled: ``checked`` looks at all numbers after each of them, ``single`` is one."""

    plan: TracedPlan
    rows: int
    checked: bool
    single: bool


def piece_of(array: np.ndarray, vectors: Sequence[np.ndarray]) -> Piece | None:
    """Where an array lies in one of these vectors; ``None`` where it is elsewhere."""
    for number, vector in enumerate(vectors):
        first = (address(array) - address(vector)) // vector.itemsize
        if 0 <= first < max(1, vector.size) and first + array.size <= vector.size and array.dtype == vector.dtype:
            return Piece(number, slice(first, first + array.size), array.shape)
    return None


def all_finite(arrays: Any) -> Any:
    """Whether no array of a tree has NaN or infinity."""
    return jnp.all(jnp.stack([jnp.isfinite(array).all() for array in jax.tree.leaves(arrays)] or [jnp.asarray(True)]))


def norm_of(gradients: Sequence[Any]) -> Any:
    """The norm of all together, in float64, also where its square is too large for that."""
    wide = [gradient.astype(np.float64).reshape(-1) for gradient in gradients]
    square = sum(jnp.dot(one, one) for one in wide)

    def scaled() -> Any:
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(one), initial=0.0) for one in wide]))
        return largest * jnp.sqrt(sum(jnp.sum((one / largest) ** 2) for one in wide))

    return lax.cond(jnp.isfinite(square), lambda: jnp.sqrt(square), scaled)
