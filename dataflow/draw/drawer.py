"""``dataflow.draw``: draw a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dataflow.draw.build_picture import Options
from dataflow.draw.drawing import DOTS_PER_INCH, Drawing
from dataflow.draw.fit_width import fit
from dataflow.draw.layout.engines import TIME_LIMIT
from dataflow.draw.option_conflicts import find_complaint, find_conflict
from dataflow.draw.picture.fit import FitError
from dataflow.draw.picture.specs import LABELS, VALUES
from dataflow.draw.picture_styles import STYLES
from dataflow.errors import DataError, GraphError, listed
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.support.arguments import checked
from dataflow.support.lengths import parse_length

DIRECTIONS = ("down", "right")
PIXELS_PER_INCH = 96
"""Of CSS; a PNG of a width in pixels has as many."""
THEMES = ("light", "dark", "auto")


@checked
def draw(
    model: Model | Graph,
    *,
    style: str | None = None,
    backward: bool = False,
    both: bool = False,
    of: str | None = None,
    wrt: Sequence[str] | str = (),
    only: bool = False,
    labels: str | None = None,
    values: bool = False,
    inner: bool = False,
    collapse: Sequence[str] | str = (),
    fold_repeats: bool = True,
    direction: str | None = None,
    theme: str = "light",
    legend: bool = True,
    notation: str = "math",
    max_nodes: int | None = None,
    width: str | None = None,
    min_font: str | None = None,
    engine: str | None = None,
    time_limit: float = TIME_LIMIT,
    example: int | None = None,
    data: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Drawing:
    """The picture of a model's forward pass; with ``backward`` that of its backward pass, with ``both`` of the two.

    The ``style`` is "graph", with both passes side by side and the values that the one saves for the other; or
    "lecture", with the nodes in a row, the arrows of both passes between them, and the products below; or "neurons", a
    chain of dense layers with a circle for each unit and a line for each weight. Unless it is given, ``both`` passes
    are drawn in the lecture style if the graph fits it, and all else as a graph.

    The gradients are those of ``of`` (by default the loss) with respect to every parameter, and to ``wrt``, whose paths
    are marked, with what they share with the other gradients; ``only`` these are drawn. The ``labels`` are "none",
    "shapes" (of a graph unless given; with dtypes where they are mixed), "dtypes" for both, or "values", for which
    ``values`` is short: it puts numbers in, those of ``data`` and ``inputs``, else of the declared data, for one
    ``example`` if it is given. Shapes have numbers for symbolic sizes where data are given, or an example. Each named
    node of the graph is a node, with its expression; ``inner`` shows the nodes inside expressions too. ``collapse``
    takes names of blocks or paths of calls; repetitions of a block are drawn once, and more than 12 nodes
    of one kind with the same users as one node, unless ``fold_repeats`` is false.
    Over ``max_nodes`` nodes, blocks and then layers are folded; by default over 999 nodes, and where layout would take
    long.
    ``notation`` is "math", which sets names as symbols, or "plain", which leaves them as the file has them. The
    ``theme`` is "light", "dark", or "auto": an SVG that is as light or dark as the page around it. ``engine`` is
    "dot", "pygraphviz", "graphviz-pure" or a program's path; ``time_limit``, in seconds, is for laying out. A picture
    is no wider than ``width``, such as "830px" or "16cm"; for a ``min_font``, "9" points, it is turned, its lines are
    broken, and it is folded until no text is smaller at that width.
    """
    chosen = model if isinstance(model, Model) else Model(model)
    _check(direction in (*DIRECTIONS, None), f"the direction is 'down' or 'right', not {direction!r}")
    _check(theme in THEMES, f"the theme is 'light', 'dark' or 'auto', not {theme!r}")
    _check(style is None or style in STYLES, f"the style is one of {listed(list(STYLES))}, not {style!r}")
    _check(labels is None or labels in LABELS, f"the labels are one of {listed(LABELS)}, not {labels!r}")
    _check(max_nodes is None or max_nodes >= 1, f"a picture has at least one node, not max_nodes={max_nodes}")
    _check(time_limit > 0, f"the time limit is a number of seconds over 0, not {time_limit}")
    if not len(chosen.graph):
        raise GraphError("the model has no nodes; there is nothing to draw")
    given: dict[str, Any] = {"style": style, "backward": backward, "both": both, "inner": inner, "collapse": collapse}
    given |= {
        "no_repeats": not fold_repeats,
        "max_nodes": max_nodes,
        "labels": labels,
        "values": values,
        "only": only,
        "wrt": wrt,
        "direction": direction,
        "width": width,
        "min_font": min_font,
    }
    complaint = find_complaint(given, on_command_line=False)
    if complaint is not None:
        raise DataError(complaint)
    widest = None if width is None else parse_length(width)
    least = None if min_font is None else parse_length(min_font, unit="pt")
    known = chosen.given(data, inputs)

    def drawn(name: str) -> Drawing:
        options = Options(
            backward=backward,
            both=both,
            of=of,
            wrt=_names(wrt),
            only=only,
            labels=VALUES if values else labels,
            inner=inner,
            collapse=_names(collapse),
            fold_repeats=fold_repeats,
            down=(direction or STYLES[name].direction) == "down",
            dark=theme == "dark",
            auto=theme == "auto",
            legend=legend,
            notation=notation,
            example=example,
            max_nodes=max_nodes,
        )

        def attempt(options: Options) -> Drawing:
            picture = STYLES[name].build(chosen, options, known)
            drawing = Drawing(
                picture,
                engine=engine,
                time_limit=time_limit,
                width=None if widest is None else widest.points,
                dots=PIXELS_PER_INCH if widest is not None and widest.in_pixels else DOTS_PER_INCH,
            )
            _ = drawing.figure  # a FitError now, not when it is saved
            return drawing

        if least is None:
            return attempt(options)
        return fit(attempt, options, is_turned=direction is None and name != "neurons", least=least.points)

    if style is not None or not both or find_conflict(given | {"style": "lecture"}) is not None:
        return drawn(style or "graph")
    try:
        return drawn("lecture")
    except FitError as error:
        drawing = drawn("graph")
        note = f"{error.reason}, so that its graph is drawn"
        drawing.picture = replace(drawing.picture, notes=(note, *drawing.picture.notes))
        return drawing


def _names(names: Sequence[str] | str) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def _check(fine: bool, message: str) -> None:
    if not fine:
        raise DataError(message)
