"""Random numbers that depend on nothing but their key: every backend gives the same, and a run that goes on, too."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np

from dataflow.errors import OpError
from dataflow.operations.declare_ops import primitive
from dataflow.operations.op_rules import sample
from dataflow.shapes import Shape, TensorSpec, format_shape, parse_dtype

WHOLE = 2**64
"""What seed, stream and step are counted by."""


@primitive(operation="none")
def random_uniform(
    step, *, shape: Shape, dtype: Literal["float64", "float32"] = "float64", seed: int = 0, stream: int = 0
):
    """Random numbers from 0 up to but not including 1, the same whenever step, seed and stream are the same. step is
    one whole number.

    The generator is Philox4x64-10 (Salmon, Moraes, Dror and Shaw, 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"):
    its key is (seed, stream), its counter is (block, step, 0, 0) with blocks from 1. Of each word of 64 bits the upper
    53 make a float64; of its lower and then its upper half the upper 24 bits make a float32.
    """
    out = np.empty(shape, dtype)
    _Stream(seed, stream).fill(out, step)
    return out


@random_uniform.shape
def _(step, *, shape, dtype, seed, stream):
    if step.shape != () or step.dtype.kind not in "iuf":
        raise OpError(f"random_uniform takes one whole number, not {step.dtype} of shape {format_shape(step.shape)}")
    if -1 in shape:
        raise OpError("random_uniform: -1 is no size")
    for name, number in (("seed", seed), ("stream", stream)):
        if not 0 <= number < WHOLE:
            raise OpError(f"random_uniform: {name} is a whole number from 0 and below 2^64, not {number}")
    return TensorSpec(shape, parse_dtype(dtype))


@random_uniform.into
def _(out, step, *, shape, dtype, seed, stream):
    return partial(_Stream(seed, stream).fill, out, step)


@random_uniform.vjp
def _(g, y, step):
    return None


@random_uniform.samples
def _(rng):
    yield sample(np.array(3), shape=(2, 3), seed=1)
    yield sample(np.array(0), shape=(), dtype="float32", stream=5)


class _Stream:
    """The numbers of one key."""

    def __init__(self, seed: int, stream: int) -> None:
        self._philox = np.random.Philox(key=np.array([seed, stream], np.uint64))
        self._generator = np.random.Generator(self._philox)
        self._state: Any = self._philox.state

    def fill(self, out: np.ndarray, step: np.ndarray | float) -> None:
        """Fill an array in row-major order with the numbers of a step, from their start."""
        self._state["state"]["counter"][1] = int(step) % WHOLE  # numpy counts the first up before it draws
        self._philox.state = self._state
        self._generator.random(out=out, dtype=out.dtype)
