"""A trial of whether the gradient of some examples is made of those of parts of them: what a plugin's op does along the
examples, its shapes need not tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

import numpy as np

from dataflow.errors import DataflowError, TrainingError
from dataflow.model.model import Model

TRIALS, EXAMPLES = 3, 3
NEAR = 1e-3
"""How far the two may lie apart, as a share of their size: float32 and another order of adding explain less."""


def check_on_examples(
    model: Model, arrays: Mapping[str, np.ndarray], split: Collection[str], wrt: Sequence[str], *, is_mean: bool
) -> None:
    """A ``TrainingError`` unless loss and gradient of a few examples are the sum of those of one of them and of the
    others, or their mean. Some examples may differ because rounding moves one over a kink; in each of several trials
    that does not happen."""
    compiled = model.compile(values=[str(model.loss)], gradients=wrt)
    count = min((len(arrays[name]) for name in split), default=0)

    def found(first: int, stop: int) -> np.ndarray:
        given = {name: array[first:stop] if name in split else array for name, array in arrays.items()}
        values, gradients = compiled(data=given)
        parts = [*values.values(), *(gradients[name] for name in dict.fromkeys(wrt))]
        return np.concatenate([np.ravel(part).astype(np.float64) for part in parts])

    def agrees(first: int) -> bool:
        whole, one, others = found(first, first + EXAMPLES), found(first, first + 1), found(first + 1, first + EXAMPLES)
        share = 1 / EXAMPLES if is_mean else 1.0
        together = share * one + (share * (EXAMPLES - 1) if is_mean else 1.0) * others
        size = np.linalg.norm(whole) + np.linalg.norm(together)
        return not np.isfinite(size) or bool(np.linalg.norm(whole - together) <= NEAR * size)

    starts = list(islice(range(0, count - EXAMPLES + 1, EXAMPLES), TRIALS))
    try:
        with np.errstate(all="ignore"):
            mixes = bool(starts) and not any(agrees(first) for first in starts)
    except DataflowError:  # the run itself says what is wrong
        return
    if mixes:
        raise TrainingError(
            f"the gradient of {EXAMPLES} examples is not made of those of 1 and of {EXAMPLES - 1} of them: an op mixes "
            "examples, and a cluster trains losses that are sums or means over examples. Train this model without a "
            "cluster"
        )
