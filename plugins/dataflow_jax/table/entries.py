"""What an entry of the table is: ``function(call, *inputs, **attributes)``, with arrays of JAX, constants of numpy, and
plain numbers as inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

Entry: TypeAlias = Callable[..., Any]


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
