"""The mistakes that learners make, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dataflow.faults.chain_mistakes import (
    ForgottenBias,
    ForgottenDerivative,
    KinkFromTheOtherSide,
    SlopeAtOutput,
    WrongSlope,
)
from dataflow.faults.gradient_mistakes import (
    ColumnMajor,
    DividedTwice,
    ForgottenHalf,
    LastExampleOnly,
    MeanForSum,
    MissingMinus,
    NotReset,
    SumForMean,
    Transposed,
    WrongExample,
)
from dataflow.faults.learner import Learner, Mistaken, Task
from dataflow.faults.weight_mistakes import OtherWeights, TransposedWeights, UpdatedWeights

Examples = Mapping[int, Mapping[str, np.ndarray]]
"""The inputs of single examples, by number."""

KINDS: tuple[type[Mistaken], ...] = (
    UpdatedWeights,
    MissingMinus,
    ForgottenHalf,
    MeanForSum,
    SumForMean,
    DividedTwice,
    Transposed,
    ColumnMajor,
    KinkFromTheOtherSide,
    ForgottenBias,
    NotReset,
    LastExampleOnly,
    WrongExample,
    ForgottenDerivative,
    WrongSlope,
    SlopeAtOutput,
    TransposedWeights,
    OtherWeights,
)
"""All mistakes, in the order in which they are tried."""


def catalogue(task: Task, others: Examples | None = None) -> Iterator[Learner]:
    """Yield a learner for each mistake that can be made in this task; ``others`` are the examples that may be taken
    by mistake."""
    for kind in KINDS:
        yield from kind.variants(task)
    for number, example in (others or {}).items():
        yield WrongExample(task, number, example)
