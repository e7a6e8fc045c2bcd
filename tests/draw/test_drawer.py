"""Pictures show the graph: every node and every edge of it exactly once, each with what it is."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter

import any_graph
import networkx as nx
import numpy as np
import pytest
from checkout import ROOT
from contrast import contrast
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.draw.build_picture import BACKWARD, FORWARD
from dataflow.draw.layout.engines import find_engine
from dataflow.draw.picture.labels import expression_lines, one_line
from dataflow.draw.picture.picture import Flow, Kind, Mark, Picture, Role
from dataflow.draw.picture.styles import DARK, LIGHT
from dataflow.errors import DataError, DataflowError, GraphError
from dataflow.files.toml.read import loads_toml
from dataflow.notation.names import Names

MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.toml"))}
VIEWS = [{}, {"backward": True}, {"both": True}]
SVG = "{http://www.w3.org/2000/svg}"


def load(name):
    return dataflow.load(MODELS[name])


def draw(model, **options):
    of = options.pop("of", None) or (None if model.loss else model.outputs[0])
    options.setdefault("style", "graph")
    return dataflow.draw(model, of=of, **options)


def expected(model, options):
    """The nodes and edges of what is drawn, from the engine's own graphs."""
    graph, of = model.graph, model.loss or model.outputs[0]
    if not options.get("backward") and not options.get("both"):
        return set(graph), set(graph.edges(keys=True))
    wrt = list(model.parameters) or [name for name in graph.names("input") if graph.spec(name).is_float]
    found = dataflow.autodiff.gradient_graph(graph, of, wrt)
    ends = [found.cotangents[name] for name in wrt if name in found.cotangents]
    needed = set().union(*(nx.ancestors(found.graph, end) | {end} for end in ends))
    backward = needed - set(graph)
    edges = {edge for edge in found.graph.edges(keys=True) if edge[1] in backward}
    nodes = backward | {source for source, _, _ in edges}
    if options.get("both"):
        return nodes | set(graph), edges | set(graph.edges(keys=True))
    return nodes, edges


def assert_once(picture: Picture, nodes: set, edges: set) -> None:
    found = Counter(name for node in picture.nodes for name in node.members)
    assert set(found) == nodes
    assert set(found.values()) <= {1}
    where = {name: node.key for node in picture.nodes for name in node.members}
    drawn = Counter(edge for one in picture.edges for edge in one.members)
    assert set(drawn.values()) <= {1}
    assert set(drawn) <= edges
    for one in picture.edges:
        assert {(where[source], where[target]) for source, target, _ in one.members} == {(one.source, one.target)}
    assert all(where[source] == where[target] for source, target, _ in edges - set(drawn))


