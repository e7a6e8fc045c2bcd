"""A picture that can be saved, shown in a notebook, and looked into."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from functools import cached_property
from pathlib import Path

from dataflow.draw.effort import MOST_WITH_LABELS, effort
from dataflow.draw.engines import DRAW, LAY_OUT, TIME_LIMIT, Engine, find_engine
from dataflow.draw.label_places import place_labels
from dataflow.draw.layout import Layout, read_layout
from dataflow.draw.picture import Picture
from dataflow.draw.routes import add_routes, separate
from dataflow.draw.styles import FONT
from dataflow.draw.svg import accessible
from dataflow.draw.write_dot import dot_source
from dataflow.draw.write_mermaid import mermaid
from dataflow.draw.write_tikz import tikz
from dataflow.errors import DataflowError, FileFormatError, GraphError, MissingExtraError
from dataflow.files.atomic import replace_file
from dataflow.notebook import bundle

FORMATS = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".tex": "tikz",
    ".mmd": "mermaid",
}
"""What is written, by the ending of the file's name."""
MOST_LAID_OUT = 3000
"""A layout of more nodes takes minutes and more."""
DOTS_PER_INCH = 150


class Drawing:
    """The picture of a model. ``picture`` is what it shows, as plain data; ``source`` the same in DOT."""

    def __init__(self, picture: Picture, *, engine: str | None = None, time_limit: float = TIME_LIMIT) -> None:
        self.picture = picture
        self.engine = engine
        self.time_limit = time_limit
        self._rendered: dict[str, bytes] = {}
        self._layouts: dict[str, Layout] = {}

    def __repr__(self) -> str:
        picture = self.picture
        return f"<picture '{picture.title}': {len(picture.nodes)} nodes, {len(picture.edges)} edges>"

    @cached_property
    def source(self) -> str:
        """The DOT file."""
        return dot_source(self.picture)

    def render(self, form: str) -> bytes:
        """The picture as ``svg``, ``png``, ``pdf``, ``dot``, ``tikz`` or ``mermaid``. A ``MissingExtraError`` where no
        layout engine writes that, a ``GraphError`` where layout takes too long."""
        if form not in FORMATS.values():
            raise FileFormatError(f"there is no format '{form}'; there is {', '.join(dict.fromkeys(FORMATS.values()))}")
        if form not in self._rendered:
            self._rendered[form] = self._render(form)
        return self._rendered[form]

    def save(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the file that the ending names; what the user should know of it is returned. Where a layout engine is
        missing, the DOT file is written instead, and the ``MissingExtraError`` says where it is."""
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

    def caveats(self, form: str) -> list[str]:
        """What is less than it should be in this format."""
        notes = list(self.picture.notes)
        if form == "png":
            engine = find_engine(form, self.engine)
            lacking = sorted(set(self.source) & _HARD) if engine.png_font is not None else []
            if lacking:
                notes.append(
                    f"{engine.name} has no glyph for {' '.join(lacking)} in a PNG; take SVG, or install "
                    f"dataflow-autodiff[render]"
                )
        return notes

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> Mapping[str, str]:
        """For Jupyter: the SVG; where it cannot be laid out, the text and the reason."""
        forms = {"text/plain": self.__repr__, "image/svg+xml": self.fitting_svg}
        try:
            return bundle(forms, include, exclude)
        except DataflowError as error:
            reason = f"{self!r}\n({error})"
            return bundle({"text/plain": lambda: reason}, include, exclude)

    def fitting_svg(self) -> str:
        """The SVG as a part of a page: no wider than what it stands in."""
        return self.render("svg").decode().replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)

    # -------------------------------------------------------------------------------------------- internals

    def _render(self, form: str) -> bytes:
        if form == "dot":
            return self.source.encode()
        if form == "mermaid":
            return mermaid(self.picture).encode()
        if len(self.picture.nodes) > MOST_LAID_OUT:
            raise GraphError(
                f"the picture has {len(self.picture.nodes):,} nodes, too many to lay out (at most {MOST_LAID_OUT:,}); "
                f"fold it with --collapse or a smaller --max-nodes, or write a .dot or .mmd file"
            )
        engine = find_engine("json0" if form == "tikz" else form, self.engine)
        if form == "tikz":
            return tikz(self.picture, self._layout(engine, FONT)).encode()
        is_png = form == "png"
        font = engine.png_font if is_png and engine.png_font is not None else FONT
        dpi = DOTS_PER_INCH if is_png else None
        source = dot_source(self.picture, font=font, dpi=dpi, layout=self._layout(engine, font))
        found = engine.run(source, form, self.time_limit, program=DRAW)
        if form == "pdf":  # the time at which it was written, which some versions of Graphviz put in
            return _CREATED.sub(lambda match: match[1] + b"0" * len(match[2]), found)
        return accessible(found, self.picture) if form == "svg" else found

    def _layout(self, engine: Engine, font: str) -> Layout:
        if font not in self._layouts:
            self._layouts[font] = lay_out(self.picture, engine, font, self.time_limit)
        return self._layouts[font]


def lay_out(picture: Picture, engine: Engine, font: str = FONT, time_limit: float = TIME_LIMIT) -> Layout:
    """The engine's layout, with lines of our own between two passes and the labels of edges in better places."""
    source = dot_source(picture, font=font, crossing=False, edge_labels=effort(picture) <= MOST_WITH_LABELS)
    found = read_layout(engine.run(source, "json0", time_limit, program=LAY_OUT))
    if picture.beside:
        found = add_routes(picture, separate(picture, found))
    return place_labels(picture, found)


_CREATED = re.compile(rb"(/(?:CreationDate|ModDate) \(D:)(\d+)")
_HARD = set("∇⊙⊗")
"""Characters that graphviz-pure's own fonts lack."""


def form_of(path: Path) -> str:
    """The format that a file's ending names; a ``FileFormatError`` lists them."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        found = f"files ending in '{ending}' are" if ending else "a name without an ending is"
        raise FileFormatError(f"{found} no picture; choose {known}", file=path)
    return FORMATS[ending]
