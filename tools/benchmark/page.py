"""``docs/performance.md`` and ``docs/performance_tables.md``, made from the results and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import large
from benchmark.growth import AXES
from benchmark.report import (
    bounds_table,
    calls_table,
    growth_table,
    limited_table,
    limits_table,
    markdown,
    memory_table,
    start_table,
    steps_table,
    summary_table,
    title,
)


def page(result: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The page in Markdown, of two screens; ``pictures`` are the names of files beside it."""
    parts = ["# Performance", _INTRODUCTION]
    if result["steps"]:
        parts += [markdown(summary_table(result["steps"])), _SUMMARY]
        parts += [f"![{_PICTURES[kind]}]({name})" for kind, name in _kinds(pictures) if kind == "steps-1"]
        calls = calls_table(result["steps"])
        if calls[1]:
            parts += ["## One call for each step", _CALLS, markdown(calls)]
    if result["bounds"]:
        parts += ["## What had to come out", _judged(result)]
    parts += ["## How it is measured", _METHOD.format(**result["settings"]), _machine(result), "## Again", _AGAIN]
    return _joined(parts)


def tables(result: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The page of all tables, in Markdown."""
    parts = ["# Performance: the tables", _TABLES]
    parts += [f"![{_PICTURES[kind]}]({name})" for kind, name in _kinds(pictures) if kind != "steps-1"]
    if result["bounds"]:
        parts += ["## What had to come out", _BOUNDS, markdown(bounds_table(result["bounds"]))]
        parts.append(markdown(limits_table(result["limits"])))
    if result["steps"]:
        parts += ["## Time for a step", _STEPS]
        for workload, measured in result["steps"].items():
            for threads in result["settings"]["threads"]:
                if any(key.endswith(f"@{threads}") for key in measured):
                    parts.append(f"### {title(workload)}, {threads} thread{'s' if threads > 1 else ''}")
                    parts.append(markdown(steps_table(workload, measured, threads)))
        parts += ["## Memory", _MEMORY, markdown(memory_table(result["steps"]))]
    if result.get("memory"):
        parts += ["### With a limit", _LIMITED, markdown(limited_table(result["memory"]))]
    if result["start"]:
        parts += ["## From the start of a process to the first step", _START, markdown(start_table(result["start"]))]
    if result["growth"]:
        parts += ["## Growth", _GROWTH]
        for axis, measured in result["growth"].items():
            parts += [f"### {AXES[axis][0]}", markdown(growth_table(measured))]
    if result["plans"]:
        parts += ["### Building a plan", _PLANS, markdown(_plans(result["plans"]))]
    if result.get("large"):
        parts += ["### Large graphs", _LARGE, markdown(large.table(result["large"]))]
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _kinds(pictures: Sequence[str]) -> list[tuple[str, str]]:
    return [(name.rpartition("performance-")[2].partition(".")[0], name) for name in pictures]


def _judged(result: Mapping[str, Any]) -> str:
    """How many bounds are met, and a table of the others."""
    first = [row for row in result["bounds"] if row["narrow"]]
    others = [row for row in result["bounds"] if not row["narrow"]]
    missed, over = ([row for row in rows if row["verdict"] != "met"] for rows in (others, result["limits"]))
    count = len(others) + len(result["limits"])
    met = f"Of {count} more bounds, {count - len(missed) - len(over)} are met; these are not:"
    shown = [markdown(table(rows)) for table, rows in ((bounds_table, missed), (limits_table, over)) if rows]
    met = met if shown else met.replace("; these are not:", ".")
    return "\n\n".join([_BOUNDS.strip(), markdown(bounds_table(first)), met, *shown])


def _machine(result: Mapping[str, Any]) -> str:
    facts = "Measured on " + ", ".join(f"{name} {value}" for name, value in result["machine"].items()) + "."
    return f"{facts} {result['note']}".strip()


def _plans(plans: Sequence[Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [f"{int(plan['size']):,}", f"{plan['graph']:.3g} s", f"{plan['seconds']:.3g} s", f"{plan['memory']:.0f} MiB"]
        for plan in plans
        if "size" in plan
    ]
    return ["ops", "the graph", "the plan", "memory of the plan"], rows


_PICTURES = {
    "steps-1": "Time for a step over that of numpy by hand, one thread",
    "steps-2": "Time for a step over that of numpy by hand, two threads",
    "growth": "How time and memory grow with nodes, width, depth and batch",
}
_LARGE = """
Microseconds of one processor for each node of a graph with so many, those of its gradient included: to build it, to
differentiate it, to make the plan of both, to run that on the numpy backend, the first time with its preparation, to
save the model as msgpack, to load it, and to draw it, which folds or refuses so much. In brackets over the next
smaller graph: 1 is linear. Then the seconds from building to the second run, and the most memory that the process
held. A chain of elementwise ops; layers with a matrix and a bias each; a node that all others read; ops that join
5,000 others each.
"""
_INTRODUCTION = """
How long one step of training takes in dataflow, and in hand-written numpy, PyTorch and JAX: forward, backward and an
update by plain gradient descent, on the same numbers, in float32, on one thread. [The tables](performance_tables.md)
have every peer, two threads, memory, the time to the first step, and growth.
"""
_SUMMARY = """
PyTorch and JAX stand here with the faster of their two ways (eager or `torch.compile`; `jax.jit` or a loop inside
`jax.jit`). The last column is the time of the compiled backend, `llvm`, over that of the fastest of the others: below 1
is faster, and between two that do the same work, ratios up to 1.25 are noise.
"""
_CALLS = """
`run(n)` keeps the loop over the steps inside; `step()` is a call from Python for each step, with its checks (a finite
loss, the last good state), and gives the loss. `jax.jit` is one call of a jitted step for each step, which does not
wait for the results before the next.
"""
_MEMORY = """
The most that each process has held, on one thread: its interpreter, its libraries and what compiling took included.
What training itself takes is best seen against the first row, a net of nine parameters.
"""
_LIMITED = """
What `memory_limit` costs: results of the forward pass are forgotten and computed again, so that the intermediate
results take less. Without a limit, half way to the least, and the least that can be met. The process is as above.
A model that stands there without a limit alone has nothing to forget: most is held inside its first layer.
"""
_METHOD = """
Every peer is a process of its own, pinned to as many processors as it has threads; they run in turn, {rounds} rounds of
about {slice} s each, and whoever has not its turn is stopped. Numbers are medians over the rounds. A ratio is one of
medians, with the interval that holds it with 95 % (rounds drawn again, 4,000 times). After ten steps all peers had the
same parameters or gradients to a thousandth of what the steps changed, or this page would not be here. JAX compiles f
in another way from process to process: of four, the fastest is measured.
"""
_TABLES = """
All that [the benchmark](performance.md) measured: that page says what is compared and how. [The
numbers](performance.json) behind both are there, too.
"""
_BOUNDS = """
A bound is missed when the whole interval lies above it. Those in the first table of this page are
also missed when the interval is wider than a tenth of the ratio. "The fastest peer" is the fastest of hand-written
numpy, PyTorch and JAX in this run, compiled and with the loop inside where they can. "Products alone" are the matrix
products of a step and nothing else, each made by whichever of numpy's and PyTorch's libraries is faster on this
machine: ours may be below, as the compiled backend has products of its own.
"""
_STEPS = """
"Over" is the peer's time over the other's: below 1 is faster. Memory is the most that the process has held, its
interpreter and libraries included.
"""
_START = """
One thread, from the start of the process to the end of the first step, imports included: with whatever a compiler keeps
on disk from an earlier process, and the first time, when it has kept nothing.
"""
_GROWTH = """
Time for a step and the most memory that the process has held until then, one thread. A peer is missing where it did
not come so far within the time it was given.
"""
_PLANS = "The plan of a graph of elementwise ops, in a process of its own. Memory is what the plan adds to the graph's."
_AGAIN = """
```text
python3 tools/environment.py dev bench
.venv/bin/python tools/bench.py -o performance.json
.venv/bin/python tools/bench.py --document performance.json
```

The first line installs PyTorch and JAX, which are large; peers that are not installed are left out. `--quick` is a
smoke test, `--only steps --workloads c32,d --peers torch` measures a part, `--rounds 40` narrows the intervals;
`--document` takes several parts of one machine. The
last line makes this page, the tables, the pictures and [the numbers](performance.json).
"""
