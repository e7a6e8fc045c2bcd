"""Measure the time for a step, for its pieces and for the update, in turn."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns

Call = Callable[[], object]
Piece = tuple[int, int, Call]
SHORTEST = 2e-3
"""Seconds for which a round repeats a step, about, but at most ``MOST_REPEATS`` times."""
MOST_REPEATS = 100
MOST_SECONDS = 20.0
"""After this many seconds and three rounds, no further round begins."""


@dataclass(frozen=True)
class Times:
    """Medians in seconds. ``pieces`` is ``None`` where the backend cannot be taken apart."""

    step: float
    """Forward and backward pass together."""
    update: float
    pieces: Mapping[tuple[int, int], float] | None
    rounds: int


def measure(
    step: Call,
    update: Call,
    pieces: Sequence[Piece] | None,
    scope: Callable[[], AbstractContextManager[object]],
    rounds: int,
    progress: Callable[[int, int], None],
) -> Times:
    """In each round run the whole step, then its pieces one by one, then the update."""
    step_times: list[int] = []
    update_times: list[int] = []
    parts: dict[tuple[int, int], list[float]] = {(start, stop): [] for start, stop, _ in pieces or ()}
    with scope():
        step()
        update()
        repeats = _repeats(step)
        overhead = statistics.median(_each_time(_nothing, 1001))
        begun = perf_counter()
        for number in range(rounds):
            progress(number, rounds)
            if number >= 3 and perf_counter() - begun > MOST_SECONDS:
                break
            step_times += _each_time(step, repeats)
            for _ in range(repeats if pieces else 0):
                for place, nanoseconds in _piece_by_piece(pieces or ()).items():
                    parts[place].append(nanoseconds)
            update_times += _each_time(update, repeats)
    calls = Counter((start, stop) for start, stop, _ in pieces or ())
    medians = {place: _median(values, overhead * calls[place]) for place, values in parts.items()}
    whole, changed = (_median(values, overhead) for values in (step_times, update_times))
    return Times(whole, changed, medians if pieces is not None else None, len(step_times) // repeats)


def _repeats(step: Call) -> int:
    seconds = min(_each_time(step, 5)) * 1e-9
    return max(1, min(MOST_REPEATS, int(SHORTEST / max(seconds, 1e-9))))


def _each_time(call: Call, repeats: int) -> list[int]:
    """Nanoseconds of each call. Each is timed by itself: on a busy machine an average would include interruptions."""
    clock = perf_counter_ns
    taken = [0] * repeats
    for i in range(repeats):
        begun = clock()
        call()
        taken[i] = clock() - begun
    return taken


def _median(nanoseconds: Sequence[float], overhead: float) -> float:
    return max(0.0, statistics.median(nanoseconds) - overhead) * 1e-9


def _piece_by_piece(pieces: Sequence[Piece]) -> dict[tuple[int, int], float]:
    """Return nanoseconds of each piece; those of one place are added."""
    clock = perf_counter_ns
    taken = [0] * len(pieces)
    for i, (_, _, call) in enumerate(pieces):
        begun = clock()
        call()
        taken[i] = clock() - begun
    seconds_by_piece: dict[tuple[int, int], float] = {}
    for (start, stop, _), nanoseconds in zip(pieces, taken, strict=True):
        seconds_by_piece[start, stop] = seconds_by_piece.get((start, stop), 0.0) + nanoseconds
    return seconds_by_piece


def _nothing() -> None:
    pass
