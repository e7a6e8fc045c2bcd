"""Where windows lie, against a count one by one; sizes that no array has take no time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dataflow import ShapeError, ops
from dataflow_nn.windows import Windows, window_counts

PADDING = st.tuples(st.integers(-1, 12), st.integers(-1, 12))


@given(st.integers(0, 7), st.integers(1, 5), st.integers(1, 6), st.integers(1, 9), PADDING, st.booleans())
def test_windows_are_where_they_are_counted(size, kernel, stride, dilation, padding, ceil_mode):
    try:
        (count,) = window_counts((size,), (kernel,), (stride,), (padding,), (dilation,), ceil_mode)
    except ShapeError:
        assume(False)
    windows = Windows((size,), (kernel,), (stride,), (padding,), (dilation,), (count,))
    before, behind = padding
    at = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - before
    inside = (at >= 0) & (at < size)
    assert list(windows.covered(0, padded=False)) == list(inside.sum(axis=1))
    assert list(windows.covered(0, padded=True)) == list(((at >= -before) & (at < size + behind)).sum(axis=1))
    assert windows.is_covered(0) == inside.any(axis=1).all()
    pairs = {
        (entry, window): place
        for entry, (each,), (places,) in windows.places
        for window, place in zip(np.arange(count)[each], np.arange(size)[places], strict=True)
    }
    assert pairs == {(entry, window): at[window, entry] for window, entry in np.argwhere(inside)}
    assert windows.reach_all == (set(at[inside]) == set(range(size)))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pool", [ops.max_pool, ops.average_pool, ops.lp_pool])
def test_sizes_that_no_array_has(pool):
    x = np.arange(1.0, 5.0).reshape(1, 1, 4)
    # A window that reaches over both ends of the array sees all of it.
    seen = {ops.max_pool: 4.0, ops.average_pool: 2.5, ops.lp_pool: 30**0.5}[pool]
    np.testing.assert_allclose(pool(x, kernel=2**40, padding=2**39, strides=2**40), [[[seen]]], rtol=1e-15)
    if pool is ops.max_pool:
        with pytest.raises(ShapeError, match="lies in the padding alone"):
            pool(x, kernel=3, padding=2**62)
