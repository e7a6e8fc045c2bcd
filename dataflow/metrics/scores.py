"""The loss and the metrics of a model over data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.errors import counted
from dataflow.metrics.compared import Compared
from dataflow.metrics.comparisons import Measured


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Mapping[str, Any]):
    """``loss``, where the model has one, and the metrics, by name; a confusion matrix is an array, whose rows and
    columns are in the order of ``classes``."""

    results: Mapping[str, Any]
    classes: Mapping[str, list[str]]
    """The names of classes, by metric."""
    examples: int
    compared: Mapping[str, tuple[Measured, Compared]]
    """By metric, what it measured."""

    def __getitem__(self, name: str) -> Any:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        numbers = [f"{name} {value:.6g}" for name, value in self.results.items() if isinstance(value, float)]
        return f"<scores of {counted(self.examples, 'example')}: {', '.join(numbers)}>"
