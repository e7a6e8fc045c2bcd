"""The options of the directives: those of the commands that they are like, and those of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from docutils.parsers.rst import directives

from dataflow.draw.drawer import DIRECTIONS, THEMES
from dataflow.sphinx.output import IMAGES

Option = Callable[[str | None], Any]
"""What turns an option's text into its value; a ``ValueError`` where it cannot be."""


def settings_of(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of a directive's options that were given, by their names."""
    return {name: options[name] for name in names if name in options}


def _names(argument: str | None) -> list[str]:
    """``W1, b1``"""
    names = [name.strip() for name in directives.unchanged_required(argument).split(",")]
    if not all(names):
        raise ValueError("names are written with one comma between them: W1,b1")
    return names


def _one_of(*values: str) -> Option:
    return lambda argument: directives.choice(argument, values)


MODEL_OPTIONS: dict[str, Option] = {
    "of": directives.unchanged_required,
    "wrt": _names,
    "inner": directives.flag,
    "example": directives.nonnegative_int,
    "data": directives.path,
    "set": directives.unchanged_required,
    "name": directives.unchanged,
    "class": directives.class_option,
}
PICTURE_OPTIONS: dict[str, Option] = {
    "backward": directives.flag,
    "both": directives.flag,
    "values": directives.flag,
    "collapse": _names,
    "no-repeats": directives.flag,
    "direction": _one_of(*DIRECTIONS),
    "theme": _one_of(*THEMES),
    "no-legend": directives.flag,
    "max-nodes": directives.positive_int,
}
IMAGE_OPTIONS: dict[str, Option] = {
    "caption": directives.unchanged_required,
    "alt": directives.unchanged,
    "width": directives.length_or_percentage_or_unitless,
    "height": directives.length_or_unitless,
    "scale": directives.percentage,
    "align": _one_of("left", "center", "right"),
    "format": _one_of(*IMAGES),
}
EXPLANATION_OPTIONS: dict[str, Option] = {"order": _names, "symbolic": directives.flag}
