"""A profile as a picture: a flame graph of the step, and bars for its ops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dataflow.errors import cut
from dataflow.profiling.step_costs import Row, StepCosts
from dataflow.support.figures import written_figure

COLOURS = {"forward": "#56b4e9", "backward": "#e69f00", "update": "#009e73", "recomputed": "#cc79a7"}
"""Of the passes; people with colour blindness tell them apart."""
LETTER = 0.0088
"""The width of a letter of a label as a share of the step's."""
LEVELS = 4
BARS = 12
"""The most bars; what is left is one more."""


@dataclass(frozen=True)
class Box:
    """A box of the flame graph: where it begins and ends, and its level, counted from below."""

    start: float
    width: float
    level: int
    label: str
    phase: str


def plot_profile(profile: StepCosts, path: str | Path) -> None:
    """Draw a profile: of time where each op's is known, of operations and bytes otherwise."""
    bars = _bars(profile)
    with written_figure(path, "drawing a profile", (10.0, 3.6 + 0.24 * len(bars)), {"font.size": 9}) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(2.6, 0.5 + 0.24 * len(bars)))
        _draw_flames(above, profile)
        _draw_bars(below, bars, unit(profile))


def flames(profile: StepCosts) -> Iterator[Box]:
    """Boxes in four levels: the step, its passes, the nodes that the file declares, their ops. Neighbours that belong
    together are one box."""
    for level in range(LEVELS):
        place = 0.0
        for _, group in groupby(profile.rows, lambda row: (row.phase, row.owner, row.op)[:level]):  # noqa: B023
            rows = list(group)
            width = sum(weight(profile, row) for row in rows)
            yield Box(place, width, level, _label(profile, rows[0], level), rows[0].phase)
            place += width


def weight(profile: StepCosts, row: Row) -> float:
    """Return how large a row is drawn: its microseconds, or its operations."""
    if unit(profile) == "µs":
        return (row.seconds or 0.0) * 1e6
    return float(row.cost.operations)


def unit(profile: StepCosts) -> str:
    """Name the quantity that is drawn."""
    return "µs" if profile.rounds and profile.total.seconds is not None else "operations"


def _label(profile: StepCosts, row: Row, level: int) -> str:
    if level == 0:
        return profile.model or "step"
    if level == 1:
        return row.phase
    if level == 2:
        return f"∂{row.owner}" if row.phase == "backward" else row.owner
    return row.op


def _draw_flames(axes: Any, profile: StepCosts) -> None:
    boxes = list(flames(profile))
    whole = max((box.start + box.width for box in boxes), default=0.0) or 1.0
    for box in boxes:
        colour = "0.85" if box.level == 0 else COLOURS[box.phase]
        axes.barh(
            box.level,
            box.width,
            0.94,
            box.start,
            color=colour,
            edgecolor="white",
            linewidth=0.6,
            alpha=1 - 0.18 * box.level,
        )
        letters = int(box.width / whole / LETTER)
        if letters >= min(len(box.label), 3) and box.label:
            text = cut(box.label, letters, mark="…")
            axes.text(box.start + box.width / 2, box.level, text, ha="center", va="center", fontsize=8, clip_on=True)
    axes.set_xlim(0, whole)
    axes.set_yticks(range(LEVELS), ["step", "pass", "node", "op"])
    axes.set_xlabel(unit(profile))
    axes.spines[["top", "right"]].set_visible(False)
    batch = "" if profile.batch is None else f", batch of {profile.batch}"
    axes.set_title(f"{profile.model}{batch}, {profile.backend}", loc="left")


def _bars(profile: StepCosts) -> list[tuple[str, str, float]]:
    """Return label, pass and size of each bar, the largest first."""
    rows = sorted(profile.by("op"), key=lambda row: weight(profile, row), reverse=True)
    bars = [(f"{row.op} ({row.phase})", row.phase, weight(profile, row)) for row in rows if weight(profile, row)]
    rest = bars[BARS:]
    return bars[:BARS] + ([(f"{len(rest)} others", "", sum(size for _, _, size in rest))] if rest else [])


def _draw_bars(axes: Any, bars: Sequence[tuple[str, str, float]], measured: str) -> None:
    whole = sum(size for _, _, size in bars) or 1.0
    for place, (_, phase, size) in enumerate(bars):
        axes.barh(place, size, 0.75, color=COLOURS.get(phase, "0.7"))
        axes.text(size, place, f" {size:,.3g}  ({100 * size / whole:.0f} %)", va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.set_xlabel(measured)
    axes.spines[["top", "right"]].set_visible(False)
