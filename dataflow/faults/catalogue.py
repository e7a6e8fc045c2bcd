"""The mistakes that learners make, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dataflow.backends.optimizer import Optimizer
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
from dataflow.faults.learner import Learner, Mistaken
from dataflow.faults.weight_mistakes import OtherWeights, TransposedWeights, UpdatedWeights
from dataflow.model.model import Model

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


def catalogue(
    model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer, others: Examples | None = None
) -> Iterator[Learner]:
    """Yield a learner for each mistake that can be made with this model; ``others`` are the examples that may be taken
    by mistake."""
    for kind in KINDS:
        yield from kind.variants(model, parameters, optimizer)
    for number, example in (others or {}).items():
        yield WrongExample(model, parameters, optimizer, number, example)
