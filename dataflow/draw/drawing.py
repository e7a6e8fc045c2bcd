"""A picture that can be saved, shown in a notebook, and looked into."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from functools import cached_property
from pathlib import Path

from dataflow.draw.layout.difficulty import MOST_WITH_LABELS, effort
from dataflow.draw.layout.engines import DRAW, LAY_OUT, TIME_LIMIT, Engine, find_engine
from dataflow.draw.layout.figure import Figure, Text
from dataflow.draw.layout.fonts import glyph_notes
from dataflow.draw.layout.label_places import place_labels
from dataflow.draw.layout.layout import Layout, read_layout
from dataflow.draw.layout.legend_places import place_below
from dataflow.draw.layout.routes import add_routes, separate
from dataflow.draw.layout.title_places import place_titles
from dataflow.draw.picture.picture import Picture
from dataflow.draw.picture.picture_steps import at_step
from dataflow.draw.picture.styles import FONT, SMALL
from dataflow.draw.picture_styles import STYLES
from dataflow.draw.step_frames import Frames, fitting
from dataflow.draw.writers.dot import dot_source
from dataflow.draw.writers.figure_dot import figure_dot
from dataflow.draw.writers.figure_svg import figure_svg
from dataflow.draw.writers.figure_tikz import figure_tikz
from dataflow.draw.writers.mermaid import mermaid
from dataflow.draw.writers.svg import accessible
from dataflow.draw.writers.tikz import tikz
from dataflow.errors import FileFormatError, GraphError, MissingExtraError, counted, listed
from dataflow.support.arguments import checked
from dataflow.support.atomic import replace_file
from dataflow.support.mimebundle import bundle

FORMATS = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".gif": "gif",
    ".dot": "dot",
    ".gv": "dot",
    ".tex": "tikz",
    ".mmd": "mermaid",
}
"""What is written, by the ending of the file's name."""
MOST_LAID_OUT = 3000
"""The layout of more nodes than this takes minutes and more."""
DOTS_PER_INCH = 150
PAD = 10.8
"""What Graphviz leaves free around a picture, in points."""


