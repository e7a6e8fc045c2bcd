"""How time and memory grow: with nodes, width, depth and batch; and what building a plan takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.child import Child, answers, peak_memory
from benchmark.peers import PEERS, find
from benchmark.steps import Progress
from benchmark.workloads import Chain, Net


def _net(name: str, *sizes: int, batch: int = 64) -> Net:
    return Net(name, name, sizes, batch, "mse", learning_rate=1e-7)  # so that none diverges


AXES: dict[str, tuple[str, Callable[[int], Any], tuple[int, ...]]] = {
    "nodes": ("ops on 4 numbers", lambda n: Chain("chain", "", n // 4), (10**2, 10**3, 10**4, 10**5, 10**6)),
    "width": (
        "hidden units, 64-width-10, batch 64",
        lambda n: _net("width", 64, n, 10),
        (16, 64, 256, 1024, 4096, 16384),
    ),
    "depth": ("layers of 64, batch 64", lambda n: _net("depth", *([64] * (n + 1))), (1, 4, 16, 64, 256, 1024)),
    "batch": ("examples, 784-128-10", lambda n: _net("batch", 784, 128, 10, batch=n), (1, 8, 64, 512, 4096)),
}
"""What grows: in words, the workload of each size, the sizes."""
PLANS = (10**3, 10**4, 10**5, 10**6)
REPEATS = 5


def serve(peer: str, axis: str, most: int) -> None:
    """The child: for each size up to ``most``, and for the smallest in any case, the seconds to build, those of the
    first step and of later ones, and the most memory so far."""
    say = answers()
    _, workload, sizes = AXES[axis]
    for size in sizes:
        if size > max(most, sizes[0]):
            break
        start = time.perf_counter()
        work = find(peer).make(workload(size), 1)
        built = time.perf_counter()
        work.run(1)
        first = time.perf_counter()
        later = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            work.run(1)
            later.append(time.perf_counter() - begun)
            if time.perf_counter() - first > 2:
                break
        say(size=size, build=built - start, first=first - built, step=min(later), memory=peak_memory())
        del work


def serve_plan(ops: int) -> None:
    """The child: the seconds and the memory that a plan of so many ops takes, its graph apart."""
    say = answers()
    from benchmark.ours import chain_model
    from dataflow.plan import make_plan

    start = time.perf_counter()
    graph = chain_model(Chain("chain", "", ops // 4)).graph
    built = time.perf_counter()
    before = _reset_peak()
    arguments = {name: graph.spec(name) for name in graph.names("input")}
    begun = time.perf_counter()
    plan = make_plan(graph, ["loss"], arguments)
    seconds = time.perf_counter() - begun
    say(
        size=ops,
        graph=built - start,
        seconds=seconds,
        memory=peak_memory() - before,
        instructions=len(plan.instructions),
    )


def measure(
    axis: str, peers: Sequence[str], most: int, patience: float, folder: Path, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """For each peer, what each size takes, as far as it comes within ``patience`` seconds."""
    measured = {}
    for peer in [peer for peer in peers if PEERS[peer].grows]:
        progress(f"growth: {axis}, {peer}")
        child = Child(["--grow", peer, axis, str(most)], 1, folder / "growth.log", folder / "caches")
        measured[peer] = list(_lines(child, patience))
    return measured


def measure_plans(most: int, patience: float, folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """What a plan takes, for several numbers of ops."""
    rows: list[dict[str, Any]] = []
    for ops in PLANS:
        if ops <= max(most, PLANS[0]):
            progress(f"plan of {ops:,} ops")
            child = Child(["--plan", str(ops)], 1, folder / "growth.log", folder / "caches")
            rows += list(_lines(child, patience))
    return rows


def _lines(child: Child, patience: float) -> Iterator[dict[str, Any]]:
    """What the child says; the last line says why it stopped before it was done."""
    end = time.perf_counter() + patience
    while (left := end - time.perf_counter()) > 0:
        said = child.answer(left)
        if not said:
            break
        yield {key: value if isinstance(value, int) else float(f"{value:.4g}") for key, value in said.items()}
    child.end()
    if child.failed:
        yield {"stopped": child.failed}


def _reset_peak() -> float:
    """Forget the most memory so far, where the system can; the memory that is held now, in MiB."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory()
