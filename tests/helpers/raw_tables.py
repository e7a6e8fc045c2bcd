"""What is in a table as it was read."""

from __future__ import annotations

from dataflow.data.raw_table import RawTable


def cells(table: RawTable) -> dict[str, list[object]]:
    """By column, its cells, None where one is missing."""
    return {
        name: [
            None if column.missing is not None and column.missing[i] else cell
            for i, cell in enumerate(column.cells.tolist())
        ]
        for name, column in table.columns.items()
    }
