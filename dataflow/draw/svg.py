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

from dataflow.draw.notation import printable
from dataflow.draw.picture import Cluster, Picture, PictureEdge, PictureNode
from dataflow.draw.styles import FONT, dark_rules
from dataflow.errors import DataflowError

NAMESPACE = "http://www.w3.org/2000/svg"
ELEMENTS = {"g", "polygon", "polyline", "path", "ellipse", "text"}
ATTRIBUTES = {
    *("transform", "points", "d", "cx", "cy", "rx", "ry", "x", "y", "fill", "stroke", "stroke-width"),
    *("stroke-dasharray", "stroke-opacity", "fill-opacity", "text-anchor", "font-size", "font-weight", "font-style"),
}
FAMILY = f"'{FONT}', Verdana, Helvetica, Arial, sans-serif"
_VALUE = re.compile(r"(?!.*url)[-+#.,() \w]*\Z", re.ASCII | re.IGNORECASE)


def accessible(found: bytes, picture: Picture) -> bytes:
    """The picture's SVG file."""
    try:
        root = ET.fromstring(found)
    except ET.ParseError as error:
        raise DataflowError(f"the layout engine's SVG cannot be read: {error}") from None
    prefix = "df" + hashlib.sha256(repr(picture).encode("utf-8", "replace")).hexdigest()[:8]
    box = root.get("viewBox", "0 0 100 100")
    width, height = (root.get(side, "100pt") for side in ("width", "height"))
    result = ET.Element(
        "svg",
        {
            "xmlns": NAMESPACE,
            "width": width if _VALUE.match(width) else "100",
            "height": height if _VALUE.match(height) else "100",
            "viewBox": box if _VALUE.match(box) else "0 0 100 100",
            "role": "img",
            "aria-labelledby": f"{prefix}-title {prefix}-desc",
            "font-family": FAMILY,
        },
    )
    _child(result, "title", picture.title, id=f"{prefix}-title")
    _child(result, "desc", picture.description, id=f"{prefix}-desc")
    if picture.auto:
        result.set("id", prefix)
        _child(result, "style", dark_rules(prefix))
    _copy_children(root, result, _Groups(picture, prefix))
    ET.indent(result, " ")
    text: bytes = ET.tostring(result, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


@dataclass
class _Groups:
    """What is known of an element by the ``id`` that the DOT file gave it."""

    picture: Picture
    prefix: str

    def attributes(self, identity: str) -> tuple[Mapping[str, str], str | None]:
        """The attributes of a group, and its title."""
        kind, _, digits = identity.partition("-")
        number = int(digits) - 1 if digits.isdecimal() else -1
        lists: Mapping[str, Sequence[PictureNode | PictureEdge | Cluster]] = {
            "node": self.picture.nodes,
            "edge": self.picture.edges,
            "cluster": self.picture.clusters,
        }
        found = lists.get(kind, ())
        if not 0 <= number < len(found):
            return {}, None
        common = {"id": f"{self.prefix}-{identity}"}
        item = found[number]
        if isinstance(item, PictureNode):
            words = ["node", item.kind, *(["backward"] if item.backward else []), *([item.mark] if item.mark else [])]
            words += [] if item.computed else ["not-computed"]
            title = "\n".join(line.text for line in item.lines)
            return {**common, "class": " ".join(words), "data-nodes": " ".join(item.members)}, title
        if isinstance(item, PictureEdge):
            edges = " ".join(f"{source}>{target}:{position}" for source, target, position in item.members)
            words = ["edge", item.flow, *([item.mark] if item.mark else [])]
            title = f"{item.source} → {item.target}: {item.label}"
            return {**common, "class": " ".join(words), "data-edges": edges}, title
        return {**common, "class": "cluster"}, item.label


def _copy_children(source: ET.Element, target: ET.Element, groups: _Groups) -> None:
    """Not recursive: what Graphviz writes is shallow, but nothing should depend on that."""
    pending = [(source, target)]
    while pending:
        old, new = pending.pop()
        for child in old:
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
            if name == "a":  # a link: what is in it stays, where it leads does not
                pending.append((child, new))
                continue
            if name not in ELEMENTS:
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
