"""Memory for what a plan computes."""

from __future__ import annotations

import numpy as np

from dataflow.plan.structure import ALIGNMENT, concrete
from dataflow.shapes import TensorSpec
from dataflow.support.arrays import address
from dataflow.support.byte_sizes import no_room


def empty(spec: TensorSpec) -> np.ndarray:
    """An array for a slot."""
    return np.empty(concrete(spec), spec.dtype)


def aligned(size: int) -> np.ndarray:
    """Bytes that begin at a multiple of ``ALIGNMENT``."""
    try:
        memory = np.empty(size + ALIGNMENT, np.uint8)
    except MemoryError:
        raise no_room(size) from None
    start = -address(memory) % ALIGNMENT
    return memory[start : start + size]