class Drawing:
    """The picture of a model. ``picture`` is what it shows, as plain data; ``source`` the same in DOT."""

    @checked
    def __init__(
        self,
        picture: Picture,
        *,
        engine: str | None = None,
        time_limit: float = TIME_LIMIT,
        width: float | None = None,
        dots: int = DOTS_PER_INCH,
    ) -> None:
        self.picture = picture
        self.engine = engine
        self.time_limit = time_limit
        self.width = width
        """In points; a picture that is wider is made smaller."""
        self.dots = dots
        """Of a PNG, for an inch."""
        self._rendered: dict[str, bytes] = {}
        self._layouts: dict[str, Layout] = {}

    @checked
    def at_step(self, step: int) -> Drawing:
        """The picture after this many steps of the forward, then the backward pass: what is computed later is pale and
        keeps its place. Step 0 has the inputs and the parameters; a ``DataError`` says how many there are."""
        drawing = self.redrawn(at_step(self.picture, step))
        drawing._layouts = self._layouts  # the same for all steps, so that they lie exactly over each other
        return drawing

    def redrawn(self, picture: Picture) -> Drawing:
        """Another picture, drawn like this one."""
        return Drawing(picture, engine=self.engine, time_limit=self.time_limit, width=self.width, dots=self.dots)

    def frames(self) -> Frames:
        """The picture after each step."""
        return Frames(self)

    def __repr__(self) -> str:
        picture = self.picture
        return (
            f"<picture '{picture.title}': {counted(len(picture.nodes), 'node')}, {counted(len(picture.edges), 'edge')}>"
        )

    @cached_property
    def source(self) -> str:
        """The DOT file."""
        return dot_source(self.picture) if self.figure is None else figure_dot(self.picture, self.figure)

    @cached_property
    def figure(self) -> Figure | None:
        """Where everything is, in a style that needs no layout engine for that."""
        lay_out_style = STYLES[self.picture.style].lay_out
        return None if lay_out_style is None else lay_out_style(self.picture)

    @cached_property
    def scale(self) -> float:
        """How much smaller it is drawn, to be no wider than it may be."""
        if self.width is None:
            return 1.0
        if self.figure is not None:
            return min(1.0, self.width / self.figure.width)
        layout = self._layout(find_engine("json0", self.engine), FONT)
        return min(1.0, self.width / (layout.width + 2 * PAD))

    @cached_property
    def smallest_text(self) -> float:
        """Its size in points, as it is drawn."""
        if self.figure is None:
            return self.scale * SMALL
        texts = [item.size for group in self.figure.groups for item in group.items if isinstance(item, Text)]
        return self.scale * min(texts, default=SMALL)

    @checked
    def render(self, form: str) -> bytes:
        """The picture as ``svg``, ``png``, ``pdf``, ``dot``, ``tikz`` or ``mermaid``, or all its steps as ``gif``. A
        ``MissingExtraError`` where no layout engine writes that, a ``GraphError`` where layout takes too long."""
        if form not in FORMATS.values():
            raise FileFormatError(f"unknown format '{form}'; available: {', '.join(dict.fromkeys(FORMATS.values()))}")
        if form not in self._rendered:
            self._rendered[form] = self._render(form)
        return self._rendered[form]

    @checked
    def save(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the file that the ending names, and return notes for the user about it. Where a layout engine is
        missing, write a DOT file instead and raise a ``MissingExtraError`` that says where it is."""
        target = Path(path)
        form = form_of(target)
        try:
            content = self.render(form)
        except MissingExtraError as error:
            instead = target.with_suffix(".dot")
            replace_file(instead, [self.render("dot")])
            error.message += f" (the graph was written as DOT to {instead})"
            raise error.at(file=target) from None
        replace_file(target, [content])
        return self.caveats(form)

    @checked
    def caveats(self, form: str) -> list[str]:
        """Notes for the user on what this format cannot show."""
        notes = [*self.picture.notes, *self._crowded()]
        if form in ("png", "gif", "pdf"):
            notes += glyph_notes(find_engine("png" if form == "gif" else form, self.engine), self.source)
        return notes

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> Mapping[str, str]:
        """For Jupyter: the SVG; where it cannot be laid out, the text and the reason."""
        forms = {"text/plain": self.__repr__, "image/svg+xml": self.fitting_svg}
        return bundle(forms, include, exclude)

    def fitting_svg(self) -> str:
        """The SVG as a part of a page, no wider than what it stands in."""
        return fitting(self.render("svg"))

    # -------------------------------------------------------------------------------------------- internals

    def _render(self, form: str) -> bytes:
        if form == "gif":
            return self.frames().render(form)
        if form == "dot":
            return self.source.encode()
        if form == "mermaid":
            return mermaid(self.picture).encode()
        if self.figure is not None:
            return self._render_figure(form, self.figure)
        if len(self.picture.nodes) > MOST_LAID_OUT:
            raise GraphError(
                f"the picture has {len(self.picture.nodes):,} nodes, too many to lay out (at most {MOST_LAID_OUT:,}); "
                f"fold it with --collapse or a smaller --max-nodes, or write a .dot or .mmd file"
            )
        engine = find_engine("json0" if form == "tikz" else form, self.engine)
        if form == "tikz":
            return tikz(self.picture, self._layout(engine, FONT), self.scale).encode()
        font = _font(engine, form)
        dpi, width = self._size(form)
        source = dot_source(
            self.picture, font=font, layout=self._layout(engine, font), dpi=dpi, width=width, words=False
        )
        rendered = self._run(engine, source, form)
        return accessible(rendered, self.picture, self.scale) if form == "svg" else rendered

    def _render_figure(self, form: str, figure: Figure) -> bytes:
        if form == "svg":
            return figure_svg(self.picture, figure, self.scale)
        if form == "tikz":
            return figure_tikz(self.picture, figure.scaled(self.scale)).encode()
        engine = find_engine(form, self.engine)
        dpi, width = self._size(form)
        source = figure_dot(self.picture, figure, font=_font(engine, form), dpi=dpi, width=width)
        return self._run(engine, source, form)

    def _size(self, form: str) -> tuple[float | None, float | None]:
        """How large Graphviz draws: the resolution of a PNG, the width of a PDF."""
        return self.dots * self.scale if form == "png" else None, self.width if form == "pdf" else None

    def _run(self, engine: Engine, source: str, form: str) -> bytes:
        rendered = engine.run(source, form, self.time_limit, program=DRAW)
        if form == "pdf":  # some versions of Graphviz write the present time
            return _CREATED.sub(lambda match: match[1] + b"0" * len(match[2]), rendered)
        return rendered

    def _crowded(self) -> list[str]:
        """A note on the labels that have no room, in the layout that was drawn."""
        labelled = [(f"edge-{number}", edge) for number, edge in enumerate(self.picture.edges, 1) if edge.label]
        for layout in self._layouts.values():
            left_out = [edge for key, edge in labelled if key in layout.edges and layout.edges[key].label is None]
            if left_out:
                arrows = listed([f"{edge.source} → {edge.target}" for edge in left_out], 3)
                what_to_do = "turn the picture with --direction, or fold it with --collapse or --max-nodes"
                return [f"there is no room for the labels of {arrows}, and they are left out; {what_to_do}"]
        return []

    def _layout(self, engine: Engine, font: str) -> Layout:
        if font not in self._layouts:
            self._layouts[font] = place_below(self.picture, lay_out(self.picture, engine, font, self.time_limit))
        return self._layouts[font]


def _font(engine: Engine, form: str) -> str:
    return engine.png_font if form == "png" and engine.png_font is not None else FONT


def lay_out(picture: Picture, engine: Engine, font: str = FONT, time_limit: float = TIME_LIMIT) -> Layout:
    """The engine's layout, with our own lines between two passes and the labels of edges in better places."""
    source = dot_source(
        picture, font=font, crossing=False, edge_labels=effort(picture) <= MOST_WITH_LABELS, words=False
    )
    layout = place_titles(read_layout(engine.run(source, "json0", time_limit, program=LAY_OUT)))
    if picture.beside:
        layout = add_routes(picture, separate(picture, layout))
    return place_labels(picture, layout)


_CREATED = re.compile(rb"(/(?:CreationDate|ModDate) \(D:)(\d+)")


def form_of(path: Path) -> str:
    """The format that a file's ending names; a ``FileFormatError`` lists them."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        subject = f"files ending in '{ending}' are" if ending else "a name without an ending is"
        raise FileFormatError(f"{subject} no picture; choose {known}", file=path)
    return FORMATS[ending]
