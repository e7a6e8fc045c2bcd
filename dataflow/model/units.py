"""The units and class names of the table that a model's numbers come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.data.source import DataSource


class Units:
    """What leads from numbers as the model has them back to what its table says."""

    def __init__(self, source: DataSource | None) -> None:
        self._source = source or DataSource()

    def undo(self, name: str, values: np.ndarray) -> np.ndarray:
        """Numbers of an input in the unit of its table: neither scaled nor standardized."""
        source = self._source
        if name in source.scale:
            values = values / float(source.scale[name])
        return values if source.learned is None else source.learned.undo(name, values)

    def classes(self, name: str) -> list[str] | None:
        """The names of an input's classes, in order; ``None`` where it has none but numbers."""
        source = self._source
        chosen = source.one_hot.get(name)
        if isinstance(chosen, Sequence):
            return list(chosen)
        if source.learned is not None and (names := source.learned.input(name).names) is not None:
            return list(names)
        column = source.columns.get(name, name)
        column = column if isinstance(column, str) or len(column) != 1 else column[0]
        rule: Any = source.categories.get(column) if isinstance(column, str) else None
        if rule is None:
            return None
        declared = rule.get("names") if not isinstance(rule, str) else None
        if declared is None and source.learned is not None:
            declared = source.learned.column(str(column)).names
        return None if declared is None else list(declared)
