"""Decision trees: the leaf that is reached. What stands in the leaf is for other ops to take."""

from __future__ import annotations

import numpy as np

from dataflow import OpError, ShapeError, format_shape, op, sample
from dataflow.operations.engine_ops import broadcast_to, expand_dims, less_equal, where
from dataflow_ops.gathering import gather_elements
from dataflow_ops.logic import isnan, logical_and, logical_or
from dataflow_ops.selecting import gather
from dataflow_ops.shaping import check_whole

MOST_DEPTH = 100_000
"""The most steps from a root to a leaf."""


@op(hides_nan=True)
def tree_leaves(x, roots, feature, threshold, below, above, missing=None, *, depth: int):
    """The node that each row of x reaches in each of several decision trees after `depth` steps: (rows, trees), whole
    numbers. x is (rows, features), roots (trees,). The others have an entry for each node of all trees together: from
    node i a row goes on to below[i] if its entry feature[i] is at most threshold[i], and to above[i] otherwise; NaN
    goes above, or below where missing[i] is true. A leaf goes on to itself. It has no derivative, as leaves change in
    jumps."""
    if len(x.shape) != 2 or len(roots.shape) != 1:
        raise ShapeError(
            f"tree_leaves takes x of (rows, features) and roots of (trees,), not {format_shape(x.shape)} and "
            f"{format_shape(roots.shape)}"
        )
    for name, array in (("roots", roots), ("feature", feature), ("below", below), ("above", above)):
        check_whole("tree_leaves", name, array)
    if not 0 <= depth <= MOST_DEPTH:
        raise OpError(f"tree_leaves takes a depth from 0 to {MOST_DEPTH}, not {depth}")
    node = broadcast_to(expand_dims(roots, axis=0), shape=(x.shape[0], roots.shape[0]))
    for _ in range(depth):
        entry = gather_elements(x, gather(feature, node), axis=1)
        goes_below = less_equal(entry, gather(threshold, node))
        if missing is not None:
            goes_below = logical_or(goes_below, logical_and(isnan(entry), gather(missing, node)))
        node = where(goes_below, gather(below, node), gather(above, node))
    return node


@tree_leaves.samples
def _(rng):
    # two trees: nodes 0 to 4 are leaves, 5 leads to 0 and 6, 6 to 1 and 2, and 7 to 3 and 4
    feature, threshold = np.array([0, 0, 0, 0, 0, 1, 0, 1]), rng.normal(size=8)
    below, above = np.array([0, 1, 2, 3, 4, 0, 1, 3]), np.array([0, 1, 2, 3, 4, 6, 2, 4])
    yield sample(rng.normal(size=(3, 2)), np.array([5, 7]), feature, threshold, below, above, depth=2)
    missing = np.array([False] * 5 + [True, False, True])
    yield sample(rng.normal(size=(2, 2)), np.array([5]), feature, threshold, below, above, missing, depth=1)
