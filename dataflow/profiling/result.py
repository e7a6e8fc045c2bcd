"""``Profile``: what a step costs, as text and as a picture."""

from __future__ import annotations

from pathlib import Path

from dataflow.profiling.chart import plot_profile
from dataflow.profiling.step_costs import StepCosts
from dataflow.profiling.text import profile_text


class Profile(StepCosts):
    """What one step of a model costs: forward, backward and update, or only the forward pass."""

    def plot(self, path: str | Path) -> None:
        """A flame graph of the step, and bars for its ops, into a ``.png``, ``.svg`` or ``.pdf`` file: of time where it
        was measured, of operations otherwise. ``MissingExtraError`` without matplotlib."""
        plot_profile(self, path)

    def __str__(self) -> str:
        return profile_text(self)
