"""The results as pictures, in SVG or PNG by the ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.growth import AXES
from benchmark.judge import ratio
from benchmark.peers import PEERS, REFERENCE
from benchmark.workloads import WORKLOADS

STYLES = {
    "dataflow numpy": ("#d55e00", "o"),
    "dataflow llvm": ("#cc0044", "D"),
    "numpy by hand": ("#000000", "|"),
    "torch": ("#0072b2", "s"),
    "torch.compile": ("#56b4e9", "^"),
    "jax.jit": ("#009e73", "v"),
    "jax loop": ("#7fbf4f", "<"),
}
"""Colours that people with colour blindness tell apart, and a form of its own for each."""
OTHERS = ("#882255", "p")
"""Of a backend that a plugin brings."""
LETTERS = {"svg.hashsalt": "dataflow", "svg.fonttype": "none", "font.size": 9}


def draw(path: Path, result: Mapping[str, Any]) -> list[Path]:
    """Pictures beside ``path``: time for a step, and what grows. Those of which nothing was measured are not drawn."""
    drawn: list[tuple[str, Callable[[Any, Mapping[str, Any]], None], Mapping[str, Any], tuple[float, float]]] = []
    for threads in result["settings"]["threads"]:
        if _measured(result["steps"], threads):
            size = (8.0, 1.4 + 0.62 * len(_measured(result["steps"], threads)))
            drawn.append((f"steps-{threads}", lambda f, s, t=threads: _steps(f, s, t), result["steps"], size))
    if any(any(peers.values()) for peers in result["growth"].values()):
        drawn.append(("growth", _growth, result["growth"], (11.0, 6.4)))
    paths = []
    for name, make, numbers, size in drawn:
        target = path.with_name(f"{path.stem}-{name}{path.suffix}")
        _save(target, size, lambda figure, make=make, numbers=numbers: make(figure, numbers))
        paths.append(target)
    return paths


def _save(path: Path, size: tuple[float, float], make: Callable[[Any], None]) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(LETTERS):
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
        FigureCanvasAgg(figure)
        make(figure)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=150, metadata=metadata, facecolor="white")


def _measured(steps: Mapping[str, Any], threads: int) -> list[str]:
    return [name for name in WORKLOADS if "seconds" in steps.get(name, {}).get(f"{REFERENCE}@{threads}", {})]


def _steps(figure: Any, steps: Mapping[str, Any], threads: int) -> None:
    axes = figure.add_subplot()
    names = _measured(steps, threads)
    peers = [peer for peer in PEERS if any("seconds" in steps[name].get(f"{peer}@{threads}", {}) for name in names)]
    peers = [peer for peer in peers if not PEERS[peer].only]
    spread = np.linspace(-0.3, 0.3, len(peers))
    for peer, shift in zip(peers, spread, strict=True):
        colour, marker = STYLES.get(peer, OTHERS)
        places, values, lows, highs = [], [], [], []
        for row, name in enumerate(names):
            numbers = steps[name].get(f"{peer}@{threads}", {})
            if "seconds" in numbers:
                quotient = ratio(numbers["seconds"], steps[name][f"{REFERENCE}@{threads}"]["seconds"])
                places.append(row + shift)
                values.append(quotient.value)
                lows.append(quotient.value - quotient.low)
                highs.append(quotient.high - quotient.value)
        axes.errorbar(
            values,
            places,
            xerr=[lows, highs],
            fmt=marker,
            color=colour,
            label=peer,
            markersize=6,
            elinewidth=1,
            capsize=2,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), [f"{name}: {WORKLOADS[name].title}" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    for row in range(len(names) - 1):
        axes.axhline(row + 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(
        f"time for a step over numpy by hand, {threads} thread{'s' if threads > 1 else ''} (left is faster)"
    )
    figure.legend(loc="outside upper center", ncols=4, frameon=False)


def _growth(figure: Any, growth: Mapping[str, Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    shown = [axis for axis in AXES if any(growth.get(axis, {}).values())]
    grid = figure.subplots(2, len(shown), squeeze=False)
    lines: dict[str, Any] = {}
    for column, axis in enumerate(shown):
        for peer, rows in growth[axis].items():
            colour, marker = STYLES.get(peer, OTHERS)
            rows = [point for point in rows if "size" in point]
            sizes = [point["size"] for point in rows]
            for row, (key, factor) in enumerate((("step", 1e3), ("memory", 1.0))):
                (line,) = grid[row][column].plot(
                    sizes,
                    [point[key] * factor for point in rows],
                    marker=marker,
                    color=colour,
                    markersize=4,
                    linewidth=1.2,
                )
                lines[peer] = line
        for row in range(2):
            grid[row][column].set_xscale("log")
            grid[row][column].set_yscale("log")
            grid[row][column].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            grid[row][column].yaxis.set_major_formatter("{x:g}")
            grid[row][column].yaxis.set_minor_formatter(NullFormatter())
            grid[row][column].grid(alpha=0.3)
        grid[1][column].set_xlabel(AXES[axis][0])
    grid[0][0].set_ylabel("ms for a step")
    grid[1][0].set_ylabel("peak memory, MiB")
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=len(lines), frameon=False)
