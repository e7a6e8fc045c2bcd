"""Memory that arrays have one after the other, and never two at a time."""

from __future__ import annotations

import numpy as np

from dataflow.support.arrays import ReusedMemory, address


def test_memory_is_taken_again_once_no_view_of_it_is_left() -> None:
    memory = ReusedMemory()
    first = memory.empty((100, 3), np.dtype(np.float32))
    assert (first.shape, first.dtype, first.flags.writeable) == ((100, 3), np.float32, True)
    first[...] = 1.0
    place, view = address(first), first[10:20].T
    del first
    second = memory.empty((100, 3), np.dtype(np.float32))
    assert address(second) != place
    second[...] = 2.0
    assert (view == 1.0).all()
    del view
    third = memory.empty((90, 3), np.dtype(np.float32))
    assert address(third) == place
    large = memory.empty((1000, 3), np.dtype(np.float32))
    large[...] = 3.0
    assert (second == 2.0).all()
    del large, second, third
    small = memory.empty((2,), np.dtype(np.float64))  # keeps no memory that is much larger
    assert address(small) != place
    small[...] = 4.0
    assert small.tolist() == [4.0, 4.0]
