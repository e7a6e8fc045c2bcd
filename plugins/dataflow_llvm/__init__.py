"""The backend ``llvm``, with the extra ``fast``."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow import Backend, hookimpl
from dataflow_llvm.backend import LlvmBackend


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The backend, whether or not its compiler is installed: it says what is missing when it is used."""
    return [LlvmBackend()]
