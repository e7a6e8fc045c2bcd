"""Large graphs: what each step takes, for graphs of several forms, and how it grows with the nodes."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.child import Child, answers, peak_memory
from benchmark.steps import Progress

SIZES = (10**5, 10**6)
"""Nodes, those of the gradient included."""
MOST_BYTES = 6 * 10**9
"""What a process may take; more ends it."""
JOINED = 5000
"""Inputs of each op that joins."""
STEPS = ("build", "differentiate", "plan", "first run", "run", "save", "load", "draw")


def _chain(graph: Any, nodes: int) -> list[str]:
    from dataflow.ops import sum as sum_

    h = x = graph.input("x", (4,))
    w, v = graph.input("w", (4,)), graph.input("v", (4,))
    for _ in range(nodes // 12):
        h = h * w + (h + x) * v
    graph.node("loss", sum_(h))
    return ["x", "w", "v"]


def _layers(graph: Any, nodes: int) -> list[str]:
    from dataflow.ops import sum as sum_
    from dataflow.ops import tanh

    h, names = graph.input("x", (2, 4)), []
    for i in range(nodes // 13):
        names += [f"W{i}", f"b{i}"]
        w, b = graph.parameter(f"W{i}", (4, 4), init="he_normal"), graph.parameter(f"b{i}", (4,), init="zeros")
        h = graph.node(f"h{i}", tanh(h @ w + b))
    graph.node("loss", sum_(h))
    return names


def _read_by_many(graph: Any, nodes: int) -> list[str]:
    from dataflow.ops import sum as sum_

    x = graph.input("x", (4,))
    total = x
    for i in range(nodes // 4):
        total = total + x * float(i + 1)
    graph.node("loss", sum_(total))
    return ["x"]


def _concatenate(graph: Any, nodes: int) -> list[str]:
    from dataflow.ops import concatenate
    from dataflow.ops import sum as sum_

    x = graph.input("x", (4,))
    left, joined = nodes // 4, []
    while left > 0:  # a file has at most 10,000 inputs for a node
        joined.append(concatenate(*(x * float(i + 1) for i in range(min(left, JOINED)))))
        left -= JOINED
    graph.node("loss", sum_(concatenate(*joined)))
    return ["x"]


FORMS: Mapping[str, tuple[str, Callable[[Any, int], list[str]]]] = {
    "chain": ("a chain of elementwise ops", _chain),
    "layers": ("layers, each with a matrix and a bias", _layers),
    "read by many": ("a node that all others read, and their sum", _read_by_many),
    "concatenate": ("ops that join 5,000 others each", _concatenate),
}


def serve(form: str, nodes: int) -> None:
    """The child: the seconds of the processor for each step, and the most memory by then."""
    say = answers()
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    import dataflow

    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()  # of this process alone, so that what else the machine does counts little
        result = work()
        seconds[step], memory[step] = time.process_time() - begun, peak_memory()
        return result

    before = peak_memory()
    graph = dataflow.Graph("large", dtype="float32")
    wrt = timed("build", lambda: FORMS[form][1](graph, nodes))
    count = _gradient(graph, wrt, timed)
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.msgpack"
        with dataflow.Limits(nodes=10 * nodes, structure=2**32, work=10**15):
            timed("save", lambda: dataflow.save(dataflow.Model(graph, [], "loss"), file))
            model = timed("load", lambda: dataflow.load(file))

    def draw() -> None:
        with suppress(dataflow.DataflowError):  # which says that it is too large
            dataflow.draw(model)

    timed("draw", draw)
    say(form=form, size=nodes, nodes=count, forward=len(graph), before=before, seconds=seconds, memory=memory)


def _gradient(graph: Any, wrt: list[str], timed: Callable[[str, Callable[[], Any]], Any]) -> int:
    """Differentiate, plan and run; how many nodes the graph then has."""
    from dataflow.autodiff.reverse import gradient_graph
    from dataflow.backends.numpy_runner import NumpyRunner
    from dataflow.plan import make_plan

    gradient = timed("differentiate", lambda: gradient_graph(graph, "loss", wrt))
    outputs = ["loss", *(gradient.cotangents[name] for name in wrt)]
    specs = {name: graph.spec(name) for name in [*graph.names("input"), *graph.names("parameter")]}
    plan = timed("plan", lambda: make_plan(gradient.graph, outputs, specs))
    arrays = [np.full(spec.shape, 0.5, spec.dtype) for spec in specs.values()]
    runner = NumpyRunner(plan)
    timed("first run", lambda: runner.run(arrays))
    timed("run", lambda: runner.run(arrays))
    return len(gradient.graph)


def measure(most: int, patience: float, folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Each form and size, in a process of its own; ``error`` where it did not come to its end."""
    rows = []
    for form in FORMS:
        for nodes in [size for size in SIZES if size <= max(most, SIZES[0])]:
            progress(f"{nodes:,} nodes: {form}")
            child = Child(["--large", form, str(nodes)], 1, folder / "large.log", folder / "caches")
            row = child.answer(patience)
            rows.append(_rounded(row) if row else {"form": form, "size": nodes, "error": child.failed or "ended"})
            child.end()
    return rows


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    def each(values: Mapping[str, float]) -> dict[str, float]:
        return {name: float(f"{value:.4g}") for name, value in values.items()}

    return row | {
        "before": float(f"{row['before']:.4g}"),
        "seconds": each(row["seconds"]),
        "memory": each(row["memory"]),
    }


def table(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Microseconds a node for each step of each graph; where the next smaller one was measured, the ratio to it."""
    body: list[list[str]] = []
    last: dict[tuple[str, str], float] = {}
    for row in rows:
        cells = [row["form"], f"{row['size']:,}"]
        if "error" in row:
            body.append([*cells, row["error"]] + [""] * len(STEPS))
            continue
        for step in STEPS:
            each = row["seconds"][step] / row["size"] * 1e6
            before = last.get((row["form"], step))
            ratio = "" if before is None or each < 0.1 else f" ({each / before:.2g}×)"
            last[row["form"], step] = each
            cells.append(f"{each:.3g}{ratio}")
        total = sum(row["seconds"][step] for step in STEPS[:5])
        cells.append(f"{total:.3g} s, {max(row['memory'].values()) / 1024:.2g} GiB")
        body.append(cells)
    return ["", "nodes", *STEPS, "built to run, most memory"], body
