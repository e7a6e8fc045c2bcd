"""Ratios with their uncertainty, and what has to come out of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.peers import LIMIT, LOOP_INSIDE, PEERS
from benchmark.workloads import ONE_THREAD, WORKLOADS

RESAMPLES = 4000
ANY = "the fastest peer"
WIDEST = 0.1
NOISE = 1.25
"""Where two do the same work, ratios up to this say nothing."""


@dataclass(frozen=True)
class Bound:
    """``ours`` may take at most ``most`` times as long as ``peer`` on a workload, with so many threads."""

    ours: str
    workload: str
    peer: str
    most: float
    threads: int = 1
    goal: bool = False
    """Not reached when this was planned; the gap is told."""
    narrow: bool = False
    """One of those that count most: an interval wider than ``WIDEST`` of the ratio misses it, too."""


BOUNDS = [
    Bound("dataflow numpy step()", "a32", "numpy by hand", 1.25, narrow=True),
    Bound("dataflow numpy step()", "b", "numpy by hand", 1.25, narrow=True),
    Bound("dataflow numpy step()", "c32", "numpy by hand", 1.1, narrow=True),
    Bound("dataflow llvm step()", "a32", "jax.jit", 0.3, narrow=True),
    *(
        Bound("dataflow llvm", workload, ANY, most, threads, narrow=True)
        for workload, most, threads in (
            *(("a32", 0.9, 1), ("b", 0.3, 1), ("c32", 0.9, 1), ("c256", 0.9, 1), ("d", 1.0, 1)),
            *(("e", 0.6, 1), ("f", 0.5, 1), ("f", 0.4, 2), ("g", 0.05, 1)),
        )
    ),
    *(Bound("dataflow llvm", w, LIMIT, 1.03, narrow=True) for w in ("c256", "d")),
    *(
        Bound("dataflow numpy", w, "numpy by hand", 1.1, goal=w in "a32 b")
        for w in ("a32", "b", "c32", "c256", "d", "e", "f")
    ),
    *(Bound("dataflow numpy", w, "torch", 0.75) for w in ("a32", "b", "c32", "e", "f")),
    Bound("dataflow llvm", "a32", "jax.jit", 0.1),
    *(Bound("dataflow llvm", w, ANY, 1.05, 2) for w in ("c256", "d")),
    Bound("dataflow llvm", "conv", "torch", 1.2),
    Bound("dataflow llvm", "transformer", "torch", 0.8),
    Bound("dataflow llvm", "transformer", LOOP_INSIDE, 1.1),
    Bound("dataflow llvm", "lstm", "torch", 0.5),
    *(
        Bound("dataflow llvm", w, "dataflow numpy", NOISE, t)
        for t in (1, 2)
        for w in WORKLOADS
        if t == 1 or w not in ONE_THREAD
    ),
]


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians over interleaved rounds, with an interval that holds it with 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


def number(value: float) -> str:
    """Three digits, or all in front of the point: ``0.0123``, ``1.23``, ``1,230``."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(ours: Sequence[float], others: Sequence[float]) -> Ratio:
    """The ratio of medians. Rounds are drawn again, with both times of a round together (percentile bootstrap)."""
    a, b = np.asarray(ours), np.asarray(others)
    drawn = np.random.default_rng(0).integers(0, len(a), (RESAMPLES, len(a)))
    ratios = np.median(a[drawn], axis=1) / np.median(b[drawn], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))


def median(numbers: Mapping[str, Any]) -> float:
    """Seconds of a step."""
    return float(np.median(numbers["seconds"]))


def fastest(measured: Mapping[str, Any], threads: int) -> str | None:
    """The peer, not ours, that takes the least time."""
    keys = [
        f"{peer.name}@{threads}"
        for peer in PEERS.values()
        if not (peer.ours or peer.limit) and "seconds" in measured.get(f"{peer.name}@{threads}", {})
    ]
    return min(keys, key=lambda key: median(measured[key]), default=None)


def judged(steps: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each bound with the ratio that was measured. It is missed where the whole interval lies above it, or is too wide
    for one of those that count most, and is not measured where one of the two did not run."""
    for bound in BOUNDS:
        numbers = steps.get(bound.workload, {})
        ours = f"{bound.ours}@{bound.threads}"
        other = fastest(numbers, bound.threads) if bound.peer == ANY else f"{bound.peer}@{bound.threads}"
        row: dict[str, Any] = {
            "ours": bound.ours,
            "workload": bound.workload,
            "threads": bound.threads,
            "peer": bound.peer,
            "bound": bound.most,
            "goal": bound.goal,
            "narrow": bound.narrow,
        }
        if other is None or "seconds" not in numbers.get(ours, {}) or "seconds" not in numbers.get(other, {}):
            yield row | {"verdict": "not measured"}
            continue
        measured = ratio(numbers[ours]["seconds"], numbers[other]["seconds"])
        missed = measured.low > bound.most
        wide = bound.narrow and measured.high - measured.low > WIDEST * measured.value
        verdict = "missed, too wide" if wide else "met"
        if missed:
            verdict = "goal, not reached" if bound.goal else "missed"
        yield row | {
            "against": other.partition("@")[0],
            "ratio": measured.value,
            "interval": [measured.low, measured.high],
            "verdict": verdict,
        }


def limits(start: Mapping[str, Any], plans: Sequence[Mapping[str, float]]) -> Iterator[dict[str, str]]:
    """Bounds on starting and on building a plan: what, measured, bound, verdict."""
    by_size = {row["size"]: row for row in plans if "size" in row}
    large, smaller = by_size.get(10**5), by_size.get(10**4)
    seconds = None if large is None else large["seconds"]
    memory = None if large is None else large["memory"]
    power = None
    if large is not None and smaller is not None:
        power = math.log10(large["seconds"] / smaller["seconds"])
    yield _limit("a plan of 100,000 ops", seconds, 3, "{:.2f} s")
    yield _limit("its memory, the graph's apart", memory, 500, "{:.0f} MiB")
    yield _limit("its time grows with the ops to the power", power, 1.15, "{:.2f}")
    for workload, measured in start.items():
        llvm, plain = (measured.get(name, {}).get("warm") for name in ("dataflow llvm", "dataflow numpy"))
        later = float(np.median(llvm) - np.median(plain)) if llvm and plain else None
        yield _limit(f"{workload}: a later process with llvm starts after one with numpy by", later, 0.3, "{:.2f} s")


def _limit(what: str, measured: float | None, most: float, text: str) -> dict[str, str]:
    if measured is None:
        return {"what": what, "measured": "", "bound": f"≤ {text.format(most)}", "verdict": "not measured"}
    verdict = "met" if measured <= most else "missed"
    return {"what": what, "measured": text.format(measured), "bound": f"≤ {text.format(most)}", "verdict": verdict}
