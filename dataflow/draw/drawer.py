"""``dataflow.draw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataflow.draw.build import Options, build_picture
from dataflow.draw.drawing import Drawing
from dataflow.draw.engines import TIME_LIMIT
from dataflow.errors import DataError, GraphError
from dataflow.graph import Graph
from dataflow.model import Model

DIRECTIONS = ("down", "right")
THEMES = ("light", "dark", "auto")


def draw(
    model: Model | Graph,
    *,
    backward: bool = False,
    both: bool = False,
    of: str | None = None,
    wrt: Sequence[str] | str = (),
    values: bool = False,
    inner: bool = False,
    collapse: Sequence[str] | str = (),
    fold_repeats: bool = True,
    direction: str = "down",
    theme: str = "light",
    legend: bool = True,
    max_nodes: int | None = None,
    engine: str | None = None,
    time_limit: float = TIME_LIMIT,
    example: int | None = None,
    data: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Drawing:
    """The picture of a model's forward pass; with ``backward`` that of its backward pass, with ``both`` the two side
    by side and the values that the one saves for the other.

    The gradients are those of ``of`` (the loss unless said) with respect to every parameter, and to ``wrt``, whose
    paths are marked, with what they share with the other gradients. ``values`` puts numbers in: those of ``data``
    and ``inputs``, else of the declared data, of one ``example`` if that is said. There is a node for each that is
    named, with its expression; ``inner`` shows the nodes inside expressions too. ``collapse`` takes names of blocks
    or paths of calls; repetitions of a block are drawn once unless ``fold_repeats`` is false. Over ``max_nodes``
    nodes, blocks and then layers are folded; unless that is said, over 999 and where laying out would take long.
    The ``theme`` is "light", "dark", or "auto": an SVG that is as light or dark as the page around it. ``engine``
    is "dot", "pygraphviz", "graphviz-pure" or a program's path; ``time_limit``, in seconds, is for laying out.
    """
    chosen = model if isinstance(model, Model) else Model(model)
    _check(direction in DIRECTIONS, f"the direction is 'down' or 'right', not {direction!r}")
    _check(theme in THEMES, f"the theme is 'light', 'dark' or 'auto', not {theme!r}")
    _check(not (backward and both), "take either backward or both")
    _check(max_nodes is None or max_nodes >= 1, f"a picture has at least one node, not max_nodes={max_nodes}")
    _check(time_limit > 0, f"the time limit is a number of seconds over 0, not {time_limit}")
    if not len(chosen.graph):
        raise GraphError("the model has no nodes; there is nothing to draw")
    options = Options(
        backward=backward,
        both=both,
        of=of,
        wrt=_names(wrt),
        values=values,
        inner=inner,
        collapse=_names(collapse),
        fold_repeats=fold_repeats,
        down=direction == "down",
        dark=theme == "dark",
        auto=theme == "auto",
        legend=legend,
        max_nodes=max_nodes,
    )
    given = chosen.given(data, inputs)
    if example is not None:
        given = chosen.one_example(given, example)
    return Drawing(build_picture(chosen, options, given), engine=engine, time_limit=time_limit)


def _names(given: Sequence[str] | str) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))


def _check(fine: bool, message: str) -> None:
    if not fine:
        raise DataError(message)
