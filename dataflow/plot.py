"""Pictures of training: the loss, epoch by epoch."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from dataflow.errors import FileFormatError, MissingExtraError, TrainingError
from dataflow.files.atomic import replace_file
from dataflow.training.history import History

ENDINGS = (".png", ".svg", ".pdf")
LOGARITHMIC = 20.0
"""From this ratio of the largest to the smallest loss on, the axis is logarithmic."""


def plot_loss(history: History, path: str | Path, *, title: str = "") -> None:
    """Draw the loss after each epoch, and the validation loss if examples were held out, into a ``.png``, ``.svg`` or
    ``.pdf`` file. The same history gives the same bytes with the same matplotlib.

    ``MissingExtraError`` without matplotlib, ``FileFormatError`` for another ending or a file that cannot be written,
    ``TrainingError`` if there is no epoch to draw.
    """
    ending = check_plot(path, "drawing the loss curve")
    if not history.loss:
        raise TrainingError("there is no loss to draw: no epoch was finished")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    curves = {"training": history.loss}
    if "validation_loss" in history.metrics:
        curves["validation"] = history.metrics["validation_loss"]
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "dataflow", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for label, values in curves.items():
            marker = "o" if len(values) == 1 else None  # a line needs two points
            axes.plot(range(1, len(values) + 1), values, label=label, marker=marker)
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
        dated = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(buffer, format=ending[1:], dpi=150, metadata=dated[ending])
    replace_file(path, [buffer.getvalue()], sync=False)


def check_plot(path: str | Path, what: str) -> str:
    """The ending, if the picture can be drawn; so that a long run need not end to find out that it cannot. ``what`` is
    what needs matplotlib."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise FileFormatError(f"pictures end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}", file=path)
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        raise MissingExtraError(f'{what} needs matplotlib: pip install "dataflow-autodiff[plot]"') from None
    return ending


def _spans_decades(values: Sequence[float]) -> bool:
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= LOGARITHMIC
