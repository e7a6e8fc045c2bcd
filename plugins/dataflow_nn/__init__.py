"""What neural nets are made of: activations, layers, losses, initializers, optimizers, schedules and metrics."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dataflow import Initializer, Metric, Op, Optimizer, Schedule, hookimpl, ops_in
from dataflow_nn import (
    activations,
    attention,
    batch_normalization,
    boxes,
    class_losses,
    convolution,
    correlation,
    initializers,
    layers,
    losses,
    max_pooling,
    metrics,
    normalization,
    optimizers,
    padding,
    piecewise_activations,
    pooling,
    recurrence,
    resampling,
    resizing,
    robust_losses,
    schedules,
    smooth_activations,
    window_sums,
)

MODULES = (
    *(activations, smooth_activations, piecewise_activations),
    *(layers, attention, recurrence, convolution, correlation),
    *(pooling, max_pooling, window_sums),
    *(normalization, batch_normalization),
    *(padding, resizing, resampling, boxes),
    *(losses, class_losses, robust_losses),
)


@hookimpl
def register_ops() -> Iterable[Op]:
    """All ops of this package."""
    return [op for module in MODULES for op in ops_in(module)]


@hookimpl
def register_blocks() -> Iterable[Path]:
    """The blocks in the files of the folder ``blocks``."""
    return sorted((Path(__file__).parent / "blocks").glob("*.toml"))


@hookimpl
def register_initializers() -> Iterable[Initializer]:
    """All initializers of this package."""
    return initializers.ALL


@hookimpl
def register_optimizers() -> Iterable[type[Optimizer]]:
    """All optimizers of this package."""
    return optimizers.ALL


@hookimpl
def register_schedules() -> Iterable[type[Schedule]]:
    """All schedules of this package."""
    return schedules.ALL


@hookimpl
def register_metrics() -> Iterable[Metric]:
    """All metrics of this package."""
    return metrics.ALL
