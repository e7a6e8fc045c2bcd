"""The engine's own ops, registered as a plugin's are, so that files and ``dataflow.ops`` find them by name."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow.operations.engine_ops import ENGINE_OPS
from dataflow.operations.op import Op
from dataflow.registry.hookspecs import hookimpl


@hookimpl
def register_ops() -> Iterable[Op]:
    """The ops that the engine itself uses."""
    return ENGINE_OPS
