"""Columns of numbers that are texts for their signs alone: of percent, or between thousands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataflow.data.number_style import NumberStyle
from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.data.readers.cell_values import number_column, read_number
from dataflow.data.readers.dialect import added_to_numbers


def read_dressed_numbers(table: RawTable) -> RawTable:
    """The table of a CSV file with these columns as numbers, and with the ``style`` to declare for that."""
    style, columns = table.style, dict(table.columns)
    for name, column in table.columns.items() if table.is_csv else ():
        if column.is_text:
            present = column.cells if column.missing is None else column.cells[~column.missing]
            signs = added_to_numbers(present.tolist())
            changed = style
            for declaration in signs.values():
                changed = replace(changed, **declaration)
            is_one = style.thousands in ("", changed.thousands) and changed.thousands != style.decimal
            if signs and all(signs.values()) and is_one and (numbers := _numbers(column, changed)) is not None:
                style, columns[name] = changed, numbers
    return replace(table, columns=columns, style=style)


def _numbers(column: RawColumn, style: NumberStyle) -> RawColumn | None:
    try:
        numbers = [read_number(text, style) for text in column.cells]
    except ValueError:
        return None
    return number_column(np.array([number or 0.0 for number in numbers]), column.missing)
