"""Fit a picture to a width: turn it, break its lines, narrow its gaps, fold it, until its smallest text can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dataflow.draw.build_picture import Options
from dataflow.draw.drawing import Drawing
from dataflow.draw.picture.labels import WIDTH, wrapped
from dataflow.errors import GraphError

LINES = (WIDTH, 24, 16)
"""How many characters a line of an expression has, at most."""
FEWEST = 6
"""A picture is folded to no fewer nodes."""
FOLDS = (0.7, 0.5, 0.35, 0.25)


def fit(draw: Callable[[Options], Drawing], options: Options, *, is_turned: bool, least: float) -> Drawing:
    """The first drawing in which the smallest text has ``least`` points at the drawing's width; else the one with the
    largest, with a note that says what to do. With ``is_turned``, the direction may be the other one."""
    best: Drawing | None = None
    for drawing in _attempts(draw, options, is_turned):
        if drawing.smallest_text >= least - 0.01:
            return drawing
        if best is None or drawing.smallest_text > best.smallest_text:
            best = drawing
    if best is None:  # what was asked for cannot be drawn: say why
        return draw(options)
    note = (
        f"the smallest text is {best.smallest_text:.2g} points high at this width, and {least:g} were asked for; "
        f"fold more with --collapse or --max-nodes, leave labels out with --labels none, or allow a larger --width"
    )
    best.picture = replace(best.picture, notes=(*best.picture.notes, note))
    return best


def _attempts(draw: Callable[[Options], Drawing], options: Options, is_turned: bool) -> Iterator[Drawing]:
    first = draw(options)
    count_of_all = len(first.picture.nodes)
    counts = [None, count_of_all - 1, *(max(FEWEST, int(count_of_all * part)) for part in FOLDS)]
    can_fold = options.max_nodes is None and first.picture.style == "graph"
    for count in dict.fromkeys(counts if can_fold else [None]):
        for down in (options.down, not options.down) if is_turned else (options.down,):
            changed = replace(options, down=down, max_nodes=count or options.max_nodes)
            try:
                drawing = first if changed == options else draw(changed)
                yield drawing
                for length in LINES[1:]:
                    yield drawing.redrawn(wrapped(drawing.picture, length))
                if drawing.picture.style == "graph":
                    yield drawing.redrawn(replace(wrapped(drawing.picture, LINES[-1]), is_tight=True))
            except GraphError:  # no room, or it cannot be folded so far
                continue
