"""A figure as SVG, written without any layout engine."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from dataflow.draw.layout.figure import INSET, Curve, Figure, Group, Item, Outline, Text, head
from dataflow.draw.picture.picture import Picture
from dataflow.draw.picture.styles import Theme, color_of, paled, theme
from dataflow.draw.writers.svg import Groups, clean, finish, frame

BASELINE = 0.36
"""From the middle of a line of text down to its baseline, in sizes of its font."""
DASHES = {"dashed": "5,3", "dotted": "1,3"}


def figure_svg(picture: Picture, figure: Figure, scale: float = 1.0) -> bytes:
    """The picture's SVG file."""
    size = f"{scale * figure.width:.0f}pt", f"{scale * figure.height:.0f}pt"
    root, prefix = frame(picture, *size, f"0 0 {figure.width:.2f} {figure.height:.2f}")
    colors = theme(picture.dark)
    paper = {"x": "0", "y": "0", "width": "100%", "height": "100%", "fill": colors.paper}
    ET.SubElement(root, "rect", paper)
    groups = Groups(picture, prefix)
    for group in figure.groups:
        _write_group(root, group, groups, colors, figure.height)
    return finish(root)


def _write_group(root: ET.Element, group: Group, groups: Groups, colors: Theme, height: float) -> None:
    attributes, title = groups.attributes(group.key)
    element = ET.SubElement(root, "g", {key: clean(value) for key, value in attributes.items()})
    colors = paled(colors) if group.pale else colors
    if title is not None:
        ET.SubElement(element, "title").text = clean(title)
    for item in group.items:
        _write_item(element, item, colors, height)


def _write_item(parent: ET.Element, item: Item, colors: Theme, height: float) -> None:
    if isinstance(item, Text):
        _write_text(parent, item, colors, height)
    elif isinstance(item, Outline):
        _write_outline(parent, item, colors, height)
    else:
        _write_curve(parent, item, colors, height)


def _write_text(parent: ET.Element, item: Text, colors: Theme, height: float) -> None:
    place = {"x": f"{item.x:.2f}", "y": f"{height - item.y + BASELINE * item.size:.2f}"}
    style = {
        "font-size": f"{item.size:g}",
        "text-anchor": item.anchor,
        **({"font-style": "italic"} if item.italic else {}),
    }
    first = item.spans[0]
    element = ET.SubElement(parent, "text", {**place, **style, "fill": color_of(first.color, colors)})
    if len(item.spans) == 1 and not first.underlined and not first.pale:
        element.text = clean(first.text)
        return
    for span in item.spans:
        line = {"text-decoration": "underline"} if span.underlined else {}
        line |= {"visibility": "hidden"} if span.hidden else {}
        color = color_of(span.color, paled(colors) if span.pale else colors)
        ET.SubElement(element, "tspan", {"fill": color, **line}).text = clean(span.text)


def _write_outline(parent: ET.Element, item: Outline, colors: Theme, height: float) -> None:
    style = _stroke(item.stroke, item.width, item.dash, colors) | {"fill": color_of(item.fill, colors)}
    for inset in (0.0, INSET) if item.double else (0.0,):
        place = item.place
        across, along = place.width / 2 - inset, place.height / 2 - inset
        if item.form == "circle":
            middle = {"cx": f"{place.x:.2f}", "cy": f"{height - place.y:.2f}"}
            ET.SubElement(parent, "ellipse", {**middle, "rx": f"{across:.2f}", "ry": f"{along:.2f}", **style})
        else:
            corner = min(across, along) if item.form == "pill" else 4.0
            corners = {"x": f"{place.x - across:.2f}", "y": f"{height - place.y - along:.2f}", "rx": f"{corner:.2f}"}
            sides = {"width": f"{2 * across:.2f}", "height": f"{2 * along:.2f}"}
            ET.SubElement(parent, "rect", {**corners, **sides, **style})


def _write_curve(parent: ET.Element, item: Curve, colors: Theme, height: float) -> None:
    points = [f"{x:.2f},{height - y:.2f}" for x, y in item.points]
    path = {"d": f"M{points[0]}C{' '.join(points[1:])}", "fill": "none"}
    if item.double:  # a line with the paper's colour along its middle
        ET.SubElement(parent, "path", path | _stroke(item.color, item.width + 2.4, "", colors))
        ET.SubElement(parent, "path", path | _stroke("paper", 1.4, "", colors))
    else:
        ET.SubElement(parent, "path", path | _stroke(item.color, item.width, item.dash, colors))
    if item.tip is not None:
        corners = " ".join(f"{x:.2f},{height - y:.2f}" for x, y in head(item.points[-1], item.tip))
        ET.SubElement(parent, "polygon", {"points": corners, "fill": color_of(item.color, colors)})


def _stroke(color: str, width: float, dash: str, colors: Theme) -> dict[str, str]:
    dashes = {"stroke-dasharray": DASHES[dash]} if dash else {}
    return {"stroke": color_of(color, colors), "stroke-width": f"{width:g}", **dashes}
