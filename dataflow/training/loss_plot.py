"""Pictures of training: the loss, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dataflow.errors import TrainingError
from dataflow.support.figures import check_plot, written_figure

DRAWING = "drawing the loss curve"
"""What needs matplotlib."""
LOGARITHMIC = 20.0
"""From this ratio of the largest to the smallest loss on, the axis is logarithmic."""

LARGEST = 1e306
"""The largest size of a loss that is drawn as it is."""


def plot_loss(curves: Mapping[str, Sequence[float]], path: str | Path, title: str = "") -> None:
    """Draw the loss after each epoch, one curve for each part of the data, into a ``.png``, ``.svg`` or ``.pdf`` file.
    The same curves give the same bytes with the same matplotlib.

    ``MissingExtraError`` without matplotlib, ``FileFormatError`` for another ending or a file that cannot be written,
    ``TrainingError`` if there is no epoch to draw.
    """
    if not any(curves.values()):
        check_plot(path, DRAWING)
        raise TrainingError("there is no loss to draw: no epoch was finished")
    with written_figure(path, DRAWING, (6.4, 4.0)) as figure:
        from matplotlib.ticker import MaxNLocator

        axes = figure.add_subplot()
        for label, values in curves.items():
            marker = "o" if len(values) == 1 else None  # a line needs two points
            axes.plot(range(1, len(values) + 1), _drawable(values), label=label, marker=marker)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if _spans_decades([value for values in curves.values() for value in values]):
            axes.set_yscale("log")
        if len(curves) > 1:
            axes.legend()
        if title:
            axes.set_title(title)
        axes.grid(alpha=0.3)


def _drawable(values: Sequence[float]) -> np.ndarray:
    """The losses with a gap where one is not finite; the largest are cut off, as an axis needs their difference."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST)


def _spans_decades(values: Sequence[float]) -> bool:
    """Whether the losses above 0 do, and none is below; a loss of 0 is drawn at the lower edge then."""
    finite = [value for value in values if math.isfinite(value)]
    above = [value for value in finite if value > 0]
    return bool(above) and min(finite) >= 0 and math.log(max(above)) - math.log(min(above)) >= math.log(LOGARITHMIC)
