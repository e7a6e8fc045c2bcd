"""What an entry of the table is: ``function(call, *inputs, **attributes)``, with arrays of JAX, constants of numpy, and
plain numbers as inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Entry: TypeAlias = Callable[..., Any]


class Kept(NamedTuple):
    """What one step of a loop made, at a place among that of all steps, where the next step's is one ``way`` on (1 or
    -1). Ops that join arrays are handed it as such."""

    stack: Any
    place: int
    way: int

    def array(self) -> Any:
        """The step's own."""
        return lax.index_in_dim(self.stack, self.place, keepdims=False)

    def some(self, step: int, count: int, back: bool = False) -> Any:
        """That of ``count`` steps from this one on, forwards (``step`` 1) or backwards (-1), along a first axis; the
        last first if ``back``."""
        other = self.place + step * self.way * (count - 1)
        some = self.stack[min(self.place, other) : max(self.place, other) + 1]
        return lax.rev(some, [0]) if (other < self.place) != back else some


@dataclass(frozen=True)
class Call:
    """What the plan says of a result, and what a run has to keep in mind."""

    shape: tuple[int, ...]
    dtype: np.dtype
    required: list[Any]

    def require(self, holds: Any) -> None:
        """Compiled code raises no error: where this does not hold for all entries, numpy runs the plan, and says what
        is wrong."""
        self.required.append(jnp.all(holds))

    def array(self, value: Any) -> Any:
        """A value in the result's dtype."""
        return jnp.asarray(value, self.dtype)


def canonical(dtype: Any) -> np.dtype:
    """The dtype that JAX has for it: with 64 bits switched off, one of 32."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def has_ufunc(ufunc: np.ufunc | None) -> bool:
    """Whether JAX has a function of that name, for a ufunc that is numpy's own."""
    return ufunc is not None and getattr(np, ufunc.__name__, None) is ufunc and hasattr(jnp, ufunc.__name__)


def alone(value: Any) -> Any:
    """An array that a step kept, out of those of all steps; any other as it is."""
    return value.array() if isinstance(value, Kept) else value


def joined(arrays: Sequence[Any], axis: int, prepared: Callable[[Any], Any]) -> Any:
    """Arrays, each of them prepared, one after the other along an axis. What steps of a loop kept stays in one piece:
    XLA would work on each of many parts apart."""
    pieces, first = [], 0
    while first < len(arrays):
        kept, count = arrays[first], 1
        if isinstance(kept, Kept):
            count, ahead = neighbours(arrays[first:])
            some = jnp.moveaxis(jax.vmap(prepared)(kept.some(ahead * kept.way, count)), 0, axis)
            pieces.append(some.reshape(*some.shape[:axis], count * some.shape[axis + 1], *some.shape[axis + 2 :]))
        else:
            pieces.append(prepared(kept))
        first += count
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis)


def neighbours(arrays: Sequence[Any]) -> tuple[int, int]:
    """How many arrays from the first on lie one after the other, and whether forwards (1) or backwards (-1)."""
    first, ahead, count = arrays[0], 1, 1
    for number, other in enumerate(arrays[1:], 1):
        if not isinstance(other, Kept) or other.stack is not first.stack:
            break
        if number == 1 and other.place == first.place - 1:
            ahead = -1
        if other.place != first.place + ahead * number:
            break
        count += 1
    return count, ahead
