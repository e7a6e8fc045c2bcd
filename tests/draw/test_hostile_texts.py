"""Whatever names, labels and attributes say, a picture has it as text and as nothing else."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest
from checkout import MODELS
from hostile import hostile_model, hostile_texts
from tex import compile_tex, need_tex

import dataflow
from dataflow.draw.drawing import Drawing
from dataflow.draw.layout.engines import engines, find_engine
from dataflow.draw.picture.picture import (
    Cluster,
    Flow,
    Kind,
    Line,
    Mark,
    Picture,
    PictureEdge,
    PictureNode,
    Role,
    Sample,
)
from dataflow.draw.picture_styles import STYLES
from dataflow.draw.writers.mermaid import SETTINGS, escape
from dataflow.draw.writers.svg import accessible
from dataflow.notation.names import raw_symbol

LABELS = 9  # hostile texts for each node, with its edge
SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "g", "title", "desc", "polygon", "polyline", "path", "ellipse", "text"}
ATTRIBUTES = {
    *(
        "id",
        "class",
        "transform",
        "points",
        "d",
        "cx",
        "cy",
        "rx",
        "ry",
        "x",
        "y",
        "width",
        "height",
        "viewBox",
        "role",
    ),
    *("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "text-anchor"),
    *("font-family", "font-size", "font-weight", "font-style", "aria-labelledby", "data-nodes", "data-edges"),
}
DOT_ATTRIBUTES = {
    *(
        "newrank",
        "compound",
        "splines",
        "ranksep",
        "nodesep",
        "pad",
        "labelloc",
        "labeljust",
        "rankdir",
        "bgcolor",
        "rank",
    ),
    *(
        "fontname",
        "fontsize",
        "fontcolor",
        "label",
        "color",
        "style",
        "penwidth",
        "margin",
        "fixedsize",
        "id",
        "height",
        "arrowsize",
    ),
    *("shape", "peripheries", "fillcolor", "constraint", "dir", "xlabel", "group", "weight"),
}


def hostile_picture(texts: list[str], dark: bool = False) -> Picture:
    """``LABELS`` texts for each node: in keys, names, labels, members, clusters."""
    rows = [texts[i : i + LABELS] for i in range(0, len(texts) - LABELS + 1, LABELS)]
    keys = [f"{row[0]}{i}" for i, row in enumerate(rows)]
    kinds, flows, marks, roles = list(Kind), list(Flow), list(Mark), list(Role)
    nodes = [
        PictureNode(
            key,
            kinds[i % len(kinds)],
            tuple(Line(roles[j % len(roles)], row[1 + j], raw_symbol(row[1]).as_latex * (j % 2)) for j in range(3)),
            (row[4], row[5]),
            f"c{i % 7}",
            mark=marks[i % 3],
            computed=bool(i % 2),
            saved=bool(i % 3),
        )
        for i, (key, row) in enumerate(zip(keys, rows, strict=True))
    ]
    edges = [
        PictureEdge(keys[i], keys[i + 1], flows[i % len(flows)], row[6], ((row[7], row[8], i),), marks[i % 3])
        for i, row in enumerate(rows[:-1])
        if i % 20
    ]
    clusters = [Cluster(f"c{i}", texts[i]) for i in range(7)]
    return Picture(
        texts[-1], texts[-2], tuple(nodes), tuple(edges), tuple(clusters), (), tuple(map(Sample, texts[:5])), True, dark
    )


def readable(text: str) -> str:
    """What of a text can be seen, with one kind of space."""
    seen = "".join(c if c.isprintable() else " " if c.isspace() or c == "\u00a0" else "\ufffd" for c in text)
    return " ".join(seen.split())


@pytest.mark.parametrize("count", [504, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_texts_stay_text(count: int):
    texts = hostile_texts(count)
    step = 1260
    for start in range(0, count, step):
        picture = hostile_picture(texts[start : start + step], dark=bool(start % 2))
        drawing = Drawing(picture)
        check_dot(picture, drawing.source)
        check_svg(picture, drawing.render("svg"))
        check_mermaid(picture, drawing.render("mermaid").decode())
        check_tikz(drawing.render("tikz").decode())
        if any("pdf" in engine.formats for engine in engines()):
            check_pdf(drawing.render("pdf"))


def check_dot(picture: Picture, source: str) -> None:
    parsed = json.loads(find_engine("json0").run(source, "json0", 60))
    items = [*parsed["objects"], *parsed["edges"]]
    laid_out = {
        *("_gvid", "name", "pos", "width", "bb", "lp", "lwidth", "lheight", "xlp", "nodes", "edges"),
        "head",
        "tail",
    }
    laid_out |= {"subgraphs", "rects", "vertices"}
    assert {key for item in items for key in item} <= DOT_ATTRIBUTES | laid_out
    assert {item.get("fontname") for item in items} <= {"DejaVu Sans", None}
    assert len([item for item in items if item.get("id", "").startswith("node-")]) == len(picture.nodes)
    assert len(parsed["edges"]) == len(picture.edges)
    assert len([item for item in items if item.get("id", "").startswith("cluster-")]) == len(picture.clusters)


def check_svg(picture: Picture, found: bytes) -> None:
    root = ET.fromstring(found)
    assert b"<!" not in found
    assert b"<?" not in found[5:]
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
        for name, value in element.attrib.items():
            if name not in ("data-nodes", "data-edges"):
                assert "javascript" not in value
                assert "url(" not in value
    assert root[0].text is not None
    assert readable(root[0].text) == readable(picture.title)
    groups = {group.get("id", "").split("-", 1)[-1]: group for group in root.iter(f"{SVG}g")}
    for number, node in enumerate(picture.nodes, 1):
        shown = [readable(text.text or "") for text in groups[f"node-{number}"].findall(f"{SVG}text")]
        wanted = [readable(f"({line.text})" if line.role == Role.NOTE else line.text) for line in node.lines]
        assert [text for text in shown if text] == [text for text in wanted if text]
    for number, edge in enumerate(picture.edges, 1):
        shown = [readable(text.text or "") for text in groups[f"edge-{number}"].findall(f"{SVG}text")]
        assert "".join(shown) in ("", readable(edge.label))  # a label without room is left out


def check_mermaid(picture: Picture, source: str) -> None:
    """Every line begins as one of ours, and what is in quotes has nothing but text."""
    lines = source.split("\n")
    assert sum(line.lstrip().startswith("subgraph ") for line in lines) == len(picture.clusters)
    assert sum('|"' in line for line in lines) == len(picture.edges)
    begins = r"(flowchart|accTitle:|accDescr:|subgraph c\d+\[|n\d+\W|style c\d|linkStyle|classDef k\d|class n\d)|end$|$"
    assert lines[0] == SETTINGS
    assert all(re.match(begins, line.lstrip(" ")) for line in lines[1:])
    for quoted in re.findall(r'"(.*?)"', "\n".join(lines[1:])):
        for text in quoted.split("<br/>"):
            assert not set(text) & set("\"'`<>&|[]{}()\n\r\x00")
            assert re.fullmatch(r"(#\d+;|[^#;])*", text)


def check_tikz(source: str) -> None:
    assert source.isascii()
    body = source.partition(r"\begin{document}")[2]
    body = re.sub(r"(?m)^%.*$", "", body)
    commands = set(re.findall(r"\\([a-zA-Z]+|.)", body)) - {"\\", *"_#$%&{}"}  # a line's end, an escaped character
    assert "input" not in commands
    assert not re.search(r"\\\\\s*[\[*]", body)  # which would be an option of the end of the line
    assert commands <= TIKZ_COMMANDS | set(_greek())


def check_pdf(found: bytes) -> None:
    """No link, no script, no action, no file: a picture, its fonts, nothing more."""
    assert found.startswith(b"%PDF")
    for word in b"/URI", b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction", b"/AA", b"/EmbeddedFile", b"/Annot":
        assert not re.search(re.escape(word) + rb"\b", found)


def test_escape_of_mermaid():
    for text in hostile_texts(2000, seed=1):
        escaped = escape(text)
        assert not set(escaped) & set("\"'`<>&|[]{}()\n\r\x00")
        assert re.fullmatch(r"(#\d+;|[^#;])*", escaped)


TIKZ_COMMANDS = {
    *("begin", "end", "draw", "node", "sffamily", "fontsize", "selectfont", "partial", "textbackslash", "backslash"),
    *("odot", "otimes", "top", "|", "textstyle", "sum", "left", "right"),
    *("pagecolor", "textasciitilde", "textasciicircum", "times", "cdot", "dots", "to", "mathrm", "frac", "hat", "bar"),
    *("tilde", "dot", "acute", "breve", "check", "ddot", "grave", "mathring", "sim", "alpha", "Alpha"),
}


def _greek() -> list[str]:
    from dataflow.notation.letters import GREEK

    return list(GREEK)


@pytest.mark.slow
def test_hostile_tikz_compiles(tmp_path):
    need_tex("tikz.sty")
    picture = hostile_picture(hostile_texts(3000, seed=2))
    compile_tex(tmp_path, Drawing(picture).render("tikz").decode())


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("xor.toml", "lecture"),
        *(
            pytest.param(path.name, style, marks=pytest.mark.slow)
            for path in sorted(MODELS.glob("*.toml"))
            for style in STYLES
        ),
    ],
)
def test_tikz_of_a_model_compiles(tmp_path, model, style):
    need_tex("tikz.sty")
    loaded = dataflow.load(MODELS / model)
    target = loaded.loss or loaded.outputs[0]
    try:
        drawing = dataflow.draw(loaded, of=target, both=True, style=style)
    except dataflow.DataflowError:
        pytest.skip(f"no {style} of it")
    compile_tex(tmp_path, drawing.render("tikz").decode())


def test_an_svg_that_is_not_ours_loses_what_is_not_on_the_lists():
    picture = hostile_picture(hostile_texts(200, seed=3))
    evil = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">]>
    <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 1 1" onload="x()"
    width="javascript:x"><style>@import url(x)</style><script>x()</script><a xlink:href="javascript:x()"><g id="node-1"
    onclick="x()"><path d="M0 0" style="fill:url(x)" fill="url(#a)"/><image href="/etc/passwd"/><use href="#a"/>
    <text x="1" font-family="&quot;;x">&a;</text></g></a><foreignObject><p>x</p></foreignObject></svg>"""
    found = accessible(evil, picture)
    root = ET.fromstring(found)
    assert [element.tag.removeprefix(SVG) for element in root.iter()][3:] == ["g", "title", "path", "text"]
    assert all(set(element.attrib) <= ATTRIBUTES for element in root.iter())
    assert b"javascript:x" not in found.replace(root[0].text.encode(), b"")[: found.index(b"<desc")]
    assert b"url(" not in ET.tostring(root.find(f"{SVG}g/{SVG}path"))


