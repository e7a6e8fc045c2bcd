"""A simulation of a sum over many workers, message by message; it knows no formula.

Each worker has a link out and a link in, which carry one message at a time. A message begins to arrive a latency after
it began to leave, and takes its length over the bandwidth at both ends.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from scaling.patterns import PATTERNS, Pieces, Receive, Send, piece_count


def simulate(
    pattern: str,
    size: int,
    workers: int,
    latency: float,
    bandwidth: float,
    *,
    starts: Sequence[float] | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> float:
    """Seconds until the last worker has the sum of vectors of ``size`` bytes. ``starts`` is when each begins,
    ``jitter`` the mean of what chance adds to each latency (exponentially distributed). An ``AssertionError`` where a
    sum is wrong."""
    rng = np.random.default_rng(seed)
    count_of_pieces = piece_count(pattern, workers)
    vectors: list[Pieces] = [{i: rank * workers + i for i in range(count_of_pieces)} for rank in range(workers)]
    steps = [PATTERNS[pattern](rank, workers, own) for rank, own in enumerate(vectors)]
    out_free, in_free, ended = [0.0] * workers, [0.0] * workers, [0.0] * workers
    mail: dict[tuple[int, int], deque[Pieces]] = defaultdict(deque)
    arrived: dict[tuple[int, int], float] = defaultdict(float)
    waits: list[int | None] = [None] * workers
    number = count()
    events: list[tuple[float, int, str, int, int, Any]] = []

    def happen(when: float, kind: str, source: int, target: int, pieces: Any = None) -> None:
        heapq.heappush(events, (when, next(number), kind, source, target, pieces))

    def seconds(pieces: Pieces) -> float:
        return len(pieces) * size / count_of_pieces / bandwidth

    def advance(rank: int, now: float, got: Pieces | None) -> None:
        try:
            step = next(steps[rank]) if got is None else steps[rank].send(got)
            while True:
                if isinstance(step, Send):
                    leaves = max(now, out_free[rank])
                    out_free[rank] = leaves + seconds(step.pieces)
                    late = rng.exponential(jitter) if jitter else 0.0
                    # no message overtakes another between the same two
                    arrives = arrived[rank, step.to] = max(leaves + latency + late, arrived[rank, step.to])
                    happen(arrives, "arrive", rank, step.to, step.pieces)
                    step = next(steps[rank])
                elif box := mail[step.source, rank]:
                    step = steps[rank].send(box.popleft())
                else:
                    assert isinstance(step, Receive)
                    waits[rank] = step.source
                    return
        except StopIteration:
            ended[rank] = now

    for rank in range(workers):
        happen(0.0 if starts is None else starts[rank], "start", rank, rank)
    while events:
        now, _, kind, source, target, pieces = heapq.heappop(events)
        if kind == "start":
            advance(target, now, None)
        elif kind == "arrive":
            in_free[target] = max(now, in_free[target]) + seconds(pieces)
            happen(in_free[target], "there", source, target, pieces)
        elif waits[target] == source:
            waits[target] = None
            advance(target, now, pieces)
        else:
            mail[source, target].append(pieces)
    sums = {i: sum(rank * workers + i for rank in range(workers)) for i in range(count_of_pieces)}
    assert all(own == sums for own in vectors), "a worker has another sum"
    return max(ended)
