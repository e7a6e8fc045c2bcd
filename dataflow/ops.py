"""The registered ops, looked up by name: ``from dataflow.ops import relu``."""

from __future__ import annotations

from dataflow.errors import OpError
from dataflow.operations.op import Op
from dataflow.registry import registry


def __getattr__(name: str) -> Op:
    if name.startswith("__"):
        raise AttributeError(f"module 'dataflow.ops' has no attribute '{name}'")
    try:
        return registry.lookup(name)
    except OpError as error:
        raise AttributeError(str(error)) from None


def __dir__() -> list[str]:
    return list(registry.all_ops())
