"""Write each picture in a format that the builder can show, and each explanation in its language."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from dataflow.draw.drawing import DOTS_PER_INCH, Drawing
from dataflow.errors import DataflowError, MissingExtraError
from dataflow.support.atomic import replace_file

logger = logging.getLogger(__name__)

IMAGES = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}


class picture_node(nodes.General, nodes.Inline, nodes.Element):  # noqa: N801 (as docutils names nodes)
    """A picture before it is known which builder wants it; ``drawing`` is what is drawn."""


class explanation_node(nodes.General, nodes.Element):  # noqa: N801
    """An explanation before it is known which builder wants it, as ``html``, ``latex`` and ``text``."""


def put_in(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put what the builder can show into a document that is about to be written."""
    for node in list(doctree.findall(picture_node)):
        node.replace_self(_image(app, node, docname))
    for node in list(doctree.findall(explanation_node)):
        node.replace_self(_explain(app, node))


def _image(app: Sphinx, node: picture_node, docname: str) -> nodes.Element:
    """Make an image; for a builder of text, its description."""
    kept = {
        key: node[key] for key in ("ids", "names", "classes", "alt", "width", "height", "scale", "align") if key in node
    }
    types = list(app.builder.supported_image_types)
    forms = [form for form in dict.fromkeys((node["format"], *IMAGES)) if form and IMAGES[form] in types]
    if not forms:
        return nodes.image("", uri=_stem(node["drawing"]), candidates={"?": ""}, **kept)
    try:
        form, content = _render(node["drawing"], forms)
    except DataflowError as error:
        logger.warning(str(error), location=node, type="dataflow", subtype="picture")
        return nodes.inline("", node["alt"], ids=node["ids"], names=node["names"], classes=node["classes"])
    path = Path(app.doctreedir) / "images" / f"{_stem(node['drawing'])}-{_digest(content)}.{form}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [content])
    app.env.images.add_file(docname, str(path))
    if form == "png" and app.builder.format == "html" and not {"width", "height", "scale"} & kept.keys():
        kept["width"] = f"{int.from_bytes(content[16:20], 'big') * 96 // DOTS_PER_INCH}px"
    return nodes.image("", uri=str(path), candidates={IMAGES[form]: str(path)}, **kept)


def _render(drawing: Drawing, forms: list[str]) -> tuple[str, bytes]:
    """Render the picture in the first of the formats that can be made here."""
    for form in forms[:-1]:
        try:
            return form, drawing.render(form)
        except MissingExtraError:
            continue
    return forms[-1], drawing.render(forms[-1])


def _explain(app: Sphinx, node: explanation_node) -> nodes.Element:
    kept: dict[str, Any] = {key: node[key] for key in ("ids", "names", "classes")}
    if app.builder.format == "html":
        written = nodes.raw("", node["html"], format="html")
    elif app.builder.format == "latex":
        written = nodes.raw("", node["latex"], format="latex")
    else:
        written = nodes.literal_block("", node["text"], language="none")
    return nodes.container("", written, **kept)


def _stem(drawing: Drawing) -> str:
    title = drawing.picture.title.partition(":")[0]
    return "dataflow-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "model")


def _digest(content: bytes) -> str:
    """Name a file by its content, so that equal pictures are one file."""
    return hashlib.sha256(content).hexdigest()[:16]
