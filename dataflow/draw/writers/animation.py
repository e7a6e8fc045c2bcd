"""An SVG that plays: each element appears when its step comes. It is one picture, the whole one, with a stylesheet.

Who asked for reduced motion sees the last step, and so does a program that plays nothing; under the pointer it pauses.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from dataflow.draw.picture.picture import Caption, Line, Picture, PictureEdge, PictureNode
from dataflow.draw.picture.styles import PALE
from dataflow.draw.writers.svg import NAMESPACE, finish

FADE = 0.25
"""How long an element takes to appear, in seconds."""
KINDS = (
    ("part", "opacity", PALE),
    ("result", "opacity", 0),
    ("word", "fill-opacity", PALE),  # a part of a line has no other
    ("number", "fill-opacity", 0),
)
LINGER = 3
"""The last step is shown for so many times as long as the others."""


def animated(source: bytes, picture: Picture, delay: float) -> bytes:
    """The SVG file of a picture, with its steps shown for ``delay`` seconds each, over and over."""
    root = ET.fromstring(source)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    root.set("xmlns", NAMESPACE)
    prefix = root.get("aria-labelledby", "").partition("-title")[0]
    root.set("id", prefix)
    elements: dict[str, PictureNode | PictureEdge] = {
        **{f"{prefix}-node-{i}": node for i, node in enumerate(picture.nodes, 1)},
        **{f"{prefix}-edge-{i}": edge for i, edge in enumerate(picture.edges, 1)},
    }
    for group in root.iter("g"):
        shown = elements.get(group.get("id", ""))
        if shown is not None and shown.step:
            _mark(group, shown.step, shown.lines if isinstance(shown, PictureNode) else ())
        _, _, caption = group.get("id", "").partition(f"{prefix}-caption-")
        if caption:
            _mark_parts(group, picture.captions[int(caption) - 1])
    style = ET.Element("style")
    style.text = _rules(prefix, picture.steps, delay)
    root.insert(2, style)  # after the title and the description
    return finish(root)


def _mark(group: ET.Element, step: int, lines: Sequence[Line]) -> None:
    """Outlines and names are pale until the step comes; numbers and the labels of edges are not there."""
    texts = [child for child in group if child.tag == "text"]
    results = {text for text, line in zip(texts, lines, strict=False) if line.is_result} if lines else set(texts)
    for child in group:
        if child.tag != "title":
            child.set("class", f"{'result' if child in results else 'part'}-{step}")


def _mark_parts(group: ET.Element, caption: Caption) -> None:
    """The parts of a product, each a part of a line or a line of its own."""
    spans = [span for line in group if line.tag == "text" for span in (list(line) or [line])]
    for span, part in zip(spans, caption.parts, strict=True):
        if part.step:
            span.set("class", f"{'number' if part.comes_with_numbers else 'word'}-{part.step}")


def _rules(root: str, steps: int, delay: float) -> str:
    """Keyframes for each step: first pale or hidden, then there to the end."""
    whole = (steps + LINGER) * delay
    rules = []
    for step in range(1, steps + 1):
        begin, end = (100 * at / whole for at in (step * delay, step * delay + min(FADE, delay / 2)))
        for name, kind, opacity in KINDS:
            frames = f"0%,{begin:.3f}%{{{kind}:{opacity}}}{end:.3f}%,100%{{{kind}:1}}"
            rules.append(f"@keyframes {root}-{name}-{step}{{{frames}}}")
            rules.append(f"#{root} .{name}-{step}{{animation:{root}-{name}-{step} {whole:g}s infinite}}")
    rules.append(f"#{root}:hover *{{animation-play-state:paused}}")
    return "@media (prefers-reduced-motion:no-preference){" + "".join(rules) + "}"
