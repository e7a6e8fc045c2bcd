"""The directives ``dataflow`` and ``dataflow-explain``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from dataflow.draw.drawer import DIRECTIONS, THEMES, draw
from dataflow.draw.drawing import Drawing
from dataflow.draw.picture.specs import LABELS, VALUES
from dataflow.draw.picture_styles import STYLES
from dataflow.errors import DataError, DataflowError
from dataflow.explain import html_page as page
from dataflow.explain import latex
from dataflow.explain.explainer import explain
from dataflow.explain.explanation import HEADING
from dataflow.explain.symbolic import derive
from dataflow.notation.names import NOTATIONS
from dataflow.sphinx.output import IMAGES, explanation_node, picture_node
from dataflow.sphinx.sources import Sources, settings_of
from dataflow.support.number_texts import MOST_DIGITS, number_format

logger = logging.getLogger(__name__)

Option = Callable[[str | None], Any]


def _names(argument: str | None) -> list[str]:
    """``W1, b1``"""
    names = [name.strip() for name in directives.unchanged_required(argument).split(",")]
    if not all(names):
        raise ValueError("names are written with one comma between them: W1,b1")
    return names


def _one_of(*values: str) -> Option:
    return lambda argument: directives.choice(argument, values)


def _digits(argument: str | None) -> int:
    digits: int = directives.positive_int(argument)
    if digits > MOST_DIGITS:
        raise ValueError(f"at most {MOST_DIGITS} digits")
    return digits


MODEL_OPTIONS: dict[str, Option] = {
    "of": directives.unchanged_required,
    "wrt": _names,
    "inner": directives.flag,
    "example": directives.nonnegative_int,
    "notation": _one_of(*NOTATIONS),
    "data": directives.path,
    "parameters": directives.path,
    "set": directives.unchanged_required,
    "digits": _digits,
    "exact": directives.flag,
    "name": directives.unchanged,
    "class": directives.class_option,
}
PICTURE_OPTIONS: dict[str, Option] = {
    "style": _one_of(*STYLES),
    "backward": directives.flag,
    "both": directives.flag,
    "labels": _one_of(*LABELS),
    "values": directives.flag,
    "collapse": _names,
    "no-repeats": directives.flag,
    "direction": _one_of(*DIRECTIONS),
    "theme": _one_of(*THEMES),
    "no-legend": directives.flag,
    "only": directives.flag,
    "max-nodes": directives.positive_int,
}
SETTINGS = ("style", "of", "wrt", "labels", "collapse", "direction", "notation", "example")
"""Those that are arguments of the same name."""
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


class _ModelDirective(SphinxDirective):
    """A directive about a model. Its errors become warnings of Sphinx at the directive's line."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> Sequence[nodes.Node]:
        sources = Sources(self)
        try:
            with number_format(self.options.get("digits"), exact="exact" in self.options):
                return self.build(sources)
        except DataflowError as error:
            if self.arguments:
                error.at(file=self.arguments[0])
            logger.warning(sources.describe(error), location=self.get_location(), type="dataflow", subtype="model")
            return []

    def build(self, sources: Sources) -> Sequence[nodes.Node]:
        """Build the nodes of the document, or raise a ``DataflowError``."""
        raise NotImplementedError

    def say(self, notes: Sequence[str]) -> None:
        """Log notes for the author that are no faults."""
        for note in notes:
            logger.info(note, location=self.get_location())


class PictureDirective(_ModelDirective):
    """A model's picture; the options are those of ``dataflow draw`` and those of an image."""

    option_spec: ClassVar[dict[str, Option]] = {**MODEL_OPTIONS, **PICTURE_OPTIONS, **IMAGE_OPTIONS}

    def build(self, sources: Sources) -> Sequence[nodes.Node]:
        drawing = self.drawing(sources)
        self.say(drawing.picture.notes)
        node = picture_node("", drawing=drawing, alt=self.options.get("alt", drawing.picture.description))
        node["format"] = self.options.get("format")
        node["classes"] += ["dataflow", *self.options.get("class", [])]
        if drawing.picture.auto:
            node["classes"].append("dark-light")  # themes that darken pictures on dark pages leave such ones alone
        node.attributes.update({key: self.options[key] for key in ("width", "height", "scale") if key in self.options})
        shown = self.with_caption(node) if "caption" in self.options else node
        self.set_source_info(node)
        if "align" in self.options:
            shown["align"] = self.options["align"]
        self.add_name(shown)
        return [shown]

    def drawing(self, sources: Sources) -> Drawing:
        """Draw what ``dataflow draw`` would draw."""
        options, model = self.options, sources.model()
        inputs = None
        if {"values", "data", "set"} & options.keys() or options.get("labels") == VALUES:
            inputs, notes = sources.given(model)
            self.say(notes)
        flags = {name: True for name in ("backward", "both", "values", "inner", "only") if name in options}
        chosen: dict[str, Any] = {**flags, **settings_of(options, SETTINGS)}
        return draw(
            model,
            **chosen,
            fold_repeats="no-repeats" not in options,
            theme=options.get("theme", self.config.dataflow_theme),
            legend="no-legend" not in options,
            max_nodes=options.get("max-nodes"),
            engine=self.config.dataflow_engine,
            time_limit=self.config.dataflow_time_limit,
            data=inputs,
        )

    def with_caption(self, node: picture_node) -> nodes.figure:
        """Put the picture in a figure, which can be numbered and referred to."""
        text = self.options["caption"]
        inline, messages = self.parse_inline(text)
        caption = nodes.caption(text, "", *inline)
        self.set_source_info(caption)
        figure = nodes.figure("", node, caption, *messages)
        self.set_source_info(figure)
        return figure


class ExplanationDirective(_ModelDirective):
    """The chain rule for a model, factor by factor; the options are those of ``dataflow explain``."""

    option_spec: ClassVar[dict[str, Option]] = {**MODEL_OPTIONS, **EXPLANATION_OPTIONS}

    def build(self, sources: Sources) -> Sequence[nodes.Node]:
        options, model = self.options, sources.model()
        inputs, notes = sources.given(model)
        self.say(notes)
        node: nodes.Element
        if "symbolic" in options:
            wrt = options.get("wrt", [])
            if len(wrt) != 1:
                raise DataError("a derivation in symbols is with respect to one name; say which with wrt")
            asked = settings_of(options, ("of", "example", "notation"))
            derivation = derive(model, wrt=wrt[0], data=inputs, **asked)
            node = nodes.math_block("", derivation.to_latex(), docname=self.env.docname, number=None, label=None)
            node["nowrap"] = node["no-wrap"] = True
        else:
            chosen = settings_of(options, ("of", "wrt", "example", "order", "notation"))
            written = explain(model, inner="inner" in options, data=inputs, **chosen)
            node = explanation_node(
                "",
                html=page.body(written, level=HEADING),
                latex=latex.fragment(written, "subsubsection"),
                text=str(written),
            )
        node["classes"] += options.get("class", [])
        self.set_source_info(node)
        self.add_name(node)
        return [node]
