"""The styles of pictures: how each builds a picture from a model, and how it lays it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.draw.build_picture import Options, build_picture
from dataflow.draw.layout.figure import Figure
from dataflow.draw.lecture.build_lecture import build_lecture
from dataflow.draw.lecture.lay_out_lecture import lay_out_lecture
from dataflow.draw.neurons.build_neurons import build_neurons
from dataflow.draw.neurons.lay_out_neurons import lay_out_neurons
from dataflow.draw.picture.picture import Picture
from dataflow.model.model import Model


@dataclass(frozen=True)
class Style:
    """One way to draw a model. ``lay_out`` places everything in the picture; without it a layout engine does. The
    ``direction`` is "down" or "right" where none is asked for."""

    build: Callable[[Model, Options, Mapping[str, Any] | None], Picture]
    lay_out: Callable[[Picture], Figure] | None = None
    direction: str = "down"


STYLES = {
    "graph": Style(build_picture),
    "lecture": Style(build_lecture, lay_out_lecture, "right"),
    "neurons": Style(build_neurons, lay_out_neurons, "right"),
}
