"""``dataflow.view``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dataflow.draw.drawer import DIRECTIONS
from dataflow.draw.layout.engines import TIME_LIMIT
from dataflow.errors import DataError, FileFormatError, GraphError
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.support.arguments import checked
from dataflow.support.atomic import replace_file
from dataflow.support.mimebundle import bundle
from dataflow.viewer.content import page_content
from dataflow.viewer.page import page
from dataflow.viewer.replay import Observer
from dataflow.viewer.settings import MOST_NODES, Settings, check_settings

ENDINGS = (".html", ".htm")
FRAME_HEIGHT = 720
"""Pixels of a page in a notebook."""


class View:
    """A page in which a reader steps through a model. ``content`` is what it shows as plain data, ``html`` the page."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.html = page(content)

    def __repr__(self) -> str:
        forward, factors = len(self.content["forward"]), len(self.content["factors"])
        return f"<page on '{self.content['title']}': {forward} nodes forward, {factors} factors backward>"

    @checked
    def save(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the page to a file that ends in .html, and return notes for the user on what was left out."""
        check_target(Path(path))
        replace_file(path, [self.html.encode()])
        return self.notes

    @property
    def notes(self) -> list[str]:
        """What was left out or not computed, a line each."""
        content = self.content
        notes = list(content["notes"])
        if content["why_not"]:
            notes.append(f"there is no backward pass: {content['why_not']}")
        notes += [
            f"the backward pass was not computed: {page_pass['problem']}"
            for page_pass in content["passes"]
            if page_pass["problem"]
        ]
        return list(dict.fromkeys(notes))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, str]:
        """For Jupyter: the page in a frame of its own."""
        return bundle({"text/plain": self.__repr__, "text/html": self._framed}, include, exclude)

    def _framed(self) -> str:
        """The page in a frame that may run its script and nothing else."""
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{escape(self.html)}" title="{escape(repr(self))}" '
            f'width="100%" height="{FRAME_HEIGHT}" frameborder="0"></iframe>'
        )


@checked
def view(
    model: Model | Graph,
    *,
    of: str | None = None,
    wrt: Sequence[str] | str | None = None,
    example: int | None = None,
    examples: int | None = None,
    frames: int | None = None,
    direction: str = "down",
    max_nodes: int = MOST_NODES,
    engine: str | None = None,
    time_limit: float = TIME_LIMIT,
    notation: str = "math",
    quiz: bool = False,
    observer: Observer | None = None,
    data: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> View:
    """The page in which a reader steps through a model: forward node by node, then back factor by factor.

    It differentiates ``of`` (by default the loss, or the only output) with respect to each of ``wrt`` (by default every
    parameter). The numbers are those of ``data`` and ``inputs``, else of the declared data: of its first ``examples``
    (by default 16) and of the batch as a whole, or of one ``example`` alone.

    Of a trained model the page shows the losses, and of one that takes two numbers what it makes of the plane at
    ``frames`` epochs (by default 32; 0 for the last alone); for them the training run is repeated from what the file
    keeps of it, and ``observer`` is called with its progress. ``direction``, ``engine`` and ``time_limit`` are those of
    ``draw``; a graph of more than ``max_nodes`` nodes is folded. ``notation`` is "math" or "plain", the names as the
    file has them. With ``quiz`` the page begins by asking for each number before it shows it.
    """
    chosen = model if isinstance(model, Model) else Model(model)
    if direction not in DIRECTIONS:
        raise DataError(f"the direction is 'down' or 'right', not {direction!r}")
    if not len(chosen.graph):
        raise GraphError("the model has no nodes; there is nothing to show")
    names = None if wrt is None else (wrt,) if isinstance(wrt, str) else tuple(wrt)
    settings = Settings(
        of, names, example, examples, frames, direction == "down", max_nodes, engine, time_limit, notation, quiz
    )
    check_settings(settings)
    return View(page_content(chosen, settings, chosen.given(data, inputs), observer))


def check_target(path: Path) -> None:
    """Raise a ``FileFormatError`` unless the file has the name of a page."""
    if path.suffix.lower() not in ENDINGS:
        raise FileFormatError("a page is written to a file that ends in .html", file=path)