@pytest.mark.parametrize("options", VIEWS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_every_node_and_edge_is_drawn_once(name, options):
    model = load(name)
    nodes, edges = expected(model, options)
    picture = draw(model, **options).picture
    assert_once(picture, nodes, edges)
    whole = draw(model, **options, inner=True, fold_repeats=False).picture
    assert_once(whole, nodes, edges)
    assert {node.members for node in whole.nodes} == {(name,) for name in nodes}
    assert Counter(edge.members for edge in whole.edges) == Counter((edge,) for edge in edges)


@pytest.mark.parametrize(
    "options", [*VIEWS, {"both": True, "inner": True}, {"both": True, "direction": "right"}], ids=str
)
@pytest.mark.parametrize("name", ["xor", "deep", "composition"])
def test_dot_and_svg_hold_the_picture(name, options):
    drawing = draw(load(name), **options)
    picture = drawing.picture
    parsed = json.loads(find_engine("json0").run(drawing.source, "json0", 30))
    objects = {item["_gvid"]: item for item in parsed["objects"]}
    nodes = [item for item in objects.values() if item.get("id", "").startswith("node-")]
    assert sorted(item["name"] for item in nodes) == sorted(node.key for node in picture.nodes)
    found = Counter()
    for item in parsed["edges"]:
        ends = objects[item["tail"]]["name"], objects[item["head"]]["name"]
        found[ends[::-1] if item.get("dir") == "back" else ends] += 1
    assert found == Counter((edge.source, edge.target) for edge in picture.edges)
    frames = [item for item in objects.values() if item.get("id", "").startswith("cluster-")]
    assert len(frames) == len(picture.clusters)
    for number, cluster in enumerate(picture.clusters, 1):
        (frame,) = [item for item in frames if item.get("id") == f"cluster-{number}"]
        inside = {objects[i]["name"] for i in frame.get("nodes", ())}
        assert inside >= {node.key for node in picture.in_cluster(cluster.key)}
    root = ET.fromstring(drawing.render("svg"))
    groups = root.findall(f".//{SVG}g")
    shown = [name for group in groups for name in group.get("data-nodes", "").split()]
    assert sorted(shown) == sorted(name for node in picture.nodes for name in node.members)
    lines = [edge for group in groups for edge in group.get("data-edges", "").split()]
    assert sorted(lines) == sorted(f"{a}>{b}:{i}" for edge in picture.edges for a, b, i in edge.members)
    for number, node in enumerate(picture.nodes, 1):
        (group,) = [group for group in groups if group.get("id", "").endswith(f"-node-{number}")]
        texts = [text.text.strip() for text in group.findall(f"{SVG}text")]
        assert len(texts) == len(node.lines)
        assert all(line.text.strip() in text for line, text in zip(node.lines, texts, strict=True))


@settings(max_examples=30)
@given(any_graph.graphs(), st.sampled_from(VIEWS), st.booleans(), st.sampled_from([3, 999]))
def test_any_graph_is_drawn_whole(model, options, inner, most):
    model.graph.node("end", dataflow.ops.sum(model.graph.value(model.outputs[0]) * 1.0))
    model = dataflow.Model(model.graph, ["end"])
    try:
        picture = dataflow.draw(model, style="graph", of="end", wrt="W", inner=inner, max_nodes=most, **options).picture
    except GraphError as error:
        assert "no path" in str(error) or "--max-nodes" in str(error)
        return
    assert_once(picture, *expected(model, options))


@settings(max_examples=15)
@given(any_graph.texts(), st.sampled_from([(), ("layer",), ("deep",)]), st.booleans())
def test_any_file_with_blocks_is_drawn_whole(text, collapse, inner):
    try:
        model = loads_toml(text)
    except DataflowError:
        return
    picture = dataflow.draw(model, inner=inner, collapse=collapse).picture
    assert_once(picture, set(model.graph), set(model.graph.edges(keys=True)))
    collapsed = {node.key for node in picture.nodes if node.kind == Kind.BLOCK}
    assert not any(cluster.key.removeprefix("forward:") in collapsed for cluster in picture.clusters)


# ------------------------------------------------------------------------------------------------ what is said


def texts(picture):
    return {node.key: [line.text for line in node.lines] for node in picture.nodes}


def test_the_forward_pass_of_xor():
    picture = load_and_draw("xor")
    kinds = {node.key: node.kind for node in picture.nodes}
    assert kinds == {
        **dict.fromkeys(["x", "y"], Kind.INPUT),
        **dict.fromkeys(["W1", "b1", "W2", "b2"], Kind.PARAMETER),
        **dict.fromkeys(["z", "h"], Kind.OP),
        "yhat": Kind.OUTPUT,
        "loss": Kind.LOSS,
    }
    assert texts(picture)["z"] == ["z", "xW⁽¹⁾ᵀ + b⁽¹⁾"]
    assert texts(picture)["loss"] == ["loss", "½ Σ (ŷ − y)²"]
    assert {(edge.source, edge.label) for edge in picture.edges if edge.target == "z"} == {
        ("x", "(n, 2)"),
        ("W1", "(2, 2)"),
        ("b1", "(2,)"),
    }
    assert "cylinder: parameter" in [entry.words for entry in picture.legend]


def load_and_draw(name, **options):
    return draw(load(name), **options).picture


def test_every_cotangent_has_its_partial_derivative():
    for name in MODELS:
        model = load(name)
        picture = draw(model, both=True, inner=True, fold_repeats=False).picture
        of = model.loss or model.outputs[0]
        wrt = list(model.parameters) or model.graph.names("input")
        known = dataflow.autodiff.gradient_graph(model.graph, of, wrt).cotangents
        holders = {node.key: node for node in picture.nodes}
        names, total = Names(model.graph), bool(model.graph.node_of(of).shape)
        for target, holder in known.items():
            if holder in holders:
                assert holders[holder].kind == Kind.COTANGENT
                if "." in target and any("." not in name for name, node in known.items() if node == holder):
                    continue  # a named node with the same cotangent says it
                said = [line.latex for line in holders[holder].lines if line.role == Role.PARTIAL]
                partial = names.partial(of, target, latex=True, inline=True, total=total)
                assert any(partial in line for line in said) or len(said) == 3
    labels = texts(load_and_draw("xor", backward=True))
    assert labels["grad.W1"][0] == "∂loss/∂W⁽¹⁾"
    assert labels["grad.z"] == ["∂loss/∂z", "∂loss/∂h ⊙ 1[z > 0]"]
    assert labels["grad.h"] == ["∂loss/∂h", "∂loss/∂ŷ · W⁽²⁾"]
    assert labels["grad.loss.seed"] == ["∂loss/∂loss", "= 1"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "softmax_cross_entropy(activation_of_the_only_hidden_layer, labels)",
            ["softmax_cross_entropy(", "activation_of_the_only_hidden_layer, labels)"],
        ),
        (
            "broadcast_to(expand_dims(∂L/∂z, axis=(0, 1)), shape=(2, 2))",
            ["broadcast_to(expand_dims(∂L/∂z,", "axis=(0, 1)), shape=(2, 2))"],
        ),
        ("x @ first_layer_weight_matrix_as_initial.T + b", ["x @", "first_layer_weight_matrix_as_initial.T + b"]),
        ("x @ (y - z) + relu(w)", ["x @ (y - z) + relu(w)"]),
    ],
)
def test_expressions_are_broken_between_names(text, lines):
    assert [line.text for line in expression_lines(text)] == lines
    assert one_line(lines) == text


