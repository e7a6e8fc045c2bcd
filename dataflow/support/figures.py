"""Figures of matplotlib as files. The same figure gives the same bytes with the same matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.errors import FileFormatError, MissingExtraError
from dataflow.support.atomic import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")


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


@contextmanager
def written_figure(
    path: str | Path, what: str, size: tuple[float, float], settings: Mapping[str, Any] | None = None
) -> Iterator[Figure]:
    """A figure of so many inches to draw on, which is written to the file at the end; the old file stays whole until
    then. ``settings`` are matplotlib's."""
    ending = check_plot(path, what)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    style: Any = {"svg.hashsalt": "dataflow", "svg.fonttype": "none", **(settings or {})}
    with rc_context(style), np.errstate(all="ignore"):  # limits beyond the largest numbers are cut off
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        dated: dict[str, Any] = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(buffer, format=ending[1:], dpi=150, metadata=dated[ending])
    replace_file(path, [buffer.getvalue()], sync=False)
