"""Layouts: lines go around nodes, labels lie on nothing, the forward pass comes first."""

from __future__ import annotations

import any_graph
import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.draw.build_picture import BACKWARD, FORWARD
from dataflow.draw.drawing import lay_out
from dataflow.draw.layout.boxes import Box, Grid
from dataflow.draw.layout.difficulty import MOST_EFFORT, MOST_WITH_LABELS, effort
from dataflow.draw.layout.engines import engines, find_engine
from dataflow.draw.layout.label_places import line_points
from dataflow.draw.layout.layout import Layout, Place, Spline
from dataflow.draw.layout.routes import add_routes
from dataflow.draw.picture.picture import Flow, Kind, Picture, PictureEdge, PictureNode
from dataflow.errors import GraphError

MODELS = {path.stem: path for path in sorted((MODELS).glob("*.toml"))}
LEARNING = [name for name, path in MODELS.items() if dataflow.load(path).loss]


def both(name, **options):
    picture = dataflow.draw(dataflow.load(MODELS[name]), style="graph", both=True, **options).picture
    return picture, lay_out(picture, find_engine("json0"))


def box_of(place, gap=0.0):
    return Box.around(place, gap)


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("name", LEARNING)
def test_saved_values_cross_without_touching_a_node(name, direction):
    picture, layout = both(name, direction=direction)
    numbers = {node.key: f"node-{i}" for i, node in enumerate(picture.nodes, 1)}
    crossing = 0
    for number, edge in enumerate(picture.edges, 1):
        if edge.flow == Flow.SAVED:
            crossing += 1
            line = layout.edges[f"edge-{number}"]
            points = [*line_points(line.points), line.end]
            for key, identity in numbers.items():
                own = key in (edge.source, edge.target)
                inside = [point for point in points if box_of(layout.nodes[identity], -1.0).holds(point)]
                assert not inside or own, f"{edge.source} to {edge.target} runs over {key}"
            assert box_of(layout.nodes[numbers[edge.source]], 0.5).holds(points[0])
            assert box_of(layout.nodes[numbers[edge.target]], 0.5).holds(line.end)
    assert crossing >= 3


@settings(max_examples=12)
@given(any_graph.graphs(), st.booleans(), st.booleans())
def test_the_forward_pass_comes_first(model, inner, down):
    model.graph.node("end", dataflow.ops.sum(model.graph.value(model.outputs[0]) * 1.0))
    try:
        direction = "down" if down else "right"
        picture = dataflow.draw(model, style="graph", of="end", both=True, inner=inner, direction=direction).picture
    except GraphError:
        return
    layout = lay_out(picture, find_engine("json0"))
    assert set(layout.edges) == {f"edge-{i}" for i in range(1, len(picture.edges) + 1)}
    assert [cluster.key for cluster in picture.clusters[:2]] == [FORWARD, BACKWARD]
    forward, backward = layout.boxes["cluster-1"], layout.boxes["cluster-2"]
    assert forward[2] < backward[0] if down else forward[1] > backward[3]


def test_a_line_goes_around_what_is_in_its_way():
    nodes = tuple(PictureNode(key, Kind.OP, (), (key,)) for key in "abc")
    edges = (PictureEdge("a", "c", Flow.SAVED, "", (("a", "c", 0),)),) * 2
    places = {f"node-{i}": Place(100.0 * i, 50.0, 40.0, 20.0) for i in (1, 2, 3)}
    found = add_routes(Picture("", "", nodes, edges), Layout(400, 100, 0, places, {}, {}))
    first, second = (line_points(found.edges[f"edge-{i}"].points) for i in (1, 2))
    for points in first, second:
        assert not any(box_of(places["node-2"]).holds(point) for point in points)
        assert abs(points[:, 1] - 50).max() > 10
        assert box_of(places["node-1"], 0.1).holds(points[0])
        assert not box_of(places["node-1"], -0.1).holds(points[0])
    assert found.edges["edge-1"].end == pytest.approx((280, 55), abs=3)
    # two lines keep apart
    assert np.linalg.norm(first[:, None] - second[None], axis=2).min() > 0.5


