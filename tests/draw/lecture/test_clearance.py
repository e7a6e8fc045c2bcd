"""Nothing lies on anything, and a label is nearest to its own line: measured in the SVG that comes out."""

from __future__ import annotations

import itertools

import any_graph
import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from svg_geometry import faults

import dataflow
from dataflow import ops
from dataflow.draw.layout.clearance import flaws
from dataflow.draw.layout.figure import Curve, Figure, Group, Outline, Span, Text
from dataflow.draw.layout.layout import Place
from dataflow.draw.picture.fit import FitError
from dataflow.errors import GraphError

NAMES = [path.stem for path in sorted(MODELS.glob("*.toml")) if path.stem != "deep"]
"""deep.toml fits no row."""
OPTIONS = [
    {"direction": direction, "values": values, "marked": marked}
    for direction, values, marked in itertools.product(("right", "down"), (False, True), (False, True))
]


def draw(name, direction, values, marked):
    model = dataflow.load(MODELS / f"{name}.toml")
    of = model.loss or model.outputs[0]
    names = list(model.parameters) or [name for name in model.graph.names("input") if model.graph.spec(name).is_float]
    wrt = names[:1] if marked else ()
    return dataflow.draw(model, style="lecture", both=True, of=of, wrt=wrt, values=values, direction=direction)


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[7]], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_models(name, options):
    assert faults(draw(name, **options).render("svg")) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_models_in_all_views(name, options):
    assert faults(draw(name, **options).render("svg")) == []


@st.composite
def chains(draw):
    """Nodes in a row, each computed from the one before it, some from earlier ones or from a parameter, too."""
    graph = dataflow.Graph("chain")
    values = [graph.input("x", (2,))]
    shared = graph.parameter("V", value=[[1.0, 0.5], [0.25, 1.0]])
    for i in range(1, draw(st.integers(1, 5)) + 1):
        value = values[-1]
        kind = draw(st.sampled_from(["plain", "own", "shared", "bias"]))
        if kind != "plain":
            value = (shared if kind == "shared" else graph.parameter(f"W{i}", value=[[1.0, 2.0], [0.0, 1.0]])) @ value
        if kind == "bias":
            value = value + graph.parameter(f"b{i}", value=[0.5, -0.5])
        if len(values) > 2 and draw(st.booleans()):
            value = value + values[draw(st.integers(0, len(values) - 2))]
        name = draw(st.sampled_from(["h", "hidden_layer_"]))
        values.append(graph.node(f"{name}{i}", ops.tanh(value)))
    target = graph.input("y", (2,))
    graph.node("f", ops.mse(values[-1], target))
    return dataflow.Model(graph, [], "f")


@settings(max_examples=12)
@given(chains(), st.sampled_from(["right", "down"]), st.booleans())
def test_chains_with_skips(model, direction, values):
    data = {"x": [0.5, -1.5], "y": [0.0, 1.0]} if values else None
    try:
        drawing = dataflow.draw(
            model, style="lecture", both=True, wrt="x", values=values, direction=direction, data=data
        )
    except FitError as error:
        assert any(why in str(error) for why in ("a slide holds", "no room for all lines"))
        return
    assert faults(drawing.render("svg")) == []


def test_a_label_between_two_lines_lies_closer_to_its_own():
    graph = dataflow.Graph("between")
    x = graph.input("x", ("n", 3))
    W = graph.parameter("W", value=[1.0, 2.0, 3.0])
    a = graph.node("a", W[::-1] - 0.0)
    graph.node("softmax", ops.softmax(W))
    graph.node("add", x + a)
    n3 = graph.node("n3", x + W)
    for i in (3, 4, 5):
        graph.node(f"add_{i}", x + x)
    n7 = graph.node("n7", n3 + a)
    graph.node("end", ops.sum((x + n7) * 1.0))
    drawing = dataflow.draw(dataflow.Model(graph, ["end"]), style="lecture", both=True)
    assert faults(drawing.render("svg")) == []


@settings(max_examples=10)
@given(any_graph.graphs(), st.sampled_from(["right", "down"]), st.booleans())
def test_any_graph(model, direction, both):
    model.graph.node("end", ops.sum(model.graph.value(model.outputs[0]) * 1.0))
    model = dataflow.Model(model.graph, ["end"])
    try:
        drawing = dataflow.draw(model, style="lecture", both=both, direction=direction)
    except GraphError as error:
        assert any(text in str(error) for text in ("no path", "a slide holds", "no room"))
        return
    assert faults(drawing.render("svg")) == []


@pytest.mark.parametrize("direction", ["right", "down"])
def test_a_long_chain_has_several_rows(direction):
    graph = dataflow.Graph("long")
    values = [graph.input("x", (2,))]
    for i in range(1, 11):
        weights, bias = graph.parameter(f"W{i}", value=np.eye(2)), graph.parameter(f"b{i}", value=[0.0, 1.0])
        skipped = [values[-2]] if i in (4, 9) else []
        values.append(graph.node(f"h{i}", ops.tanh(sum(skipped, weights @ values[-1] + bias))))
    graph.node("f", ops.sum(values[-1]))
    drawing = dataflow.draw(dataflow.Model(graph, [], "f"), both=True, direction=direction)
    assert drawing.picture.style == "lecture"
    assert faults(drawing.render("svg")) == []
    places = {
        group.key: item.place for group in drawing.figure.groups for item in group.items if isinstance(item, Outline)
    }
    numbers = {node.key: f"node-{i}" for i, node in enumerate(drawing.picture.nodes, 1)}
    row = [places[numbers[f"h{i}"]] for i in range(1, 11)]
    assert len({round(place.y) for place in row}) == (2 if direction == "right" else 10)
    assert drawing.figure.width < 1600


def figure(*groups):
    return Figure(100, 100, groups)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ((Group("a", (Text(95, 50, (Span("wide"),), 12),)),), "is cut"),
        (
            (
                Group("a", (Text(50, 50, (Span("on"),), 12),)),
                Group("b", (Outline("box", Place(50, 50, 40, 40), "op"),)),
            ),
            "lies on b",
        ),
        (
            (Group("a", (Text(50, 50, (Span("one"),), 12),)), Group("b", (Text(52, 52, (Span("two"),), 12),))),
            "lies on 'two'",
        ),
        (
            (
                Group("e", (Curve(((0, 50), (30, 50), (60, 50), (90, 50))),)),
                Group("a", (Text(50, 50, (Span("t"),), 12),)),
            ),
            "runs through",
        ),
        (
            (
                Group("e", (Curve(((0, 90), (30, 90), (60, 90), (90, 90))), Text(50, 30, (Span("label"),), 12))),
                Group("g", (Curve(((0, 10), (30, 10), (60, 10), (90, 10))),)),
            ),
            "is nearer to g",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_flaws_are_seen(groups, said):
    assert any(said in flaw for flaw in flaws(figure(*groups), {"e": ("n", "m"), "g": ("n", "m")}))
