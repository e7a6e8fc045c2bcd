"""The backend ``jax``, with the extra ``jax``."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow import Backend, hookimpl
from dataflow_jax.backend import JaxBackend


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The backend, whether or not JAX is installed: it says what is missing when it is used."""
    return [JaxBackend()]