def test_numbers_are_those_of_the_lecture():
    picture = load_and_draw("xor", both=True, values=True, example=3)
    found = texts(picture)
    assert "[[2.1, 1.4]]" in found["z"]
    assert found["loss"][-1] == "= 0.01125"
    model = load("xor")
    grads = model.gradients(data=model.one_example(None, 3))
    assert found["grad.b1"][-1] == f"= [{', '.join(f'{x:.4g}' for x in grads['b1'])}]"
    assert all(node.computed for node in picture.nodes)


def test_what_was_not_computed_is_drawn_so():
    drawing = draw(load("xor"), both=True, values=True, x=[[0, 1]])
    found = texts(drawing.picture)
    assert "not computed" in found["loss"]
    assert "needs y" in found["loss"]
    assert found["y"] == ["y", "not given"]
    assert "not computed" in found["grad.W1"]
    computed = {node.key: node.computed for node in drawing.picture.nodes}
    assert computed["yhat"]
    assert not computed["loss"]
    assert not any(computed[key] for key in computed if key.startswith("grad."))
    assert not any(text in ("= 0", "0") for key in found if not computed[key] for text in found[key])
    assert "dotted border: not computed" in [entry.words for entry in drawing.picture.legend]
    root = ET.fromstring(drawing.render("svg"))
    groups = [group for group in root.iter(f"{SVG}g") if "not-computed" in group.get("class", "").split()]
    assert len(groups) == sum(not value for value in computed.values())
    assert all(any("stroke-dasharray" in shape.attrib for shape in group) for group in groups)


def test_arrays_of_all_kinds_have_values():
    graph = dataflow.Graph("g")
    shapes = [(), (3,), (9,), (2, 2), (9, 9), (2, 3, 4), (0, 2)]
    for i, shape in enumerate(shapes):
        graph.constant(f"c{i}", np.ones(shape))
    graph.node("flag", graph.value("c0") > 0)
    graph.node("bad", dataflow.ops.log(graph.value("c0") - 2.0))
    found = texts(dataflow.draw(graph, values=True).picture)
    assert found["c0"][-1] == "= 1"
    assert found["c2"][-1] == "= [1, 1, 1, …]"
    assert found["c4"][-2:] == ["\u00a0[1, 1, 1, …]\u00a0", "\u00a0… 9 rows]"]
    assert found["c5"][-1] == "24 numbers from 1 to 1"
    assert found["c6"][-1] == "= [] (empty)"
    assert found["flag"][-1] == "= True"
    assert found["bad"][-1] == "= nan"


