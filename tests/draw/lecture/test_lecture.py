"""The lecture style: both passes on the same nodes, with the numbers of the worked example of a lecture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner

import dataflow
from dataflow import ops
from dataflow.cli import main
from dataflow.draw.layout.engines import find_engine
from dataflow.draw.picture.picture import Flow, Kind, Mark
from dataflow.errors import DataError, GraphError

SVG = "{http://www.w3.org/2000/svg}"
S1 = {"W1": [[0.5, -0.3], [0.2, 0.8]], "W2": [[0.7, -0.5]], "b1": [0.1, -0.2], "b2": [0.05]}
"""Other weights of the net of xor.toml; what comes out for them was computed with rational numbers."""


@pytest.fixture(scope="module")
def xor():
    return dataflow.load(MODELS / "xor.toml")


def labels(picture):
    return {(e.source, e.target): e.label for e in picture.edges if e.flow == Flow.GRADIENT}


def products(picture):
    return [caption.text for caption in picture.captions]


def test_the_worked_example(xor):
    """At (1, 1), by hand: z = (2.1, 1.4), yhat = 0.7·2.1 − 1.3·1.4 + 0.2 = −0.15, loss = ½·0.15²."""
    picture = dataflow.draw(xor, both=True, values=True, example=3, wrt="W1").picture
    assert labels(picture) == {
        ("loss", "yhat"): "∂loss/∂ŷ = −0.15",
        ("yhat", "h"): "∂ŷ/∂h = (0.7, −1.3)",
        ("yhat", "W2"): "∂ŷ/∂W⁽²⁾ = (2.1, 1.4)",
        ("yhat", "b2"): "∂ŷ/∂b⁽²⁾ = 1",
        ("h", "z"): "∂h/∂z = diag(1, 1)",
        ("z", "W1"): "∂z/∂W⁽¹⁾ = I ⊗ (1, 1)",
        ("z", "b1"): "∂z/∂b⁽¹⁾ = I",
    }
    (product,) = products(picture)
    assert product == (
        "∂loss/∂W⁽¹⁾ = ∂loss/∂ŷ · ∂ŷ/∂h · ∂h/∂z · ∂z/∂W⁽¹⁾ = −0.15 · (0.7, −1.3) · diag(1, 1) · (I ⊗ (1, 1)) → "
        "[[−0.105, −0.105], [0.195, 0.195]]"
    )
    values = {node.key: [line.text for line in node.lines] for node in picture.nodes}
    assert {key: values[key][1] for key in ("x", "z", "h", "yhat", "loss")} == {
        "x": "(1, 1)",
        "z": "(2.1, 1.4)",
        "h": "(2.1, 1.4)",
        "yhat": "−0.15",
        "loss": "0.01125",
    }


def test_the_four_gradients_and_what_they_share():
    model = dataflow.load(MODELS / "xor.toml")
    model.parameters = {name: np.array(value) for name, value in S1.items()}
    picture = dataflow.draw(model, both=True, values=True, example=3).picture
    assert [text.rpartition(" → ")[2].rpartition(" = ")[2] for text in products(picture)] == [
        "[[−0.098, −0.098], [0.07, 0.07]]",
        "(−0.098, 0.07)",
        "[[−0.042, −0.112]]",
        "−0.14",
    ]
    shared = [[part.text for part in caption.parts if part.mark == Mark.SHARED] for caption in picture.captions]
    hidden = ["∂loss/∂ŷ", "∂ŷ/∂h", "∂h/∂z"]
    assert shared == [hidden, hidden, ["∂loss/∂ŷ"], ["∂loss/∂ŷ"]]


def test_the_marked_chain(xor):
    picture = dataflow.draw(xor, both=True, wrt="W1").picture
    marks = {(edge.source, edge.target): edge.mark for edge in picture.edges if edge.flow == Flow.GRADIENT}
    assert {edge for edge, mark in marks.items() if mark == Mark.PATH} == {("z", "W1")}
    assert {edge for edge, mark in marks.items() if mark == Mark.SHARED} == {
        ("loss", "yhat"),
        ("yhat", "h"),
        ("h", "z"),
    }
    assert tuple(entry.words for entry in picture.legend[-2:]) == (
        "thick: the chain to W⁽¹⁾ alone",
        "double: shared, underlined in the formula (∂loss/∂ŷ with b⁽¹⁾, W⁽²⁾, b⁽²⁾; ∂ŷ/∂h, ∂h/∂z with b⁽¹⁾)",
    )


def test_what_sharing_saves_is_said_where_several_gradients_are_asked_for(xor):
    """The same counts as in the explanation."""
    wrt = ["W1", "b1", "W2", "b2"]
    *_, last = products(dataflow.draw(xor, both=True, wrt=wrt).picture)
    explanation = dataflow.explain(xor, wrt=wrt, example=0)
    assert last == f"multiplications: {explanation.separate} separately, {explanation.shared} shared"
    assert last == "multiplications: 27 separately, 21 shared"
    assert len(products(dataflow.draw(xor, both=True, wrt="W1").picture)) == 1
    assert len(products(dataflow.draw(xor, both=True).picture)) == 4


def test_one_example_of_the_batch_is_shown_and_said(xor):
    assert dataflow.draw(xor, both=True, values=True).picture.title == "xor: both passes, example 0"
    assert dataflow.draw(xor, both=True, values=True, example=2).picture.title == "xor: both passes, example 2"
    assert dataflow.draw(xor, both=True).picture.title == "xor: both passes"


def test_a_jacobian_is_a_jacobian():
    """Not the gradient of the sum; the numbers are those of the model's own description."""
    model = dataflow.load(MODELS / "jacobian.toml")
    picture = dataflow.draw(model, style="lecture", both=True, values=True).picture
    assert list(labels(picture)) == [("f", "x")]
    rows = labels(picture)["f", "x"].replace("\u00a0", "").split("\n")
    assert rows == ["∂f/∂x =", "[[2, 1],", "[0, 3.142],", "[−0.5, 0.75]]"]
    composed = dataflow.load(MODELS / "composition.toml")
    picture = dataflow.draw(composed, both=True, of="f", values=True).picture
    assert products(picture) == ["∂f/∂x = ∂f/∂g · ∂g/∂x = (1, −2, 0.25) · [[1, 2], [0, 1], [−1, 0]] = (0.75, 0)"]


