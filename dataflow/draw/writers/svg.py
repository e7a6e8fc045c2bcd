"""Graphviz' SVG, taken over element by element: what is not on the lists here does not get into the result.

Each node and edge carries, as data, which nodes and edges of the graph it stands for. A title and a description say to
those who cannot see it what there is.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataflow.draw.picture.aligned import without_spaces
from dataflow.draw.picture.picture import Caption, Cluster, Picture, PictureEdge, PictureNode, Sample
from dataflow.draw.picture.styles import FONT, dark_rules
from dataflow.draw.writers.dot import HIDDEN
from dataflow.errors import DataflowError
from dataflow.notation.letters import printable

NAMESPACE = "http://www.w3.org/2000/svg"
NOT_SHOWN = (HIDDEN, "#fffffe")
"""The fills of texts that only take up room; the second is what Graphviz 2 makes of the first."""
ELEMENTS = {"g", "polygon", "polyline", "path", "ellipse", "text"}
ATTRIBUTES = {
    *("transform", "points", "d", "cx", "cy", "rx", "ry", "x", "y", "fill", "stroke", "stroke-width"),
    *("stroke-dasharray", "stroke-opacity", "fill-opacity", "text-anchor", "font-size", "font-weight", "font-style"),
}
FAMILY = f"'{FONT}', Verdana, Helvetica, Arial, sans-serif"
_LENGTH = re.compile(r"([0-9.]+)(pt|px|)", re.ASCII)
_VALUE = re.compile(r"(?!.*url)[-+#.,() \w]*\Z", re.ASCII | re.IGNORECASE)


def accessible(source: bytes, picture: Picture, scale: float = 1.0) -> bytes:
    """The picture's SVG file."""
    try:
        root = ET.fromstring(source)
    except ET.ParseError as error:
        raise DataflowError(f"the layout engine's SVG cannot be read: {error}") from None
    box = root.get("viewBox", "0 0 100 100")
    width, height = (root.get(side, "100pt") for side in ("width", "height"))
    result, prefix = frame(
        picture,
        _scaled(width, scale),
        _scaled(height, scale),
        box if _VALUE.match(box) else "0 0 100 100",
    )
    _copy_children(root, result, Groups(picture, prefix))
    return finish(result)


def _scaled(length: str, scale: float) -> str:
    match = _LENGTH.fullmatch(length)
    if match is None:
        return "100"
    return length if scale == 1 else f"{scale * float(match[1]):.0f}{match[2]}"


def frame(picture: Picture, width: str, height: str, view_box: str) -> tuple[ET.Element, str]:
    """An empty SVG with the picture's title, description and stylesheet, and what the ids in it begin with."""
    prefix = "df" + hashlib.sha256(repr(picture).encode("utf-8", "replace")).hexdigest()[:8]
    result = ET.Element(
        "svg",
        {
            "xmlns": NAMESPACE,
            "width": width,
            "height": height,
            "viewBox": view_box,
            "role": "img",
            "aria-labelledby": f"{prefix}-title {prefix}-desc",
            "font-family": FAMILY,
        },
    )
    _child(result, "title", picture.title, id=f"{prefix}-title")
    _child(result, "desc", picture.description, id=f"{prefix}-desc")
    if picture.auto:
        result.set("id", prefix)
        _child(result, "style", dark_rules(prefix, pale=picture.is_partial))
    return result, prefix


def finish(root: ET.Element) -> bytes:
    """The file's content."""
    ET.indent(root, " ")
    for line in root.iter("text"):
        if len(line):  # no space may get between the parts of a line
            line.text = None
            for part in line:
                part.tail = None
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


@dataclass
class Groups:
    """What is known of an element by the ``id`` that the DOT file gave it."""

    picture: Picture
    prefix: str

    def attributes(self, identity: str) -> tuple[Mapping[str, str], str | None]:
        """The attributes of a group, and its title."""
        kind, _, digits = identity.partition("-")
        number = int(digits) - 1 if digits.isdecimal() else -1
        lists: Mapping[str, Sequence[PictureNode | PictureEdge | Cluster | Caption | Sample]] = {
            "node": self.picture.nodes,
            "edge": self.picture.edges,
            "cluster": self.picture.clusters,
            "caption": self.picture.captions,
            "legend": self.picture.legend,
        }
        queue = lists.get(kind, ())
        if not 0 <= number < len(queue):
            return {}, None
        common = {"id": f"{self.prefix}-{identity}"}
        item = queue[number]
        if isinstance(item, PictureNode):
            words = ["node", item.kind, *(["backward"] if item.backward else []), *([item.mark] if item.mark else [])]
            words += [] if item.computed else ["not-computed"]
            title = "\n".join(line.text for line in item.lines if not (item.pending and line.is_result))
            if item.pending:
                words, title = [*words, "pending"], f"{title}\n(not computed yet)"
            return {**common, "class": " ".join(words), "data-nodes": " ".join(item.members)}, without_spaces(title)
        if isinstance(item, PictureEdge):
            edges = " ".join(f"{source}>{target}:{position}" for source, target, position in item.members)
            words = ["edge", item.flow, *([item.mark] if item.mark else []), *(["pending"] if item.pending else [])]
            title = f"{item.source} → {item.target}" + ("" if item.pending or not item.label else f": {item.label}")
            return {**common, "class": " ".join(words), "data-edges": edges}, without_spaces(title)
        if isinstance(item, Sample):
            words = ["sample", *([item.like.kind] if isinstance(item.like, PictureNode) else [])]
            return {"class": " ".join(words)}, None
        if isinstance(item, Caption):
            return {**common, "class": "caption"}, None
        return {**common, "class": "cluster"}, item.label


def _copy_children(source: ET.Element, target: ET.Element, groups: Groups) -> None:
    """Not recursive: what Graphviz writes is shallow, but nothing should depend on that."""
    pending = [(source, target)]
    while pending:
        old, new = pending.pop()
        for child in old:
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
            if name == "a":  # a link: what is in it stays, where it leads does not
                pending.append((child, new))
                continue
            if name not in ELEMENTS or child.get("fill") in NOT_SHOWN:
                continue
            kept = ET.SubElement(
                new, name, {k: v for k, v in child.attrib.items() if k in ATTRIBUTES and _VALUE.match(v)}
            )
            if name == "g":
                attributes, title = groups.attributes(child.get("id", ""))
                kept.attrib.update({key: clean(value) for key, value in attributes.items()})
                if title is not None:
                    _child(kept, "title", title)
            kept.text = clean(child.text or "") if name == "text" else None
            pending.append((child, kept))


def clean(text: str) -> str:
    """Without the characters that XML cannot hold; lines and the spaces that Graphviz keeps apart stay."""
    return "".join(c if c == "\n" else printable(c) for c in text)


def _child(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = clean(text)