def test_a_gradients_path_and_what_it_shares():
    picture = load_and_draw("xor", both=True, wrt="W1")
    marks = {node.key: node.mark for node in picture.nodes}
    assert marks["grad.W1"] == marks["W1"] == Mark.PATH
    assert marks["grad.z"] == marks["grad.yhat"] == marks["h"] == Mark.SHARED
    assert marks["grad.W2"] == marks["grad.b1"] == marks["b1"] == marks["x"] == Mark.NONE
    assert "shared with b⁽¹⁾" in texts(picture)["grad.z"]
    assert "shared with b⁽¹⁾, W⁽²⁾, b⁽²⁾" in texts(picture)["grad.yhat"]
    edges = {(edge.source, edge.target): edge.mark for edge in picture.edges}
    assert edges["grad.z", "grad.W1"] == edges["W1", "z"] == Mark.PATH
    assert edges["grad.h", "grad.z"] == edges["z", "h"] == Mark.SHARED
    assert edges["grad.z", "grad.b1"] == edges["z", "grad.z"] == Mark.NONE
    assert all(edge.mark == Mark.NONE for edge in picture.edges if edge.flow == Flow.SAVED)


def test_both_passes_stand_side_by_side_the_forward_pass_first():
    for name, direction in ("xor", "down"), ("deep", "down"), ("xor", "right"), ("digits", "down"):
        drawing = draw(load(name), both=True, direction=direction)
        assert [cluster.key for cluster in drawing.picture.clusters if cluster.is_pass] == [FORWARD, BACKWARD]
        where = {}
        root = ET.fromstring(drawing.render("svg"))
        for number, cluster in enumerate(drawing.picture.clusters, 1):
            (group,) = [g for g in root.iter(f"{SVG}g") if g.get("id", "").endswith(f"-cluster-{number}")]
            points = (
                [tuple(map(float, p.split(","))) for p in group.find(f"{SVG}polygon").get("points").split()]
                if (cluster.is_pass)
                else []
            )
            where[cluster.key] = points
        axis = 0 if direction == "down" else 1
        assert max(p[axis] for p in where[FORWARD]) < min(p[axis] for p in where[BACKWARD])
    saved = {(edge.source, edge.target) for edge in load_and_draw("xor", both=True).edges if edge.flow == Flow.SAVED}
    assert ("z", "grad.z") in saved
    assert ("x", "grad.W1") in saved


# ------------------------------------------------------------------------------------------------ folding


def test_a_repeated_block_is_drawn_once():
    picture = load_and_draw("deep")
    (cluster,) = picture.clusters
    assert cluster.label == "h⁽¹⁾ … h⁽⁸⁾: residual ×8"
    assert texts(picture)["h1.step"] == ["step", "tanh(hWᵀ + b)"]
    assert [len(node.members) for node in picture.in_cluster(cluster.key)] == [8, 8, 16, 8]
    assert sum(len(edge.members) for edge in picture.edges if edge.flow == Flow.REPEAT) == 14
    assert load_and_draw("deep", notation="plain").clusters[0].label == "h1 … h8: residual ×8"
    unfolded = load_and_draw("deep", fold_repeats=False)
    assert len(unfolded.clusters) == 8
    collapsed = load_and_draw("deep", collapse="residual")
    assert texts(collapsed)["h1"] == ["h⁽¹⁾ … h⁽⁸⁾: residual ×8"]
    one = load_and_draw("deep", collapse="h3", fold_repeats=False, both=True)
    assert [node.key for node in one.nodes if node.kind == Kind.BLOCK] == ["h3", "grad.h3"]


def test_a_repetition_that_is_used_elsewhere_is_not_folded():
    text = (MODELS["deep"]).read_text(encoding="utf-8").replace('outputs = ["probabilities"]', 'outputs = ["h5"]')
    picture = dataflow.draw(loads_toml(text.partition("[data]")[0])).picture
    assert "h⁽¹⁾ … h⁽⁵⁾: residual ×5" in [cluster.label for cluster in picture.clusters]
    assert "h⁽⁶⁾ … h⁽⁸⁾: residual ×3" in [cluster.label for cluster in picture.clusters]