def test_paths_are_added():
    """f = x·x + 3x at 2: one arrow for the two arguments of x·x, and 4 + 3 in the sum."""
    graph = dataflow.Graph("paths")
    x = graph.input("x", ())
    square, triple = graph.node("s", x * x), graph.node("t", 3 * x)
    graph.node("f", square + triple)
    picture = dataflow.draw(dataflow.Model(graph, ["f"]), both=True, wrt="x", values=True, x=2.0).picture
    assert labels(picture) == {
        ("f", "s"): "∂f/∂s = 1",
        ("f", "t"): "∂f/∂t = 1",
        ("s", "x"): "∂s/∂x = 4",
        ("t", "x"): "∂t/∂x = 3",
    }
    assert products(picture)[0].endswith(" = 7")


@pytest.mark.parametrize(
    ("form", "text"), [("svg", "diag(1, 1)"), ("dot", "diag(1, 1)"), ("tikz", r"\operatorname{diag}(1,\ 1)")]
)
def test_no_layout_engine_is_needed(monkeypatch, xor, form, text):
    monkeypatch.setattr("dataflow.draw.drawing.find_engine", None)
    drawing = dataflow.draw(xor, both=True, values=True, example=3)
    assert text in drawing.render(form).decode()


def test_dot_has_the_nodes_and_edges_with_their_places(xor):
    drawing = dataflow.draw(xor, both=True)
    lines = [line for line in drawing.source.splitlines() if line.endswith("]")]
    assert all(
        " pos=" in line for line in lines[3:]
    )  # after the graph's own attributes, and those of all nodes and edges
    assert len(lines) > 3 + 10 + 16
    assert find_engine("png").run(drawing.source, "png", 30, program="nop2").startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------ what fits


