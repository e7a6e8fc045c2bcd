"""Time for a step: every peer in turn, round after round, while all others are stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.child import Child
from benchmark.peers import PEERS, REFERENCE
from benchmark.workloads import WORKLOADS, Layers, Net

AGREE = 1e-3
"""How far the results may differ in norm, as a share of what the steps changed."""
BUILDS = 4
"""Of a peer that is compiled by chance, the fastest of so many processes is measured."""
Progress = Callable[[str], None]


def measure(
    workload: str,
    peers: Sequence[str],
    threads: Sequence[int],
    rounds: int,
    slice_seconds: float,
    patience: float,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """For each peer and number of threads, as in "torch@2", the seconds of a step in each round, or why there are
    none."""
    measured: dict[str, Any] = {}
    running: dict[str, Child] = {}
    those = [(peer, count) for count in threads for peer in peers if PEERS[peer].takes(workload, count)]
    for key, peer, count in [(f"{peer}@{count}", peer, count) for peer, count in those]:
        reason = PEERS[peer].leaves_out(workload)
        if reason is not None:
            measured[key] = {"error": reason}
            continue
        progress(f"{workload}: building {key}")
        child, measured[key] = _built(peer, workload, count, folder, patience)
        if child.failed is None:
            running[key] = child
        else:
            measured[key] = {"error": child.failed}
    for key, child in running.items():
        progress(f"{workload}: {key}")
        child.resume()
        measured[key]["steps"] = _steps(child, slice_seconds)
        child.pause()
    times: dict[str, list[float]] = {key: [] for key in running}
    for number in range(rounds):
        progress(f"{workload}: round {number + 1} of {rounds}")
        for key, child in running.items():
            if child.failed is None:
                child.resume()
                times[key].append(child.time(measured[key]["steps"]) / measured[key]["steps"])
                child.pause()
    for key, child in running.items():
        if child.failed is None:
            measured[key]["seconds"] = [float(f"{seconds:.5g}") for seconds in times[key]]
        else:
            measured[key] = {"error": child.failed}
        child.end()
    return measured


def disagreements(workload: str, measured: dict[str, Any], folder: Path) -> list[str]:
    """A line for each peer that has another result after the same steps than the reference, or than the first that
    has one."""
    results = {}
    for key, numbers in measured.items():
        path = _result_file(folder, workload, key)
        if "error" not in numbers and path.exists():
            results[key] = np.load(path)
    if not results:
        return []
    first = next((key for key in results if key.startswith(REFERENCE)), next(iter(results)))
    work, expected = WORKLOADS[workload], results[first]
    change = np.linalg.norm(expected - (work.data().start() if isinstance(work, Net | Layers) else 0))
    lines = []
    for key, result in results.items():
        distance = float(np.linalg.norm(result - expected) / change) if result.shape == expected.shape else math.inf
        measured[key]["distance"] = float(f"{distance:.2g}")
        if not distance <= AGREE:
            lines.append(
                f"{workload}: after the same steps, {key} differs from {first} by {distance:.2g} of the change"
            )
    return lines


def _built(peer: str, workload: str, threads: int, folder: Path, patience: float) -> tuple[Child, dict[str, Any]]:
    """The peer at work, but stopped, and what it said; the fastest of several where chance decides how it is
    compiled."""
    found: list[tuple[float, Child, dict[str, Any]]] = []
    by_chance = workload in PEERS[peer].by_chance
    for _ in range(BUILDS if by_chance else 1):
        child = _start(peer, workload, threads, folder)
        said = child.ready(patience)
        seconds = min(child.time(1) for _ in range(5)) if by_chance and child.failed is None else 0.0
        if child.failed is not None:
            return child, said
        child.pause()
        found.append((seconds, child, said))
    (_, child, said), *others = sorted(found, key=lambda one: one[0])
    for _, other, _ in others:
        other.end()
    return child, said


def _start(peer: str, workload: str, threads: int, folder: Path) -> Child:
    key = f"{peer}@{threads}"
    log = folder / f"{workload}-{key.replace(' ', '-')}.log"
    result = _result_file(folder, workload, key)
    return Child(["--child", peer, workload, str(threads), str(result)], threads, log, folder / "caches")


def _result_file(folder: Path, workload: str, key: str) -> Path:
    return folder / f"{workload}-{key.replace(' ', '-')}.npy"


def _steps(child: Child, slice_seconds: float) -> int:
    """How many steps take about as long as a slice."""
    steps, seconds = 1, child.time(1)
    while seconds < slice_seconds / 2 and steps < 10**7:
        steps = max(steps + 1, min(steps * 20, int(steps * slice_seconds / max(seconds, 1e-7))))
        seconds = child.time(steps)
    return steps
