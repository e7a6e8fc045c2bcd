"""The trees of an ensemble as questions whether an entry is at most a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow import limits
from dataflow.errors import FileFormatError

DEEPEST = 500
"""How many steps a tree takes at most."""
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


@dataclass
class Forest:
    """Nodes of all trees, the leaves first. Each other node asks whether an entry is at most a threshold."""

    dtype: np.dtype[Any]
    leaves: int
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    above: list[int] = field(default_factory=list)
    missing: list[bool] = field(default_factory=list)
    """Whether NaN goes below."""

    def __post_init__(self) -> None:
        for leaf in range(self.leaves):
            self._put(0, 0.0, leaf, leaf, False)

    def add(self, count: int) -> None:
        """Make room for so many nodes that ``set`` will fill."""
        for _ in range(count):
            self._put(0, 0.0, -1, -1, False)

    def set(
        self, node: int, mode: str, feature: int, values: list[float], true: int, false: int, nan_is_true: bool
    ) -> None:
        """A question of ONNX: where it is true, a row goes on to one node, otherwise to the other."""
        if mode in ("BRANCH_LEQ", "BRANCH_LT"):
            self._set(node, feature, values[0], true, false, nan_is_true, strict=mode == "BRANCH_LT")
        elif mode in ("BRANCH_GT", "BRANCH_GTE"):
            self._set(node, feature, values[0], false, true, not nan_is_true, strict=mode == "BRANCH_GTE")
        elif mode == "BRANCH_NEQ":
            self._equal(node, feature, values[0], false, true, False)
        elif mode in ("BRANCH_EQ", "BRANCH_MEMBER"):
            for i, value in enumerate(values):
                following = false
                if i < len(values) - 1:
                    following = len(self.feature)
                    self.add(1)
                self._equal(node, feature, value, true, following, nan_is_true and i == 0)
                node = following
        else:
            raise FileFormatError(f"a node of a tree has the mode '{mode}'; {', '.join(MODES)} are known")

    def depth(self, roots: list[int]) -> int:
        """How many steps lead to the farthest leaf."""
        reached, steps = {root for root in roots if root >= self.leaves}, 0
        while reached:
            steps += 1
            limits.spend(len(reached), "trees")
            if steps > DEEPEST:
                raise FileFormatError(f"a tree is more than {DEEPEST} steps deep, or has a circle")
            reached = {after for node in reached for after in (self.below[node], self.above[node])}
            reached = {node for node in reached if node >= self.leaves}
        return steps

    def _equal(self, node: int, feature: int, value: float, same: int, other: int, nan_is_same: bool) -> None:
        less = len(self.feature)
        self.add(1)
        self._set(node, feature, value, less, other, nan_is_same, strict=False)
        self._set(less, feature, value, other, same, False, strict=True)

    def _set(
        self, node: int, feature: int, value: float, below: int, above: int, missing: bool, *, strict: bool
    ) -> None:
        threshold = np.array(value, self.dtype)
        if strict:  # below a number is at most the one before it
            threshold = np.nextafter(threshold, np.array(-np.inf, self.dtype))
        self.feature[node], self.threshold[node] = feature, float(threshold)
        self.below[node], self.above[node], self.missing[node] = below, above, missing

    def _put(self, feature: int, threshold: float, below: int, above: int, missing: bool) -> None:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.below.append(below)
        self.above.append(above)
        self.missing.append(missing)