def test_what_does_not_fit_is_drawn_as_a_graph_and_that_is_said(tmp_path):
    deep = dataflow.load(MODELS / "deep.toml")
    picture = dataflow.draw(deep, both=True).picture
    assert picture.style == "graph"
    assert "in the lecture style the picture is" in picture.notes[0]
    with pytest.raises(GraphError, match="take the style 'graph'"):
        dataflow.draw(deep, both=True, style="lecture")
    done = CliRunner().invoke(main, ["draw", str(MODELS / "deep.toml"), "--both", "-o", str(tmp_path / "a.dot")])
    assert done.exit_code == 0
    assert "so that its graph is drawn" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_only_a_graph_can_show_is_drawn_as_one(xor):
    assert dataflow.draw(xor, both=True, inner=True).picture.style == "graph"
    assert dataflow.draw(xor).picture.style == "graph"
    assert dataflow.draw(xor, style="lecture").picture.style == "lecture"
    with pytest.raises(DataError, match="take either style='lecture' or inner"):
        dataflow.draw(xor, style="lecture", inner=True)
    with pytest.raises(DataError, match="the style is one of 'graph', 'lecture'"):
        dataflow.draw(xor, style="slide")
    done = CliRunner().invoke(main, ["draw", str(MODELS / "xor.toml"), "--style", "lecture", "--inner", "-o", "a.svg"])
    assert done.exit_code == 2
    assert "take either --style lecture or --inner" in done.output


def test_no_way_back_is_said(xor):
    with pytest.raises(GraphError, match="no path leads from 'substituted' to 'f'"):
        dataflow.draw(dataflow.load(MODELS / "composition.toml"), both=True, of="f", wrt="substituted")
    notes = dataflow.draw(xor, both=True, of="h", wrt="y").picture.notes
    assert "no path leads from 'y' to 'h': its gradient is zero and is not drawn" in notes


def test_mermaid_has_the_arrows_back(xor):
    lines = dataflow.draw(xor, both=True).render("mermaid").decode().splitlines()
    assert any(line.endswith("n7 --> n8") for line in lines)
    assert any("∂h#47;∂z" in line for line in lines)


def test_numbers_that_cannot_be_computed_are_not_made_up(xor):
    picture = dataflow.draw(xor, both=True, values=True, x=[[0, 1]]).picture
    loss = next(node for node in picture.nodes if node.kind == Kind.LOSS)
    assert not loss.computed
    assert "not computed" in [line.text for line in loss.lines]
    assert labels(picture)["loss", "yhat"] == "∂loss/∂ŷ"
    assert not any("= 0" in text or "→" in text for text in products(picture))


# ------------------------------------------------------------------------------------------------ as SVG