def chain(count):
    graph = dataflow.Graph("chain")
    value = graph.input("x", ("n",))
    for i in range(count):
        value = graph.node(f"h{i}", dataflow.ops.tanh(value) if i % 2 else value * graph.parameter(f"w{i}", value=2.0))
    graph.node("loss", dataflow.ops.sum(value))
    return dataflow.Model(graph, ["loss"], "loss")


@pytest.mark.slow
@pytest.mark.parametrize("options", VIEWS, ids=str)
def test_a_large_graph_is_folded_by_layer(options):
    model = chain(1200)
    picture = dataflow.draw(model, **options).picture
    assert len(picture.nodes) < 60
    assert any("layers were folded" in note for note in picture.notes)
    assert_once(picture, *expected(model, options))
    folded = nx.DiGraph((edge.source, edge.target) for edge in picture.edges)
    assert nx.is_directed_acyclic_graph(folded)


def test_blocks_are_collapsed_before_layers():
    picture = load_and_draw("deep", fold_repeats=False, max_nodes=20)
    assert [node.key for node in picture.nodes if node.kind == Kind.BLOCK] == [f"h{i}" for i in range(1, 9)]
    assert "all blocks were collapsed" in picture.notes[0]


def test_what_cannot_be_folded_far_enough_says_so():
    with pytest.raises(GraphError, match="--max-nodes"):
        dataflow.draw(chain(50), max_nodes=2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"wrt": "W3"}, GraphError, "unknown node 'W3'; available: 'W1'"),
        ({"of": "los"}, GraphError, "did you mean 'loss'"),
        ({"collapse": "layer"}, GraphError, "no blocks"),
        ({"backward": True, "both": True}, DataError, "either"),
        ({"direction": "up"}, DataError, "'down' or 'right'"),
        ({"theme": "blue"}, DataError, "'light', 'dark' or 'auto'"),
        ({"max_nodes": 0}, DataError, "at least one"),
        ({"time_limit": 0}, DataError, "over 0"),
        ({"backward": True, "of": "x"}, GraphError, "no path"),
    ],
    ids=str,
)
def test_wrong_options(options, error, words):
    with pytest.raises(error) as caught:
        dataflow.draw(load("xor"), **options)
    assert words in str(caught.value)


def test_a_name_that_is_nearly_a_block():
    with pytest.raises(GraphError, match="did you mean 'residual'"):
        dataflow.draw(load("deep"), collapse="residul")


def test_a_block_that_is_never_called_is_drawn_as_it_is():
    text = """dataflow = 1
    inputs.x = { shape = [2] }
    nodes.y = "2 * x"
    [blocks.unused]
    inputs = ["a"]
    output = "b"
    nodes.b = "a + 1"
    """
    picture = dataflow.draw(loads_toml(text), collapse="unused").picture
    assert [node.key for node in picture.nodes] == ["x", "y"]
    assert picture.notes == ("block 'unused' is never called: there is nothing to collapse",)


def test_a_wrt_without_a_path_is_said():
    drawing = dataflow.draw(load("xor"), backward=True, of="h", wrt="W1")
    assert any("'W2'" in note and "zero" in note for note in drawing.picture.notes)


def test_an_empty_graph():
    with pytest.raises(GraphError, match="nothing to draw"):
        dataflow.draw(dataflow.Graph("g"))


# ------------------------------------------------------------------------------------------------ looks


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(theme):
    for fill in (theme.paper, *theme.fills.values()):
        assert contrast(theme.text, fill) >= 7
        assert all(contrast(line, fill) >= 3 for line in (theme.line, theme.path, theme.shared))
    assert contrast(theme.faint, theme.paper) >= 4.5
    assert contrast(theme.frame, theme.paper) >= 3
    assert set(theme.fills) == set(Kind)


def test_kinds_differ_without_colour():
    from dataflow.draw.picture.picture import PictureNode
    from dataflow.draw.picture.styles import SHAPES, node_style
    from dataflow.draw.writers.mermaid import SHAPES as MERMAID

    looks = {
        kind: (SHAPES[kind]["shape"], SHAPES[kind].get("peripheries"), node_style(PictureNode("k", kind, (), ())))
        for kind in Kind
    }
    assert len(set(looks.values())) == len(Kind)
    assert len(set(MERMAID.values())) == len(Kind)