@pytest.mark.slow
def test_a_model_with_hostile_names_and_attributes():
    """What a model can hold: its name, names of blocks, strings of attributes."""
    for text in hostile_texts(120, seed=4):
        model = hostile_model(text)
        drawing = dataflow.draw(model, style="graph", both=True, wrt="x")
        root = ET.fromstring(drawing.render("svg"))
        assert all(element.tag.removeprefix(SVG) in ELEMENTS for element in root.iter())
        assert all(set(element.attrib) <= ATTRIBUTES for element in root.iter())


@pytest.mark.slow
def test_hostile_values_of_attributes():
    """A plugin's op may take any string; those of our ops are checked."""

    @dataflow.op
    def tagged(x, *, tag: str = ""):
        """x, whatever the tag."""
        return x * 1

    for text in hostile_texts(60, seed=5):
        graph = dataflow.Graph("g")
        graph.node("y", tagged(graph.input("x", (2,)), tag=text))
        drawing = dataflow.draw(graph)
        picture = drawing.picture
        check_dot(picture, drawing.source)
        check_svg(picture, drawing.render("svg"))
        check_mermaid(picture, drawing.render("mermaid").decode())
        check_tikz(drawing.render("tikz").decode())
    assert any("tag=" in line.text for line in picture.nodes[1].lines)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_no_file_is_read(tmp_path, monkeypatch, kind):
    """A picture that named files would show them, or fail for want of them."""
    secret = tmp_path / "secret.png"
    monkeypatch.chdir(tmp_path)
    row = [f'" image="{secret}', f"<img src='{secret}'/>", f'"];x[shapefile="{secret}"', str(secret), "secret.png"]
    picture = hostile_picture((row * 20)[:90])
    before = Drawing(picture).render(kind)
    secret.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert Drawing(picture).render(kind) == before
