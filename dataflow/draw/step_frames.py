"""All steps of a picture: frames that lie exactly over each other, one by one or in one file."""

from __future__ import annotations

import io
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, overload

from dataflow.draw.frames_folder import write_frames
from dataflow.draw.picture.picture import Picture
from dataflow.draw.writers.animation import LINGER, animated
from dataflow.errors import DataError, FileFormatError, GraphError, MissingExtraError, counted
from dataflow.support.arguments import checked
from dataflow.support.atomic import replace_file
from dataflow.support.mimebundle import bundle

MOST_FRAMES = 200
DELAY = 1.0
"""How long a step is shown, in seconds."""
ONE_FILE = {".gif": "gif", ".svg": "svg", ".pdf": "pdf"}
"""The formats that hold all steps in one file: two that play, and one with a page for each."""
FRAME_FORMATS = ("svg", "png", "pdf")


class Steps(Protocol):
    """What frames are made of: a drawing that can be drawn at a step."""

    @property
    def picture(self) -> Picture: ...
    def at_step(self, step: int, /) -> Steps: ...
    def render(self, form: str, /) -> bytes: ...
    def caveats(self, form: str, /) -> list[str]: ...


class Frames(Sequence[Steps]):
    """The drawings of a picture after 0, 1, 2, ... steps. In a notebook they play."""

    def __init__(self, whole: Steps) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return self.whole.picture.steps + 1

    @overload
    def __getitem__(self, step: int) -> Steps: ...
    @overload
    def __getitem__(self, step: slice) -> list[Steps]: ...
    def __getitem__(self, step: int | slice) -> Steps | list[Steps]:
        if isinstance(step, slice):
            return [self.whole.at_step(i) for i in range(*step.indices(len(self)))]
        if not -len(self) <= step < len(self):
            raise IndexError(f"there is no step {step}: there are 0 to {len(self) - 1}")
        return self.whole.at_step(step % len(self))

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'frame')} of '{self.whole.picture.title}'>"

    @checked
    def render(self, form: str, *, delay: float = DELAY) -> bytes:
        """All steps as one ``gif``, or as an ``svg`` that plays, each step for ``delay`` seconds; or as a ``pdf`` with
        a page for each."""
        if form not in ONE_FILE.values():
            choices = ", ".join(ONE_FILE.values())
            raise FileFormatError(f"no file of the format '{form}' holds steps; choose {choices}")
        if not delay > 0:
            raise DataError(f"the delay is a number of seconds over 0, not {delay}")
        self._check_count()
        if form == "svg":
            return animated(self.whole.render("svg"), self.whole.picture, delay)
        return _gif(self._rendered("png"), delay) if form == "gif" else _pdf(self._rendered("pdf"))

    @checked
    def save(self, path: str | os.PathLike[str], *, delay: float = DELAY) -> list[str]:
        """Write one file with all steps, ``.gif``, ``.svg`` or ``.pdf``; return notes for the user about it."""
        ending = Path(path).suffix.lower()
        if ending not in ONE_FILE:
            known = ", ".join(ONE_FILE)
            raise FileFormatError(f"no file ending in '{ending}' holds steps; choose {known}", file=path)
        replace_file(path, [self.render(ONE_FILE[ending], delay=delay)])
        return self.whole.caveats(ONE_FILE[ending])

    @checked
    def save_to(self, folder: str | os.PathLike[str], form: str = "svg") -> list[Path]:
        """Write ``frame-000.svg``, ``frame-001.svg``, ... (or ``png``, ``pdf``), named by their steps. Frames that were
        written there before are replaced, and removed where there are fewer; no other file is touched."""
        if form not in FRAME_FORMATS:
            raise FileFormatError(f"no frames are written as '{form}'; choose {', '.join(FRAME_FORMATS)}")
        self._check_count()
        contents = {f"frame-{step:03}.{form}": content for step, content in enumerate(self._rendered(form))}
        return write_frames(Path(folder), contents)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> Mapping[str, str]:
        """For Jupyter: the SVG that plays."""
        forms = {"text/plain": self.__repr__, "image/svg+xml": lambda: fitting(self.render("svg"))}
        return bundle(forms, include, exclude)

    def _rendered(self, form: str) -> Iterator[bytes]:
        return (self.whole.at_step(step).render(form) for step in range(len(self)))

    def _check_count(self) -> None:
        if len(self) > MOST_FRAMES:
            raise GraphError(
                f"the picture has {len(self) - 1:,} steps, too many for frames (at most {MOST_FRAMES - 1}); fold it "
                f"with --collapse or a smaller --max-nodes, or draw single steps with --at-step"
            )


def fitting(svg: bytes) -> str:
    """An SVG as a part of a page, no wider than what it stands in."""
    return svg.decode().replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)


def _gif(frames: Iterator[bytes], delay: float) -> bytes:
    if find_spec("PIL") is None:
        raise MissingExtraError("GIF files need Pillow; install dataflow-autodiff[plot]")
    from PIL import Image

    pictures = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    both = Image.new("RGB", (pictures[0].width, 2 * pictures[0].height))  # the palest and the fullest have all colours
    both.paste(pictures[0])
    both.paste(pictures[-1], (0, pictures[0].height))
    palette = both.quantize(256, dither=Image.Dither.NONE)
    colors = palette.getpalette() or []
    paper = 3 * int(palette.getpixel((0, 0)))  # type: ignore[arg-type]
    colors[paper : paper + 3] = both.tobytes()[:3]  # exactly, so that no edge is seen on a slide
    palette.putpalette(colors)
    images = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    shown = round(1000 * delay)
    durations = [shown] * (len(images) - 1) + [LINGER * shown]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, disposal=1)
    return buffer.getvalue()


def _pdf(pages: Iterator[bytes]) -> bytes:
    if find_spec("pypdf") is None:
        raise MissingExtraError("a PDF with a page for each step needs pypdf; install dataflow-autodiff[render]")
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for page in pages:
        writer.append(PdfReader(io.BytesIO(page)), import_outline=False)
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    writer.metadata = None
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()
