"""What holds while this package computes, and no longer: 64 bits, products in full precision, the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import jax

from dataflow.errors import BackendError


@contextmanager
def computing(device: str | None) -> Iterator[None]:
    """What is traced and run inside has 64 bits where the plan has, whatever the user's settings of JAX are; a GPU or
    TPU multiplies float32 as such, and not as something shorter."""
    (first, *_) = devices(device)
    precision = nullcontext() if first.platform == "cpu" else jax.default_matmul_precision("highest")
    with jax.enable_x64(True), jax.default_device(first), precision:
        yield


def devices(device: str | None) -> list[jax.Device]:
    """All devices of a kind, or of the kind that JAX chooses. A ``BackendError`` where there is none."""
    try:
        return jax.local_devices(backend=device)
    except RuntimeError:
        known = ", ".join(sorted({one.platform for one in jax.local_devices()} | {"cpu"}))
        raise BackendError(f"the backend 'jax' finds no device '{device}' here; available: {known}") from None
