"""What neural nets are made of: activations, layers, losses, initializers and optimizers."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow import Initializer, Op, Optimizer, hookimpl, ops_in
from dataflow_nn import activations, initializers, layers, losses, optimizers


@hookimpl
def register_ops() -> Iterable[Op]:
    """All ops of this package."""
    return [op for module in (activations, layers, losses) for op in ops_in(module)]


@hookimpl
def register_initializers() -> Iterable[Initializer]:
    """All initializers of this package."""
    return initializers.ALL


@hookimpl
def register_optimizers() -> Iterable[type[Optimizer]]:
    """All optimizers of this package."""
    return [optimizers.SGD, optimizers.Adam]
