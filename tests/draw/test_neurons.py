"""The style of neurons: which graphs fit, what is written where, and that nothing lies on anything."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.cli.group import main
from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.figure import Curve, Outline, Text
from dataflow.draw.neurons.dense_chain import find_chain
from dataflow.draw.picture.picture import Flow, Kind
from dataflow.errors import DataError, GraphError
from dataflow.files.toml.read import loads_toml

MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.toml"))}
FIT = ["digits", "matrix-vector", "penguin-mass", "penguin-sex", "penguins", "wine", "xor"]
XOR = MODELS["xor"]


def load(name):
    return dataflow.load(MODELS[name])


def draw(model, **options):
    return dataflow.draw(model, style="neurons", **options)


def net(*widths, values=None):
    """A net of layers with tanh between them."""
    rng = np.random.default_rng(0)
    graph = dataflow.Graph("net")
    value = graph.input("x", ("n", widths[0]))
    for i, (before, after) in enumerate(itertools.pairwise(widths), 1):
        W = graph.parameter(f"W{i}", value=rng.normal(size=(after, before)) if values is None else values)
        b = graph.parameter(f"b{i}", value=rng.normal(size=after))
        z = graph.node(f"z{i}", value @ W.T + b)
        value = graph.node(f"h{i}", dataflow.ops.tanh(z))
    y = graph.input("y", ("n", widths[-1]))
    graph.node("f", dataflow.ops.mse(value, y))
    model = dataflow.Model(graph, [value.name], loss="f")
    return model, {"x": rng.normal(size=(1, widths[0])), "y": rng.normal(size=(1, widths[-1]))}


# ------------------------------------------------------------------------------------------------ which graphs fit


@pytest.mark.parametrize("name", MODELS)
def test_models_fit_or_say_why_not(name):
    if name in FIT:
        columns = find_chain(load(name), None).columns
        assert len(columns) >= 2
        assert columns[0].layer is None
        return
    with pytest.raises(GraphError, match="chains of dense layers, and '.*; take the style 'graph'"):
        draw(load(name))


def test_a_skip_connection_is_named():
    with pytest.raises(GraphError, match=r"'h8' joins 'h7' and 'h8.step.linear' \(a skip connection"):
        draw(load("deep"))


def test_the_columns_of_xor():
    chain = find_chain(load("xor"), None)
    assert [(column.value, column.width, column.functions) for column in chain.columns] == [
        ("x", 2, ()),
        ("h", 2, ("relu",)),
        ("yhat", 1, ()),
    ]
    layers = [column.layer for column in chain.columns[1:]]
    assert [(layer.weights.name, layer.bias.name, layer.result) for layer in layers] == [
        ("W1", "b1", "z"),
        ("W2", "b2", "yhat"),
    ]
    assert (chain.loss, chain.targets, chain.prediction) == ("loss", ("y",), "yhat")


HEAD = "dataflow = 1\n[inputs]\nx = {{ shape = {x} }}\n[parameters]\nW = {{ value = {W} }}\n{b}[nodes]\nh = '{h}'\n"
FORMS = {
    "x @ W.T": ('["n", 3]', "[[1, 2, 3], [4, 5, 6]]", ""),
    "x @ W": ('["n", 3]', "[[1, 4], [2, 5], [3, 6]]", ""),
    "W @ x": ("[3]", "[[1, 2, 3], [4, 5, 6]]", ""),
    "x @ W + b": ("[3]", "[[1, 4], [2, 5], [3, 6]]", "b = { value = [7, 8] }\n"),
    "b + W.T @ x": ("[3]", "[[1, 4], [2, 5], [3, 6]]", "b = { value = [7, 8] }\n"),
    "linear(x, W, b)": ('["n", 3]', "[[1, 2, 3], [4, 5, 6]]", "b = { value = [7, 8] }\n"),
    "relu(linear(x, W))": ('["n", 3]', "[[1, 2, 3], [4, 5, 6]]", ""),
    "z * sigmoid(z)": ('["n", 3]', "[[1, 2, 3], [4, 5, 6]]", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_weight_is_on_its_own_line(form):
    """The same matrix, [[1, 2, 3], [4, 5, 6]] from three units to two, in every way to write the product."""
    x, W, b = FORMS[form]
    text = HEAD.format(x=x, W=W, b=b, h=form)
    text += "z = 'x @ W.T'\n" if form.startswith("z") else ""
    model = loads_toml(text + "[model]\noutputs = ['h']\n")
    data = {"x": [[1, 0, 0]] if "n" in x else [1, 0, 0]}
    picture = draw(model, values=True, data=data).picture
    drawn = {(edge.source, edge.target): edge.label for edge in picture.edges}
    for i, row in enumerate([[1, 2, 3], [4, 5, 6]]):
        for j, weight in enumerate(row):
            assert drawn[f"x[{j}]", f"h[{i}]"] == str(weight)
    boxes = [line.text for node in picture.nodes if node.kind == Kind.PARAMETER for line in node.lines]
    assert boxes == (["7", "8"] if b else [])


def test_layers_in_blocks_are_found():
    text = (
        "dataflow = 1\n[inputs]\nx = { shape = ['n', 2] }\n[blocks.dense]\ninputs = ['x']\noutput = 'out'\n"
        "[blocks.dense.parameters]\nW = { shape = [2, 2], init = 'he_normal' }\n"
        "[blocks.dense.nodes]\nout = 'tanh(linear(x, W))'\n"
        "[nodes]\nh1 = 'dense(x)'\nh2 = 'dense(h1)'\nh = 'dense(h2)'\n[model]\noutputs = ['h']\n"
    )
    model = loads_toml(text)
    assert [column.width for column in find_chain(model, None).columns] == [2, 2, 2, 2]


# ------------------------------------------------------------------------------------------------ what is written


def test_numbers_of_a_lecture():
    """Weights S1 and the example (1, 1): z = h = (.3, .8), ŷ = −.14, and its nine partial derivatives."""
    model = load("xor")
    model.parameters = {
        "W1": [[0.5, -0.3], [0.2, 0.8]],
        "b1": [0.1, -0.2],
        "W2": [[0.7, -0.5]],
        "b2": [0.05],
    }
    picture = draw(model, both=True, values=True, x=[[1, 1]], y=[[0]]).picture
    texts = {node.key: [line.text for line in node.lines] for node in picture.nodes}
    assert (texts["h[0]"], texts["h[1]"]) == (["h₁", "0.3"], ["h₂", "0.8"])
    assert texts["yhat[0]"] == ["ŷ", "−0.14"]
    assert texts["loss"] == ["loss", "0.0098"]
    assert [texts[f"gradient of {unit}"] for unit in ("h[0]", "h[1]", "yhat[0]")] == [["−0.098"], ["0.07"], ["−0.14"]]
    labels = {(edge.source, edge.target): edge.label for edge in picture.edges}
    gradients = {
        ("h[0]", "x[0]"): "−0.098",
        ("h[0]", "x[1]"): "−0.098",
        ("h[1]", "x[0]"): "0.07",
        ("h[1]", "x[1]"): "0.07",
        ("yhat[0]", "h[0]"): "−0.042",
        ("yhat[0]", "h[1]"): "−0.112",
        ("h[0]", "bias of h[0]"): "−0.098",
        ("h[1]", "bias of h[1]"): "0.07",
        ("yhat[0]", "bias of yhat[0]"): "−0.14",
    }
    assert labels.items() >= gradients.items()
    assert labels["x[1]", "h[0]"] == "−0.3"
    strengths = {(edge.source, edge.target): edge.strength for edge in picture.edges if edge.flow == Flow.VALUE}
    assert strengths["x[1]", "h[1]"] == 1
    assert strengths["x[1]", "h[0]"] == pytest.approx(-0.375)


def test_symbols_without_numbers():
    picture = draw(load("xor"), both=True).picture
    labels = {(edge.source, edge.target): edge.label for edge in picture.edges}
    assert labels["x[1]", "h[0]"] == "W⁽¹⁾₁₂"
    assert labels["h[0]", "x[1]"] == "∂loss/∂W⁽¹⁾₁₂"
    texts = {node.key: [line.text for line in node.lines] for node in picture.nodes}
    assert texts["gradient of h[1]"] == ["∂loss/∂z₂"]
    assert texts["bias of h[0]"] == ["b⁽¹⁾₁"]


def test_wide_layers_are_elided():
    drawing = draw(load("digits"))
    picture = drawing.picture
    more = [node.lines[0].text for node in picture.nodes if node.kind == Kind.LAYERS]
    assert more == ["⋮ 64", "⋮ 32"]
    assert [node.key for node in picture.nodes if node.key.startswith("x[")] == [
        *("x[0]", "x[1]", "x[2]", "x[…]", "x[62]", "x[63]"),
    ]
    assert len([node for node in picture.nodes if node.kind == Kind.OUTPUT]) == 10
    assert picture.notes == ("the weights W⁽¹⁾, W⁽²⁾ are not written out: units are left out",)
    assert picture.notes[0] in [entry.text for entry in picture.legend]
    assert {edge.label for edge in picture.edges if edge.flow == Flow.VALUE} == {""}
    assert [node.lines[0].text for node in draw(load("penguin-mass")).picture.nodes if node.kind == Kind.LAYERS] == [
        "⋮ features"
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("xor", ["loss = ½ Σ (ŷ − y)²"]),
        ("digits", ["loss = −Σ y · log softmax(logits) / n"]),
        ("penguin-sex", ["loss = −Σ (y · log σ(logit) + (1 − y)", "· log(1 − σ(logit))) / n"]),
    ],
)
def test_a_loss_is_written_as_its_formula(name, lines):
    drawing = dataflow.draw(dataflow.load(ROOT / "models" / f"{name}.toml"), style="neurons")
    texts = [text.text for text in ET.fromstring(drawing.render("svg")).iter("{http://www.w3.org/2000/svg}text")]
    start = texts.index(lines[0])
    assert texts[start : start + len(lines)] == lines


def test_too_many_weights_are_left_out_and_the_picture_says_so():
    model, data = net(12, 11)
    picture = draw(model, values=True, data=data).picture
    assert picture.notes == ("the weights W⁽¹⁾ are not written out: they are too many for the lines",)
    strengths = [edge.strength for edge in picture.edges if edge.strength is not None]
    assert len(strengths) == 132
    assert max(map(abs, strengths)) == 1


# ------------------------------------------------------------------------------------------------ steps


def test_a_column_is_a_step_and_passes_mirror_each_other():
    drawing = draw(load("xor"), both=True, values=True, example=3)
    steps = {node.key: node.step for node in drawing.picture.nodes}
    assert drawing.picture.steps == 6
    assert [steps[key] for key in ("x[0]", "h[0]", "yhat[0]", "loss", "bias of h[0]", "y")] == [0, 1, 2, 3, 0, 0]
    assert [steps[f"gradient of {key}"] for key in ("yhat[0]", "h[0]")] == [4, 5]
    back = {(edge.source, edge.target): edge.step for edge in drawing.picture.edges if edge.flow == Flow.GRADIENT}
    assert (back["yhat[0]", "h[0]"], back["h[0]", "x[0]"], back["h[0]", "bias of h[0]"]) == (5, 6, 6)
    only_backward = draw(load("xor"), backward=True, values=True, example=3).picture
    assert only_backward.steps == 3
    whole, early = drawing.figure, drawing.at_step(1).figure
    assert (whole.width, whole.height) == (early.width, early.height)
    for group, pale in zip(whole.groups, early.groups, strict=True):
        assert group.key == pale.key
        assert [type(item) for item in group.items] == [type(item) for item in pale.items]
    svg = drawing.at_step(1).render("svg").decode()
    visible = [text for text in ET.fromstring(svg).iter() if text.tag.endswith(("}text", "}tspan"))]
    shown = {text.text.strip() for text in visible if text.text and text.get("visibility") != "hidden"}
    assert {"2.1", "0.9"} <= shown
    assert not {"−0.105", "0.01125", "−0.315"} & shown
    assert "@keyframes" in drawing.frames().render("svg").decode()


# ------------------------------------------------------------------------------------------------ geometry


def assert_clear(drawing):
    """Measured from the figure alone: circles, boxes, straight lines and texts."""
    circles, texts, lines = [], [], []
    for group in drawing.figure.groups:
        if group.key == "title" or group.key.startswith("legend-"):
            continue
        for item in group.items:
            if isinstance(item, Outline) and item.form == "circle":
                circles.append((group.key, item.place))
            elif isinstance(item, Curve):
                lines.append((group.key, item))
            elif isinstance(item, Text) and item.spans[0].text:
                texts.append((group.key, item))
    radius = circles[0][1].width / 2
    kinds = {f"edge-{i}": edge for i, edge in enumerate(drawing.picture.edges, 1)}
    for (_, first), (_, second) in itertools.combinations(texts, 2):
        assert first.box.overlap(second.box) < 1e-6, f"{first.spans} on {second.spans}"
    for key, text in texts:
        left, low, right, high = text.box
        corners = [(x, y) for x in (left, right) for y in (low, high)]
        for owner, circle in circles:
            nearest = (min(max(circle.x, left), right), min(max(circle.y, low), high))
            if np.hypot(nearest[0] - circle.x, nearest[1] - circle.y) < radius - 0.01:
                middle = (low + high) / 2
                reach = max(np.hypot(x - circle.x, (y + middle) / 2 - circle.y) for x, y in corners)
                assert reach <= radius, f"{text.spans} of {key} at the border of {owner}"
        own = kinds.get(key)
        for other, line in lines:
            edge = kinds[other]
            if own is not None and {own.source, own.target} == {edge.source, edge.target}:
                continue
            a, b = line.points[0], line.tip or line.points[-1]
            inside = Box(left + 0.5, low + 0.5, right - 0.5, high - 0.5)
            assert inside.entered_by(a, b) is None, f"{text.spans} on {other}"
    for owner, circle in circles:
        for other, line in lines:
            edge = kinds[other]
            t = np.linspace(0, 1, 60)[:, None]
            points = np.array(line.points[0]) * (1 - t) + np.array(line.tip or line.points[-1]) * t
            distance = np.hypot(*(points - [circle.x, circle.y]).T).min()
            assert distance > radius - 0.1, f"{edge.source} to {edge.target} runs over {owner}"


@pytest.mark.parametrize("options", [{}, {"values": True}, {"both": True, "values": True}, {"both": True}], ids=str)
@pytest.mark.parametrize("name", FIT)
def test_nothing_lies_on_anything_in_the_models(name, options):
    model = load(name)
    options = {**options, **({"x": [1, -2]} if name == "matrix-vector" and options.get("values") else {})}
    assert_clear(draw(model, **options))


@pytest.mark.slow
@settings(max_examples=10)
@given(st.lists(st.integers(1, 14), min_size=2, max_size=4), st.booleans(), st.booleans(), st.booleans())
def test_nothing_lies_on_anything_for_any_widths(widths, both, backward, values):
    model, data = net(*widths)
    drawing = draw(model, values=values, both=both, backward=backward and not both, data=data)
    assert_clear(drawing)
    labelled = [edge for edge in drawing.picture.edges if edge.label]
    keys = {group.key for group in drawing.figure.groups for item in group.items if isinstance(item, Text)}
    numbers = {id(edge): f"edge-{i}" for i, edge in enumerate(drawing.picture.edges, 1)}
    assert {numbers[id(edge)] for edge in labelled} <= keys  # whatever has a label has a place for it


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("form", ["svg", "dot", "tikz", "mermaid"])
def test_every_format_has_the_numbers(form):
    text = draw(load("xor"), both=True, values=True, example=3).render(form).decode()
    for number in ("0.01125", "0.315", "0.195", "1.3"):
        assert number in text


def test_the_command(tmp_path):
    done = CliRunner().invoke(main, ["draw", str(XOR), "--neurons", "-o", str(tmp_path / "a.svg")])
    assert done.exit_code == 0
    same = CliRunner().invoke(main, ["draw", str(XOR), "--style", "neurons", "-o", str(tmp_path / "b.svg")])
    assert same.exit_code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    deep = CliRunner().invoke(main, ["draw", str(MODELS["deep"]), "--neurons", "-o", str(tmp_path / "c.svg")])
    assert deep.exit_code == 1
    assert deep.output.count("\n") == 1
    for words in (["--inner"], ["--collapse", "a"], ["--wrt", "W1"], ["--max-nodes", "3"], ["--direction", "down"]):
        wrong = CliRunner().invoke(main, ["draw", str(XOR), "--neurons", *words, "-o", str(tmp_path / "d.svg")])
        assert wrong.exit_code == 2, words
        assert "take either --style neurons or" in wrong.output
    with pytest.raises(DataError, match="take either style='neurons' or wrt"):
        draw(load("xor"), wrt="W1")
