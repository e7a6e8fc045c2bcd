"""Every rule of the op, the optimizer, and both in a model file."""

from pathlib import Path

import dataflow
import dataflow_soft_step
from dataflow.testing import assert_op, assert_optimizer

EXAMPLE = Path(__file__).parent.parent / "example.toml"


def test_op():
    assert_op(dataflow_soft_step.soft_step)


def test_optimizer():
    assert_optimizer(dataflow_soft_step.SoftStepDescent)


def test_the_example_learns():
    history = dataflow.train(dataflow.load(EXAMPLE))
    assert history.loss[-1] < 0.1 * history.loss[0]
