"""A profile as text, for a terminal of 80 columns and for ``print``."""

from __future__ import annotations

from dataflow.errors import counted
from dataflow.errors import cut as cut_name
from dataflow.operations.operation_cost import Cost
from dataflow.profiling.cut import Cut
from dataflow.profiling.plan_listing import listing
from dataflow.profiling.roofline import Peaks
from dataflow.profiling.step_costs import BACKWARD, FORWARD, UPDATE, Row, StepCosts
from dataflow.support.text_tables import column_parts, columns_text

MOST_ROWS = 40
NODE = 20
"""The widest name of a node."""


def profile_text(profile: StepCosts, by: str = "instruction") -> str:
    """Format the whole profile: what each row and each pass costs, memory, time."""
    parts = [_heading(profile), rows_text(profile, by), phases_text(profile), memory_text(profile)]
    if profile.seconds is not None:
        parts.append(_time_text(profile))
    if profile.peaks is not None:
        parts.append(peaks_text(profile.peaks))
    if profile.cut is not None:
        parts.append(cut_text(profile.cut))
    return "\n\n".join(parts)


def rows_text(profile: StepCosts, by: str) -> str:
    """A table, the rows of each pass together. Of very many rows, those that take the most are shown."""
    rows = profile.by(by)
    timed = any(row.seconds is not None for row in rows)
    shown = set(map(id, sorted(rows, key=lambda row: _weight(row, timed), reverse=True)[:MOST_ROWS]))
    names = {"instruction": ["node", "op", "shape"], "node": ["node"], "op": ["op"]}[by]
    width = NODE
    if profile.peaks is not None and by == "instruction":
        names, width = names[:2], NODE - 2  # so that all fits in 80 columns
    cells = [[*names, *_headers(profile, timed)]]
    lines: list[str | None] = []
    phase = ""
    for row in rows:
        if id(row) not in shown:
            continue
        if row.phase != phase:
            lines.append(phase := row.phase)
        cells.append([*(_name(row, name, width) for name in names), *_numbers(row, profile, timed)])
        lines.append(None)
    table: list[str] = []
    for part in column_parts(cells, len(names)):
        texts = iter(part)
        table += ["", next(texts), *(line if line is not None else next(texts) for line in lines)]
    table = table[1:]
    if len(rows) > len(shown):
        what = "take longest" if timed else "do most"
        table.append(
            f"the {len(shown)} of {len(rows):,} rows that {what}; --json has all, --by node or --by op adds them up"
        )
    return "\n".join(table)


def phases_text(profile: StepCosts) -> str:
    """Format what forward pass, backward pass, update and the whole step cost, by kinds of operations."""
    kinds = list(Cost().plain())
    rows = profile.by("phase")
    cells = [["", *kinds]]
    for name, row in (*((row.phase, row) for row in rows), ("together", profile.total)):
        cells.append([name, *(f"{count:,}" for count in row.cost.plain().values())])
    return columns_text(cells, 1)


def memory_text(profile: StepCosts) -> str:
    """Format what has to be in memory at once."""
    cells = [[f"{size_text(size):>10}", name] for name, size in profile.memory.items() if size]
    cells.append([f"{size_text(sum(profile.memory.values())):>10}", "together"])
    return "memory\n" + "\n".join(f"  {size}  {name}" for size, name in cells)


def cut_text(cut: Cut) -> str:
    """Format the parts that a graph is cut into, and what goes between them."""
    cells = [["part", "from", "to", "nodes", "operations", "%", "parameters", "to the next", "back"]]
    for number, part in enumerate(cut.parts, 1):
        share = f"{100 * part.operations / cut.operations:.1f}" if cut.operations else ""
        ends = [cut_name(part.first, NODE, mark="…"), cut_name(part.last, NODE, mark="…")]
        sizes = [size_text(size) for size in (part.parameters, part.forward, part.backward)]
        cells.append([str(number), *ends, str(part.nodes), count_text(part.operations), share, *sizes])
    return (
        f"cut into {counted(len(cut.parts), 'part')}, one after the other\n{columns_text(cells, 1)}\n"
        f"a full pipeline of them is at most {cut.speedup:.3g} times as fast as one worker; "
        f"{size_text(cut.traffic)} travel in each step"
    )