def test_a_line_from_a_loss_begins_at_the_side_of_its_octagon():
    """The corners of the octagon are where Graphviz puts them, at odd multiples of 22.5 degrees."""
    angles = np.radians(22.5 + 45 * np.arange(8))
    corners = np.array([100, 50]) + np.stack([np.cos(angles), np.sin(angles)], 1) / np.cos(np.pi / 8) * [40, 20]
    nodes = PictureNode("a", Kind.LOSS, (), ("a",)), PictureNode("b", Kind.OP, (), ("b",))
    edge = PictureEdge("a", "b", Flow.SAVED, "", (("a", "b", 0),))
    for target in (300, 50), (260, 130), (200, 300), (100, 300), (-200, 200), (0, -50):
        places = {"node-1": Place(100, 50, 80, 40), "node-2": Place(*target, 40, 20)}
        found = add_routes(Picture("", "", nodes, (edge,)), Layout(400, 400, 0, places, {}, {}))
        begin = np.array(found.edges["edge-1"].points[0])
        sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
        detours = [np.linalg.norm(begin - a) + np.linalg.norm(begin - b) - np.linalg.norm(a - b) for a, b in sides]
        assert min(detours) < 1e-3


def test_a_line_that_finds_no_way_goes_straight():
    """The target is walled in."""
    places = {"node-1": Place(0, 0, 10, 10), "node-2": Place(300, 0, 10, 10)}
    walls = [Place(300, 40, 120, 20), Place(300, -40, 120, 20), Place(250, 0, 20, 120), Place(350, 0, 20, 120)]
    places |= {f"node-{i}": wall for i, wall in enumerate(walls, 3)}
    nodes = tuple(PictureNode(str(i), Kind.OP, (), (str(i),)) for i in range(1, 7))
    edge = PictureEdge("1", "2", Flow.SAVED, "", (("1", "2", 0),))
    found = add_routes(Picture("", "", nodes, (edge,)), Layout(400, 100, 0, places, {}, {}))
    assert {round(y) for _, y in found.edges["edge-1"].points} == {0}