def test_the_svg_is_accessible():
    root = ET.fromstring(draw(load("xor"), both=True).render("svg"))
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "xor: forward and backward pass"
    assert "Parameters: W⁽¹⁾, b⁽¹⁾, W⁽²⁾, b⁽²⁾." in description.text
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(identities) == len(set(identities))


def test_roles_are_used():
    picture = load_and_draw("xor", both=True, wrt="W1", values=True)
    assert {line.role for node in picture.nodes for line in node.lines} == set(Role)


# ------------------------------------------------------------------------------------------------ wide fans


def fan(count):
    """y is the sum of tanh(x1 * w1), tanh(x2 * w2), ..."""
    graph = dataflow.Graph("fan")
    pairs = [(graph.input(f"x{i}", ("n",)), graph.parameter(f"w{i}", value=float(i))) for i in range(1, count + 1)]
    y, *others = [graph.node(f"p{i}", dataflow.ops.tanh(x * w)) for i, (x, w) in enumerate(pairs, 1)]
    for other in others:
        y = y + other
    graph.node("loss", dataflow.ops.sum(graph.node("y", y)))
    return dataflow.Model(graph, ["y"], "loss")


@pytest.mark.parametrize("options", [*VIEWS, {"both": True, "wrt": "w7"}], ids=str)
def test_a_wide_fan_is_one_node(options):
    model = fan(50)
    picture = draw(model, **options).picture
    assert_once(picture, *expected(model, options))
    assert nx.is_directed_acyclic_graph(nx.DiGraph((edge.source, edge.target) for edge in picture.edges))
    titles = {lines[0]: lines[1] for lines in texts(picture).values() if lines[1:]}
    assert titles["50 inputs"] == "x₁ … x₅₀"
    assert titles["50 × tanh"] == "p₁ … p₅₀"
    many = "49" if "wrt" in options else "50"
    if options != {"backward": True}:  # which has no use for the values of w
        assert titles[f"{many} parameters"] == "w₁ … w₅₀"
    if options:
        assert titles[f"{many} gradients"] == "∂loss/∂w₁ … ∂loss/∂w₅₀"
    (note,) = picture.notes
    assert "drawn as one node: " in note
    assert "50 inputs (x1 … x50)" in note
    assert "--no-repeats" in note


def test_a_fan_is_drawn_one_by_one_where_it_is_small_or_asked_for():
    narrow = draw(fan(12)).picture
    assert len(narrow.nodes) == 3 * 12 + 2
    assert not narrow.notes
    assert len(draw(fan(13)).picture.nodes) == 5
    assert len(draw(fan(13), fold_repeats=False).picture.nodes) == 3 * 13 + 2


def test_a_fan_has_the_numbers_of_its_nodes():
    model = fan(13)
    inputs = {f"x{i}": [0.5 * i] for i in range(1, 14)}
    found = texts(draw(model, values=True, **inputs).picture)
    assert found["w1 … w13"][-1] == "= [1, 2, 3, …]"
    assert found["x1 … x13"][-1].endswith("… 13 rows]")


def test_layers_of_a_chain_are_no_fan():
    """Their weights have users of their own, their gradients sources of their own."""
    graph = dataflow.Graph("chain")
    value = graph.input("x", ("n",))
    for i in range(20):
        value = graph.node(f"h{i}", dataflow.ops.tanh(value * graph.parameter(f"w{i}", value=2.0)))
    graph.node("loss", dataflow.ops.sum(value))
    picture = draw(dataflow.Model(graph, ["loss"], "loss"), both=True).picture
    assert not picture.notes
    assert not any(" … " in node.key for node in picture.nodes)


def test_folded_layers_have_names():
    """Each tanh and each product of ``chain`` is a layer; the backward pass goes through the same ones in reverse."""
    picture = draw(chain(60), both=True, max_nodes=50).picture
    titles = [node.lines[0].text for node in picture.nodes if node.kind == Kind.LAYERS]
    assert titles[0] == "layers 1 to 3: multiply, tanh"
    assert titles[1] == "layers 4 to 7: tanh, multiply"
    assert titles[-2] == "back through layers 6 to 3: tanh, multiply"
    assert "layers 1 to 3;" in picture.notes[0]
