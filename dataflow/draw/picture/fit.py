"""The error for a graph that a style cannot show."""

from __future__ import annotations

from dataflow.errors import GraphError


class FitError(GraphError):
    """A graph that does not fit a style. Where the style was not asked for, another one is taken instead."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; take the style 'graph'")
        self.reason = reason
