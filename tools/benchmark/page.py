"""``docs/performance.md``, made from the results and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.growth import AXES
from benchmark.report import bounds_table, growth_table, limits_table, markdown, start_table, steps_table, title


def page(result: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The page in Markdown; ``pictures`` are the names of files beside it."""
    parts = ["# Performance", _INTRODUCTION.format(**_settings(result)), _machine(result)]
    parts += [f"![{_PICTURES[name.rpartition('performance-')[2].partition('.')[0]]}]({name})" for name in pictures]
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
    if result["start"]:
        parts += ["## From the start of a process to the first step", _START, markdown(start_table(result["start"]))]
    if result["growth"]:
        parts += ["## Growth", _GROWTH]
        for axis, measured in result["growth"].items():
            parts += [f"### {AXES[axis][0]}", markdown(growth_table(measured))]
    if result["plans"]:
        parts += ["### Building a plan", _PLANS, markdown(_plans(result["plans"]))]
    parts += ["## Again", _AGAIN]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _settings(result: Mapping[str, Any]) -> dict[str, Any]:
    return dict(result["settings"])


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
_INTRODUCTION = """
dataflow beside hand-written numpy, PyTorch and JAX: one step of training is forward, backward and an update by plain
gradient descent, on the same numbers, in float32. Every peer is a process of its own, pinned to as many processors
as it has threads; they run in turn, {rounds} rounds of about {slice} s each, and whoever has not its turn is stopped.
Numbers are medians over the rounds. A ratio is one of medians, with the interval that holds it with 95 % (rounds drawn
again, 4,000 times). After ten steps all peers had the same parameters or gradients to a thousandth of what the steps
changed, or this page would not be here.
"""
_BOUNDS = """
A bound is missed when the whole interval lies above it. "The fastest peer" is the fastest of hand-written numpy,
PyTorch and JAX in this run. Between two that do the same work, ratios up to 1.25 are noise.
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
smoke test, `--only steps --workloads c32,d --peers torch` measures a part, `--rounds 40` narrows the intervals. The
last line makes this page, its pictures and [the numbers](performance.json).
"""