def chain(count, weights=5):
    """Every weight is used all along, so that edges are long."""
    graph = dataflow.Graph("chain")
    value = graph.input("x", ("n",))
    shared = [graph.parameter(f"w{i}", value=1.0) for i in range(weights)]
    for i in range(count):
        value = graph.node(f"h{i}", dataflow.ops.tanh(value) if i % 2 else value * shared[i // 2 % weights])
    return dataflow.Model(graph, [f"h{count - 1}"])


def test_effort_counts_the_ranks_that_edges_cross():
    # x - h0 - h1 - ... - h9; w0 stands beside x, and its edges to h0, h2, ... cross 1, 3, 5, 7, 9 ranks
    assert effort(dataflow.draw(chain(10, 1)).picture) == 10 + 25
    assert effort(dataflow.draw(dataflow.load(MODELS["deep"])).picture) > 0


def test_what_takes_long_to_lay_out_is_folded_though_it_is_small():
    model = chain(300)
    picture = dataflow.draw(model).picture
    assert len(picture.nodes) < 40
    assert picture.notes[0].startswith("306 nodes are too many for one picture")
    asked = dataflow.draw(model, max_nodes=500).picture
    assert len(asked.nodes) == 306
    assert effort(asked) > MOST_EFFORT


def test_edges_over_many_ranks_have_labels_without_room_for_them():
    picture = dataflow.draw(chain(70)).picture
    assert MOST_WITH_LABELS < effort(picture) < MOST_EFFORT
    layout = lay_out(picture, find_engine("json0"))
    assert all(layout.edges[f"edge-{i}"].label for i in range(1, len(picture.edges) + 1))


def test_a_layout_in_another_size():
    line = Spline([(0.0, 0.0), (1.0, 2.0), (2.0, 2.0), (4.0, 0.0)], (6.0, 0.0), (3.0, 4.0))
    found = Layout(10, 8, -2, {"a": Place(1, 2, 3, 4)}, {"e": line}, {"c": [0, 0, 4, 6]}, {"c": Place(1, 1, 2, 2)})
    half = found.scaled(0.5)
    assert (half.width, half.height, half.bottom) == (5, 4, -1)
    assert half.nodes["a"] == Place(0.5, 1, 1.5, 2)
    assert half.edges["e"] == Spline([(0, 0), (0.5, 1), (1, 1), (2, 0)], (3, 0), (1.5, 2))
    assert half.boxes["c"] == [0, 0, 2, 3]
    moved = found.moved({"a", "e"}, 10, 0)
    assert (moved.nodes["a"].x, moved.edges["e"].end, moved.boxes["c"]) == (11, (16, 0), [0, 0, 4, 6])


def test_boxes():
    box = Box.around(Place(10, 20, 4, 6))
    assert box == (8, 17, 12, 23)
    assert box.area == 24
    assert box.overlap(Box(10, 18, 20, 19)) == 2
    assert box.overlap(Box(12, 17, 13, 23)) == 0
    assert box.entered_by((0, 20), (20, 20)) == pytest.approx(0.4)
    assert box.entered_by((0, 17), (20, 17)) is None
    assert box.entered_by((0, 0), (1, 1)) is None
    grid = Grid()
    grid.add(box, "a")
    assert grid.near(Box(0, 0, 100, 100)) == {("a", box)}
    assert grid.along((-500, 20), (500, 20)) == {("a", box)}
    assert grid.near(Box(200, 200, 210, 210)) == set()


def test_a_transposed_parameter_is_saved_by_the_parameter():
    picture, _ = both("xor")
    (edge,) = [edge for edge in picture.edges if edge.target == "grad.h" and edge.flow == Flow.SAVED]
    assert (edge.source, edge.label) == ("W2", "W⁽²⁾ᵀ: (2, 1)")
    (weight,) = [node for node in picture.nodes if node.key == "W2"]
    assert weight.members == ("W2", "yhat.transpose")
    (result,) = [node for node in picture.nodes if node.key == "yhat"]
    assert [line.text for line in result.lines] == ["ŷ", "hW⁽²⁾ᵀ + b⁽²⁾"]


@pytest.mark.parametrize("engine", [engine.name for engine in engines() if "json0" in engine.formats])
@pytest.mark.parametrize("options", [{}, {"collapse": "residual"}, {"direction": "right"}, {"both": True}], ids=str)
def test_the_chain_through_repeated_blocks_stands_in_one_line(options, engine):
    """In models/deep.toml it leads from x through h0, eight calls with a step each, and logits to the loss."""
    drawing = dataflow.draw(dataflow.load(MODELS["deep"]), style="graph", fold_repeats=False, **options)
    picture = drawing.picture
    layout = lay_out(picture, find_engine("json0", engine))
    places = {node.key: layout.nodes[f"node-{number}"] for number, node in enumerate(picture.nodes, 1)}
    steps = [f"h{i}.step" for i in range(1, 9)] if "collapse" not in options else []
    chain = ["x", "h0", *steps, *(f"h{i}" for i in range(1, 9)), "logits", "loss"]
    lines = [chain]
    points = np.concatenate([line_points(line.points) for line in layout.edges.values()])
    for title in layout.titles.values():
        box = box_of(title)
        assert not any(box.holds(point) for point in points)
    if "both" in options:
        lines.append(["grad.h0", *(f"grad.h{i}" for i in range(1, 8)), "grad.logits", "grad.loss.seed"])
    for line in lines:
        along = [places[key].y if "direction" in options else places[key].x for key in line]
        assert np.ptp(along) < 2
