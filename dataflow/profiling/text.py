"""A profile as text, for a terminal of 80 columns and for ``print``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dataflow.cost import Cost
from dataflow.profiling.passes import listing

if TYPE_CHECKING:
    from dataflow.profiling.result import Profile, Row

MOST_ROWS = 40
NODE = 20
"""The widest name of a node."""


def profile_text(profile: Profile, by: str = "instruction", most: int = MOST_ROWS) -> str:
    """The whole of it: what each row costs, what each pass costs, memory, time."""
    parts = [_heading(profile), rows_text(profile, by, most), phases_text(profile), memory_text(profile)]
    if profile.seconds is not None:
        parts.append(_time_text(profile))
    return "\n\n".join(parts)


def rows_text(profile: Profile, by: str, most: int) -> str:
    """A table, the rows of each pass together. Of very many rows, those that take the most are shown."""
    rows = profile.by(by)
    timed = any(row.seconds is not None for row in rows)
    shown = set(map(id, sorted(rows, key=lambda row: _weight(row, timed), reverse=True)[:most]))
    names = {"instruction": ["node", "op", "shape"], "node": ["node"], "op": ["op"]}[by]
    cells = [[*names, *_headers(timed)]]
    lines: list[str | None] = []
    phase = ""
    for row in rows:
        if id(row) not in shown:
            continue
        if row.phase != phase:
            lines.append(phase := row.phase)
        cells.append([*(_name(row, name) for name in names), *_numbers(row, profile, timed)])
        lines.append(None)
    texts = iter(_aligned(cells, len(names)))
    table = [next(texts), *(line if line is not None else next(texts) for line in lines)]
    if len(rows) > len(shown):
        what = "take longest" if timed else "do most"
        table.append(
            f"the {len(shown)} of {len(rows):,} rows that {what}; --json has all, --by node or --by op adds them up"
        )
    return "\n".join(table)


def phases_text(profile: Profile) -> str:
    """What forward pass, backward pass and update cost, and all together, by kinds of operations."""
    kinds = list(Cost().plain())
    rows = profile.by("phase")
    cells = [["", *kinds]]
    for name, row in (*((row.phase, row) for row in rows), ("together", profile.total)):
        cells.append([name, *(f"{count:,}" for count in row.cost.plain().values())])
    return "\n".join(_aligned(cells, 1))


def memory_text(profile: Profile) -> str:
    """What has to be in memory at once."""
    cells = [[f"{size_text(size):>10}", name] for name, size in profile.memory.items() if size]
    cells.append([f"{size_text(sum(profile.memory.values())):>10}", "together"])
    return "memory\n" + "\n".join(f"  {size}  {name}" for size, name in cells)


def passes_text(profile: Profile, most: int = MOST_ROWS) -> str:
    """How the plan changed from pass to pass, and its instructions before and after."""
    cells = [["pass", "instructions", "views", "regions", "intermediate results"]]
    for one in profile.passes:
        found = one.plain()
        counts = [f"{found[name]:,}" for name in ("instructions", "views", "regions")]
        cells.append([one.name, *counts, size_text(found["bytes"])])
    parts = ["\n".join(_aligned(cells, 1))]
    for title, one in (("before the passes", profile.passes[0]), ("after", profile.passes[-1])):
        lines = list(listing(one.plan))
        more = [f"  ... and {len(lines) - most:,} more"] if len(lines) > most else []
        parts.append("\n".join([title, *lines[:most], *more]))
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


def _heading(profile: Profile) -> str:
    batch = "" if profile.batch is None else f", batch of {profile.batch}"
    phases = {row.phase for row in profile.rows}
    update = next((row.op for row in profile.rows if row.phase == "update"), None)
    if update is not None:
        what = f"one step: forward, backward, update by {update}"
    else:
        what = " and ".join(f"the {phase} pass" for phase in ("forward", "backward") if phase in phases)
    return f"'{profile.model}'{batch}, backend {profile.backend}: {what}"


def _time_text(profile: Profile) -> str:
    text = f"{seconds_text(profile.seconds)} for the step, the median of {profile.rounds} rounds"
    apart = profile.total.seconds
    if apart is None:
        return f"{text}; the backend {profile.backend} does not tell what its ops take"
    return f"{text}; its parts, measured one by one, add up to {seconds_text(apart)}"


def _headers(timed: bool) -> list[str]:
    return ["multiply", "other", "bytes", *(["time", "%"] if timed else [])]


def _numbers(row: Row, profile: Profile, timed: bool) -> list[str]:
    cost = row.cost
    others = cost.operations - cost.multiplications
    cells = [count_text(cost.multiplications), count_text(others), size_text(row.read + row.written)]
    if timed:
        whole = profile.seconds
        cells += [
            seconds_text(row.seconds),
            "" if row.seconds is None or not whole else f"{100 * row.seconds / whole:.0f}",
        ]
    return cells


def _name(row: Row, which: str) -> str:
    text = {"node": row.node, "op": row.op, "shape": row.shape}[which]
    return text if len(text) <= NODE else text[: NODE - 1] + "…"


def _weight(row: Row, timed: bool) -> float:
    return (row.seconds or 0.0) if timed else row.cost.operations + row.read + row.written


def _aligned(cells: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Columns: the first ``left`` to the left, the others to the right."""
    sizes = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(
            cell.ljust(size) if i < left else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(line, sizes, strict=True))
        ).rstrip()
