"""The legend has a sample of what is in the picture, beside its word and on nothing else."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest
from checkout import MODELS

import dataflow
from dataflow.draw.drawing import lay_out
from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.engines import PURE, find_engine
from dataflow.draw.layout.figure import Text, bounds
from dataflow.draw.layout.legend_places import entries, place_below, sample_and_word
from dataflow.draw.layout.text_metrics import formula_width
from dataflow.draw.picture.picture import Flow, Kind, Mark, PictureEdge, PictureNode
from dataflow.draw.picture.styles import LIGHT, SMALL

VIEWS = {
    "graph": {"style": "graph", "both": True, "wrt": "W1"},
    "few": {"style": "graph", "values": True, "x": [[0.0, 1.0]]},
    "lecture": {"style": "lecture", "both": True, "wrt": "W1"},
    "neurons": {"style": "neurons", "both": True, "values": True},
}
SVG = "{http://www.w3.org/2000/svg}"


def drawn(view, **options):
    return dataflow.draw(dataflow.load(MODELS / "xor.toml"), engine=PURE, **VIEWS[view], **options)


def no_two_overlap(boxes):
    return not any(a.overlap(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("view", ["graph", "few"])
def test_samples_and_words_of_a_graph(view):
    picture = drawn(view).picture
    layout = place_below(picture, lay_out(picture, find_engine("json0", PURE)))
    boxes = [Box.around(place) for place in layout.nodes.values()]
    points = [point for line in layout.edges.values() for point in line.points]
    for entry, place in zip(entries(picture), layout.below, strict=True):
        sample, (x, y) = sample_and_word(entry, place)
        word = Box(x, y - SMALL / 2, x + formula_width(entry.text, SMALL), y + SMALL / 2)
        assert 0 <= word.left < word.right <= layout.width + 0.01
        boxes += [word] if entry.like is None else [word, Box.around(sample)]
        assert all(y > word.high for _, y in points)
    assert no_two_overlap(boxes)
    assert layout.bottom == pytest.approx(min(place.y - place.height / 2 for place in layout.below))


@pytest.mark.parametrize("view", ["lecture", "neurons"])
def test_samples_and_words_of_a_figure(view):
    drawing = drawn(view)
    figure = drawing.figure
    legend = [group for group in figure.groups if group.key.startswith("legend-")]
    others = [item for group in figure.groups if group not in legend for item in group.items]
    assert len(legend) == len(drawing.picture.legend)
    for group, entry in zip(legend, drawing.picture.legend, strict=True):
        *sample, word = group.items
        assert isinstance(word, Text)
        assert len(sample) == (entry.like is not None)
    boxes = [bounds([item]) for group in legend for item in group.items]
    assert no_two_overlap(boxes)
    assert min(bounds([item]).low for item in others) > max(box.high for box in boxes)
    assert all(box.left >= 0 and box.right <= figure.width and box.low >= 0 for box in boxes)


@pytest.mark.parametrize("view", VIEWS)
def test_there_is_a_sample_of_each_kind_of_node_and_of_no_other(view):
    picture = drawn(view).picture
    likes = [entry.like for entry in picture.legend]
    kinds = {like.kind for like in likes if isinstance(like, PictureNode) and like.computed}
    assert kinds == {node.kind for node in picture.nodes if node.kind != Kind.COTANGENT or view == "graph"}
    lines = [like for like in likes if isinstance(like, PictureEdge)]
    assert {line.mark for line in lines if line.mark} == {edge.mark for edge in picture.edges} - {Mark.NONE}
    assert (Flow.SAVED in {line.flow for line in lines}) == (Flow.SAVED in {edge.flow for edge in picture.edges})
    if view == "few":
        assert [like.computed for like in likes if like][-1] is False  # the loss needs y


@pytest.mark.parametrize("view", VIEWS)
def test_all_formats_have_the_samples(view):
    drawing = drawn(view)
    legend = drawing.picture.legend
    root = ET.fromstring(drawing.render("svg"))
    samples = [group for group in root.iter(f"{SVG}g") if group.get("class", "").startswith("sample")]
    shapes = [group for group in samples if any(child.tag != f"{SVG}text" for child in group)]
    assert len(shapes) == sum(entry.like is not None for entry in legend)
    assert all(any(entry.text in str(text.text) for text in root.iter(f"{SVG}text")) for entry in legend)
    without = drawn(view, legend=False)
    for form, shape in ("tikz", r"\draw["), ("svg", "<path"), ("svg", "<ellipse"):
        drawn_with, drawn_without = (str(each.render(form)).count(shape) for each in (drawing, without))
        assert drawn_with > drawn_without, form


def test_a_dot_file_without_places_has_samples_in_a_table():
    """Graphviz lays it out, and reads the table: each sample has its fill or its line, the shape stands in words."""
    drawing = drawn("graph")
    svg = find_engine("svg", PURE).run(drawing.render("dot").decode(), "svg", 60).decode()
    below = svg[: svg.index('class="cluster"')]  # the graph's label
    legend = drawing.picture.legend
    nodes = [entry for entry in legend if isinstance(entry.like, PictureNode)]
    assert below.count("<polyline") == len(legend) - len(nodes) + 1  # the double line has two
    assert all(f'fill="{LIGHT.fills[entry.like.kind]}"' in below for entry in nodes)
    assert "stroke-dasharray" in below
    assert all(f">{entry.words}</text>" in below for entry in legend)


def test_a_small_picture_has_a_legend_wider_than_itself():
    graph = dataflow.Graph("one")
    graph.input("x", ())
    picture = dataflow.draw(dataflow.Model(graph, ["x"]), style="graph").picture
    layout = lay_out(picture, find_engine("json0", PURE))
    below = place_below(picture, layout)
    assert below.nodes["node-1"].x == pytest.approx(below.width / 2, abs=1)
    assert {node.kind for node in picture.nodes} == {Kind.INPUT}
