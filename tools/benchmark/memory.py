"""Memory of training: what a limit on it costs in time, for the models of layers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.child import Child, answers, peak_memory
from benchmark.steps import Progress
from benchmark.workloads import WORKLOADS, Layers

LIMITED = ("conv", "transformer")
BACKENDS = ("numpy", "llvm")


def serve(workload: str, backend: str, limit: int) -> None:
    """The child: train with the limit in bytes (0 for none); then the seconds of so many steps for each line read."""
    say = answers()
    import dataflow
    from benchmark.ours import layers_model

    work: Layers = WORKLOADS[workload]
    data = work.data()
    trainer = dataflow.Trainer(
        layers_model(work),
        {"x": data.x, "y": data.y},
        batch_size=work.batch,
        optimizer={"name": "sgd", "learning_rate": work.learning_rate},
        backend=backend,
        memory_limit=limit or None,
    )
    trainer.run(3)
    say(memory=peak_memory(), parameters=float(np.sum([np.abs(array).sum() for array in trainer.parameters.values()])))
    while True:
        try:
            steps = int(input())
        except EOFError:
            return
        begun = time.perf_counter()
        trainer.run(steps)
        say(seconds=time.perf_counter() - begun)


def measure(workloads: Sequence[str], rounds: int, patience: float, folder: Path, progress: Progress) -> list[Any]:
    """For each of these workloads, backend and limit: bytes of the intermediate results, seconds of a step in each
    round, the most memory of the process. All limits of a backend run in turn."""
    rows: list[Any] = []
    for workload in [name for name in workloads if name in LIMITED]:
        sizes = limits(WORKLOADS[workload])
        for backend in BACKENDS:
            progress(f"memory: {workload}, {backend}")
            rows += _of_backend(workload, backend, sizes, rounds, patience, folder)
    return rows


def disagreements(rows: Sequence[Any]) -> list[str]:
    """A line for each row that failed, or trained to other parameters than without a limit."""
    first = {(row["workload"], row["backend"]): row.get("parameters") for row in rows if not row["limit"]}
    found = []
    for row in rows:
        which = f"{row['workload']}: {row['backend']} with a limit of {row['limit']} bytes"
        if "error" in row:
            found.append(f"{which}: {row['error']}")
        elif row["parameters"] != first[row["workload"], row["backend"]]:
            found.append(f"{which} has other parameters than without")
    return found


def limits(work: Layers) -> list[tuple[int, int]]:
    """The limits to try, in bytes, and what is used below each: none (0), half way to the least, and the least that
    can be met, to a hundredth of what is used without a limit."""
    most = intermediate(work, None)
    assert most is not None
    low, high, used = 0, most, most
    while high - low > most / 100:
        middle = (low + high) // 2
        found = intermediate(work, middle)
        if found is None:
            low = middle
        else:
            high, used = found, found
    half = (most + used) // 2
    tried = {intermediate(work, half) or most: half, used: used}
    return [(0, most), *((limit, found) for found, limit in tried.items() if found < most)]


def intermediate(work: Layers, limit: int | None) -> int | None:
    """Bytes of what a step computes on the way, with a limit; ``None`` where it cannot be met."""
    from benchmark.ours import layers_model
    from dataflow.errors import MemoryLimitError
    from dataflow.profiling.profiler import profile

    data = work.data()
    try:
        found = profile(
            layers_model(work), data={"x": data.x, "y": data.y}, batch_size=work.batch, memory_limit=limit, run=False
        )
    except MemoryLimitError:
        return None
    return found.memory["intermediate results"]


def _of_backend(
    workload: str, backend: str, sizes: Sequence[tuple[int, int]], rounds: int, patience: float, folder: Path
) -> list[Any]:
    rows: list[Any] = []
    children = []
    for limit, used in sizes:
        log = folder / f"memory-{workload}-{backend}-{limit}.log"
        child = Child(["--limited", workload, backend, str(limit)], 1, log, folder / "caches")
        said = child.answer(patience)
        row = {"workload": workload, "backend": backend, "limit": limit, "intermediate": used}
        rows.append(row | (said or {"error": child.failed}))
        if said:
            child.pause()
            children.append((child, rows[-1]))
            rows[-1]["seconds"] = []
    steps = 1
    for number in range(rounds + 1):
        for child, row in children:
            child.resume()
            if number:
                row["seconds"].append(float(f"{child.time(steps) / steps:.5g}"))
            else:  # how many steps make a slice
                steps = max(steps, int(0.05 / max(child.time(1), 1e-4)))
            child.pause()
    for child, _ in children:
        child.end()
    return rows