def peaks_text(peaks: Peaks) -> str:
    """Format what the machine reaches."""
    lines = [f"peaks of this machine, on {counted(peaks.threads, 'thread')}; copies on one"]
    for dtype, speed in peaks.operations.items():
        lines.append(f"  {speed / 1e9:8.1f} G operations/s  matrix product in {dtype}")
    for size, speed in peaks.bandwidth:
        lines.append(f"  {speed / 1e9:8.1f} GB/s            copy that touches {size_text(size)}")
    return "\n".join(lines)


def passes_text(profile: StepCosts) -> str:
    """Format how the plan changed from pass to pass, and its instructions before and after."""
    cells = [["pass", "instructions", "views", "regions", "intermediate results"]]
    for summary in profile.passes:
        numbers = summary.plain()
        counts = [f"{numbers[name]:,}" for name in ("instructions", "views", "regions")]
        cells.append([summary.name, *counts, size_text(numbers["bytes"])])
    parts = [columns_text(cells, 1)]
    for title, summary in (("before the passes", profile.passes[0]), ("after", profile.passes[-1])):
        lines = list(listing(summary.plan))
        more = [f"  ... and {len(lines) - MOST_ROWS:,} more"] if len(lines) > MOST_ROWS else []
        parts.append("\n".join([title, *lines[:MOST_ROWS], *more]))
    return "\n\n".join(parts)


def size_text(count: int) -> str:
    """``512 B``, ``1.5 KiB``, ``2.3 MiB``."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def seconds_text(seconds: float | None) -> str:
    """``12.3 µs``, ``4.56 ms``, ``7.8 s``; a dash where it was not measured."""
    if seconds is None:
        return "–"
    factor, unit = (1e6, "µs") if seconds < 1e-3 else (1e3, "ms") if seconds < 1 else (1, "s")
    return f"{seconds * factor:.3g} {unit}"


def count_text(count: int) -> str:
    """``12,345``, ``1.23M``: five digits at most."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:,}"


def _heading(profile: StepCosts) -> str:
    batch = "" if profile.batch is None else f", batch of {profile.batch}"
    phases = {row.phase for row in profile.rows}
    update = next((row.op for row in profile.rows if row.phase == UPDATE), None)
    if update is not None:
        what = f"one step: forward, backward, update by {update}"
    else:
        what = " and ".join(f"the {phase} pass" for phase in (FORWARD, BACKWARD) if phase in phases)
    return f"'{profile.model}'{batch}, backend {profile.backend}: {what}"


def _time_text(profile: StepCosts) -> str:
    text = f"{seconds_text(profile.seconds)} for the step, the median of {profile.rounds} rounds"
    apart = profile.total.seconds
    if apart is None:
        return f"{text}; the backend {profile.backend} does not tell what its ops take"
    return f"{text}; its parts, measured one by one, add up to {seconds_text(apart)}"


def _headers(profile: StepCosts, timed: bool) -> list[str]:
    if profile.peaks is not None:
        return ["ops", "bytes", "ops/B", "limit", *(["time", "peak"] if timed else [])]
    return ["multiply", "other", "bytes", *(["time", "%"] if timed else [])]


def _numbers(row: Row, profile: StepCosts, timed: bool) -> list[str]:
    cost = row.cost
    if profile.peaks is not None:
        return _roofline_numbers(row, timed)
    others = cost.operations - cost.multiplications
    cells = [count_text(cost.multiplications), count_text(others), size_text(row.read + row.written)]
    if timed:
        whole = profile.seconds
        cells += [
            seconds_text(row.seconds),
            "" if row.seconds is None or not whole else f"{100 * row.seconds / whole:.0f}",
        ]
    return cells


def _roofline_numbers(row: Row, timed: bool) -> list[str]:
    operations, moved = row.cost.operations, row.read + row.written
    cells = [count_text(operations), size_text(moved), f"{operations / moved:.2g}" if moved else "", row.limited]
    if timed:
        reached = "" if row.reached is None else f"{100 * row.reached:.0f}%"
        cells += [seconds_text(row.seconds), reached]
    return cells


def _name(row: Row, which: str, width: int) -> str:
    return cut_name({"node": row.node, "op": row.op, "shape": row.shape}[which], width, mark="…")


def _weight(row: Row, timed: bool) -> float:
    return (row.seconds or 0.0) if timed else row.cost.operations + row.read + row.written