def test_an_svg_says_what_it_stands_for(xor):
    root = ET.fromstring(dataflow.draw(xor, both=True).render("svg"))
    assert root.get("role") == "img"
    assert root.find(f"{SVG}desc").text.startswith("A data-flow graph of 10 nodes and 16 edges")
    nodes = [group.get("data-nodes") for group in root.iter(f"{SVG}g") if "node" in group.get("class", "").split()]
    assert set(xor.graph) == {name for names in nodes for name in names.split()}
    edges = {group.find(f"{SVG}title").text for group in root.iter(f"{SVG}g") if group.get("data-edges") is not None}
    assert "h → z: ∂h/∂z" in edges
    allowed = {"svg", "title", "desc", "g", "rect", "ellipse", "path", "polygon", "text", "tspan"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed


def test_hostile_names_are_nothing_but_text():
    graph = dataflow.Graph("</svg><script>")
    x = graph.input("x", (2,))
    graph.node("h", ops.tanh(x))
    graph.node("loss", ops.sum(graph.value("h")))
    drawing = dataflow.draw(dataflow.Model(graph, ["h"], "loss"), both=True, wrt="x")
    root = ET.fromstring(drawing.render("svg"))
    assert root.find(f"{SVG}title").text.startswith("</svg><script>: both passes")
    assert "script" not in {element.tag.removeprefix(SVG) for element in root.iter()}


def test_frames_lie_over_each_other(xor):
    """What is not there yet is pale, in its place, and has no numbers."""
    drawing = dataflow.draw(xor, both=True, values=True, example=3)
    frames = [ET.fromstring(drawing.at_step(step).render("svg")) for step in (0, 4, drawing.picture.steps)]
    assert len({frame.get("viewBox") for frame in frames}) == 1
    shown = [{text.text for text in frame.iter(f"{SVG}text")} for frame in frames]
    assert "(2.1, 1.4)" not in shown[0]
    assert {"(2.1, 1.4)", "0.01125"} <= shown[1]
    assert "∂h/∂z = diag(1, 1)" not in shown[1]
    assert "∂h/∂z = diag(1, 1)" in shown[2]


def test_the_product_comes_factor_by_factor(xor):
    """After the forward pass, of 4 steps, the loss hands on to ŷ, ŷ to h, h to z, and z to W1. A product of some of the
    numbers is not ∂loss/∂W1: they come with the last factor."""
    drawing = dataflow.draw(xor, both=True, values=True, example=3, wrt="W1")
    factors = ["∂loss/∂ŷ", "∂ŷ/∂h", "∂h/∂z", "∂z/∂W⁽¹⁾"]
    for count in range(4):
        (caption,) = drawing.at_step(4 + count).picture.captions
        shown = [part for part in caption.parts if not part.pending]
        assert [part.text for part in shown if part.factor] == factors[:count]
        assert not any(part.comes_with_numbers for part in shown)
    assert not any(part.pending for part in drawing.at_step(8).picture.captions[0].parts)
    root = ET.fromstring(drawing.at_step(5).render("svg"))
    hidden = [span.text for span in root.iter(f"{SVG}tspan") if span.get("visibility") == "hidden"]
    numbers = [" = ", "−0.15", " · ", "(0.7, −1.3)", " · ", "diag(1, 1)", " · ", "(I ⊗ (1, 1))"]
    assert [text.strip() for text in hidden[:1]] == ["="]
    assert hidden[1:] == [*numbers[1:], " → ", "[[−0.105, −0.105], [0.195, 0.195]]"]
    animation = drawing.frames().render("svg").decode()
    assert 'class="number-8"' in animation
    assert 'class="number-5"' not in animation


def test_no_equation_of_a_step_is_wrong(xor):
    """No number stands behind ∂loss/∂… before all that leads to it is there: products of many factors, of one alone,
    and sums over paths, of which a number alone is written where they are many."""
    graph = dataflow.Graph()
    u = graph.node("u", graph.input("x", (2,)) ** 2)
    v = graph.node("v", u * u)
    w = graph.node("w", v * v)
    graph.node("loss", ops.sum(w))
    many = dataflow.Model(graph, ["w"], "loss")
    for model, more in ((xor, {"example": 3}), (many, {"data": {"x": [1.0, 2.0]}})):
        names = ["W1", "b1", "W2", "b2", "yhat", "z"] if model is xor else ["x", "u", "w"]
        drawing = dataflow.draw(model, style="lecture", both=True, values=True, wrt=names, **more)
        arrives = {}
        for edge in drawing.picture.edges:
            if edge.flow == Flow.GRADIENT:
                arrives[edge.target] = max(edge.step, arrives.get(edge.target, 0))
        captions = [caption for caption in drawing.picture.captions if caption.wrt]
        assert len(captions) == len(names)
        for caption in captions:
            numbers = [part.step for part in caption.parts if part.comes_with_numbers]
            assert set(numbers) == {arrives[caption.wrt]}
