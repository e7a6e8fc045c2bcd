"""A graph cut into parts for workers in a row, a pipeline: as balanced as can be, then with little traffic.

A part is a stretch of the order in which nodes run. Its cost is that of its nodes forward and backward, and of the
update of the parameters that it holds. What one part makes and a later one needs travels through each part between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from dataflow.limits import spend


@dataclass(frozen=True)
class Part:
    """Consecutive nodes of the order in which they run, both ends included."""

    first: str
    last: str
    nodes: int
    operations: int
    """Forward, backward and update."""
    parameters: int
    """Bytes of the parameters that it holds: those whose first use is in it."""
    forward: int
    """Bytes that go to the next part in each step."""
    backward: int
    """Bytes of their gradients, which come back."""


@dataclass(frozen=True)
class Cut:
    """The parts of a graph, in their order."""

    parts: tuple[Part, ...]

    @property
    def operations(self) -> int:
        """Of all parts."""
        return sum(part.operations for part in self.parts)

    @property
    def heaviest(self) -> int:
        """Operations of the part that has most."""
        return max(part.operations for part in self.parts)

    @property
    def speedup(self) -> float:
        """How many times as fast as one worker a full pipeline of such parts can be, by its operations."""
        return self.operations / self.heaviest if self.heaviest else 1.0

    @property
    def traffic(self) -> int:
        """Bytes between all parts in each step, both ways."""
        return sum(part.forward + part.backward for part in self.parts)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "parts": [asdict(part) for part in self.parts],
            "operations": self.operations,
            "traffic": self.traffic,
            "speedup": self.speedup,
        }


def best_cut(costs: Sequence[int], crossing: Sequence[int], count: int) -> list[int]:
    """Where each of ``count`` parts ends, so that the heaviest is as light as possible and, of all such cuts, the
    traffic is least. ``crossing[i]`` is the traffic of a cut behind item i. Exact, by dynamic programming: the least
    traffic of the first j items in k parts is that of a cut behind j and of the best first i in k − 1 parts, over all i
    that leave the last part light enough. Those i are a window that only moves on, so it takes time items · parts."""
    before = [0, *accumulate(costs)]
    bound = _lightest(before, costs, count)
    total = len(costs)
    least: list[float] = [0.0, *[float("inf")] * total]
    choices: list[list[int]] = []
    for part in range(count):
        spend(1 + total // 1000)
        best: list[float] = [float("inf")] * (total + 1)
        choice = [0] * (total + 1)
        window: deque[int] = deque()  # places with their traffic rising: the first is the best
        for j in range(part + 1, total + 1):
            while window and least[window[-1]] > least[j - 1]:
                window.pop()
            window.append(j - 1)
            while window and before[j] - before[window[0]] > bound:
                window.popleft()
            if window:
                best[j] = least[window[0]] + (crossing[j - 1] if j < total else 0)
                choice[j] = window[0]
        least = best
        choices.append(choice)
    ends = [total]
    for choice in reversed(choices[1:]):
        ends.append(choice[ends[-1]])
    return ends[::-1]


# ------------------------------------------------------------------------------------------------ internals


def _lightest(before: Sequence[int], costs: Sequence[int], count: int) -> int:
    """The least bound on the cost of a part under which ``count`` parts are enough; with fewer, one can be split."""
    low, high = max(costs), before[-1]
    while low < high:
        middle = (low + high) // 2
        parts, start = 1, 0
        for i in range(1, len(before)):
            if before[i] - before[start] > middle:
                parts, start = parts + 1, i - 1
        low, high = (low, middle) if parts <= count else (middle + 1, high)
    return low
