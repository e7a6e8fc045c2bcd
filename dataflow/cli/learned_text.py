"""What the training rows taught, as ``dataflow check`` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dataflow.cli.terminal_text import left_out, table
from dataflow.data.preparation.learned import Preparation
from dataflow.support.number_texts import number_text
from dataflow.support.texts import shorten

ROWS = 100
"""The most lines that are printed."""


def learned_text(learned: Preparation, labels: Mapping[str, Sequence[str]]) -> str:
    """A table of fills, categories, means and deviations. ``labels`` are what the columns of inputs are called, where
    that is known."""
    rows: list[tuple[str, str, str]] = []
    for name, column in learned.columns.items():
        if column.fill is not None:
            fill = number_text(column.fill) if isinstance(column.fill, float) else repr(column.fill)
            rows.append(("column", name, f"a missing cell is {fill}"))
        if column.names is not None:
            rows.append(("column", name, f"categories {_listed(column.names)}"))
    for name, item in learned.inputs.items():
        if item.names is not None:
            rows.append(("input", name, f"classes {_listed(item.names)}"))
        if item.mean is not None and item.deviation is not None:
            pairs = list(zip(item.mean.reshape(-1).tolist(), item.deviation.reshape(-1).tolist(), strict=True))
            called = labels.get(name) or [""] * len(pairs)
            for i, ((mean, deviation), label) in enumerate(zip(pairs, called, strict=False)):
                if (mean, deviation) != (0.0, 1.0):  # else it is left alone
                    numbers = f"mean {number_text(mean)}, deviation {number_text(deviation)}"
                    rows.append((f"input {name}", label or str(i), numbers))
    headers = ("learned from", "", "the training rows")
    return table(headers, rows[:ROWS]) + left_out(len(rows) - ROWS, "row")


def _listed(names: Sequence[str]) -> str:
    quote = repr if any("," in name or name != name.strip() or not name for name in names[:12]) else str
    shown = ", ".join(quote(shorten(name, 30)) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown
