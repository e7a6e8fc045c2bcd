"""Every label is nearest to its own line, on no node, no line and no other label: measured in the layout that is drawn,
by the distances of rectangles from points on the lines."""

from __future__ import annotations

import itertools

import any_graph
import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.draw.drawing import lay_out
from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.clearance import distance, shrunk
from dataflow.draw.layout.engines import PURE, engines, find_engine
from dataflow.draw.layout.label_places import FARTHEST, arrow_points, place_labels, text_size
from dataflow.draw.layout.layout import Layout, Place, Spline
from dataflow.draw.picture.picture import Flow, Picture, PictureEdge
from dataflow.errors import GraphError

SLACK = 0.3
"""So much nearer may be the points that are measured on a line that lies on the label's own one."""
NAMES = [path.stem for path in sorted(MODELS.glob("*.toml"))]
FONTS = {
    "those that there are": None,
    "none": [],
    "Latin Modern": ["/usr/share/texmf/fonts/opentype/public/lm"],
    "DejaVu": ["/usr/share/fonts/truetype/dejavu"],
    "all of TeX": ["/usr/share/texmf/fonts/opentype", "/usr/share/texlive/texmf-dist/fonts/opentype"],
}
VIEWS = [
    {"both": both, "values": values, "direction": direction}
    for both, values, direction in itertools.product((False, True), (False, True), ("down", "right"))
]


def faults(picture, layout):
    """What is wrong with the labels; ``left out`` is what has no place."""
    edges = {f"edge-{number}": edge for number, edge in enumerate(picture.edges, 1)}
    lines = {key: arrow_points(line.points, line.end, 1.0) for key, line in layout.edges.items()}
    wanted = [key for key in lines if edges[key].label]
    found = [f"{key} left out" for key in wanted if layout.edges[key].label is None]
    boxes = {
        key: Box.around(Place(*layout.edges[key].label, *text_size(edges[key].label)))
        for key in wanted
        if layout.edges[key].label is not None
    }
    for key, box in boxes.items():
        own = distance(box, lines[key])
        found += [f"{key} is far from its line"] if own > FARTHEST else []
        found += [f"{key} on the line {other}" for other in lines if distance(shrunk(box), lines[other]) == 0]
        nearer = [other for other in lines if other != key and distance(box, lines[other]) < own - SLACK]
        found += [f"{key} is nearer to {other}" for other in nearer]
        found += [f"{key} on {node}" for node, place in layout.nodes.items() if box.overlap(Box.around(place))]
    found += [f"{a} on {b}" for (a, x), (b, y) in itertools.combinations(boxes.items(), 2) if x.overlap(y)]
    return found


def drawn(name, both, **options):
    model = dataflow.load(MODELS / f"{name}.toml")
    of = (model.loss or model.outputs[0]) if both else None
    return dataflow.draw(model, style="graph", both=both, of=of, **options).picture


@pytest.mark.parametrize("direction", ["down", pytest.param("right", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_models(name, direction):
    picture = drawn(name, both=True, direction=direction)
    assert faults(picture, lay_out(picture, find_engine("json0", PURE))) == []


@pytest.mark.slow
@pytest.mark.parametrize("fonts", FONTS)
@pytest.mark.parametrize("engine", [engine.name for engine in engines()])
@pytest.mark.parametrize("name", NAMES)
def test_models_in_all_views(name, engine, fonts, monkeypatch, tmp_path):
    """No model, in no view, with no engine and whatever fonts there are, has a label that is left out."""
    if FONTS[fonts] is not None:
        folders = "".join(f"<dir>{folder}</dir>" for folder in FONTS[fonts])
        config = tmp_path / "fonts.conf"
        config.write_text(f'<?xml version="1.0"?><fontconfig>{folders}<cachedir>{tmp_path}</cachedir></fontconfig>')
        monkeypatch.setenv("FONTCONFIG_FILE", str(config))
    for view in VIEWS:
        picture = drawn(name, **view)
        assert faults(picture, lay_out(picture, find_engine("json0", engine))) == [], view


@settings(max_examples=10)
@given(any_graph.graphs(), st.booleans(), st.booleans())
def test_any_graph(model, inner, down):
    """A label may be left out, and no other fault may be."""
    model.graph.node("end", dataflow.ops.sum(model.graph.value(model.outputs[0]) * 1.0))
    try:
        direction = "down" if down else "right"
        picture = dataflow.draw(model, style="graph", of="end", both=True, inner=inner, direction=direction).picture
    except GraphError:
        return
    layout = lay_out(picture, find_engine("json0", PURE))
    assert [fault for fault in faults(picture, layout) if "left out" not in fault] == []


def line_across(y):
    return Spline([(0.0, y), (30.0, y), (70.0, y), (100.0, y)], None, None)


def labelled(*lines, nodes=None, labels=None):
    """A picture with a line for each, placed; the labels are those that Graphviz put there."""
    edges = tuple(PictureEdge("a", "b", Flow.VALUE, "xxxx", ()) for _ in lines)
    labels = labels or [None] * len(lines)
    splines = {
        f"edge-{i}": Spline(line.points, line.end, label)
        for i, (line, label) in enumerate(zip(lines, labels, strict=True), 1)
    }
    picture = Picture("", "", (), edges)
    return picture, place_labels(picture, Layout(100.0, 100.0, 0.0, nodes or {}, splines, {}))


def test_a_label_with_room_stays_and_one_without_moves():
    picture, layout = labelled(line_across(50.0), line_across(10.0), labels=[(50.0, 60.0), (50.0, 10.0)])
    assert layout.edges["edge-1"].label == (50.0, 60.0)
    assert layout.edges["edge-2"].label != (50.0, 10.0)
    assert faults(picture, layout) == []


def test_a_label_that_is_nearer_to_another_line_moves():
    height = text_size("xxxx")[1]
    first, second = line_across(50.0), line_across(50.0 + height + 8)
    picture, layout = labelled(first, second, labels=[(50.0, 50.0 + height / 2 + 5), None])
    assert faults(picture, layout) == []
    assert layout.edges["edge-1"].label[1] < 50


def test_a_label_without_room_is_left_out():
    """Lines run so near to each other that a label between them would be on one."""
    lines = [line_across(float(y)) for y in np.linspace(5, 95, 31)]
    picture, layout = labelled(*lines)
    assert set(faults(picture, layout)) <= {f"edge-{i} left out" for i in range(1, 32)}
    assert layout.edges["edge-16"].label is None


def test_what_is_left_out_is_said(monkeypatch):
    from dataflow.draw import drawing

    drawn_model = dataflow.draw(dataflow.load(MODELS / "xor.toml"), style="graph", engine=PURE)
    real = drawing.place_labels
    monkeypatch.setattr(
        drawing,
        "place_labels",
        lambda picture, layout: real(
            picture,
            Layout(layout.width, layout.height, 0.0, {"n": Place(0, 0, 2e4, 2e4)} | layout.nodes, layout.edges, {}),
        ),
    )
    source = drawn_model.render("svg").decode()
    (note,) = drawn_model.caveats("svg")
    assert "no room for the labels of 'W1 → z', 'x → z', 'b1 → z' and 6 more" in note
    assert source.count(">(n, 2)<") == 0
    assert "x → z: (n, 2)" in source  # the title of the arrow still has it
