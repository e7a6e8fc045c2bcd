"""What the page shows, its data and its file, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from any_graph import graphs
from checkout import ROOT
from click.testing import CliRunner
from contrast import contrast
from hostile import hostile_texts
from hypothesis import given
from nets import classifier, xor

import dataflow
from dataflow import DataError, FileFormatError, Graph, GraphError, Model, ops
from dataflow.cli.group import main
from dataflow.data.source import DataSource
from dataflow.ops import cos, exp, mse, relu, sin, tanh
from dataflow.training import train
from dataflow.viewer import View, view
from dataflow.viewer.numbers import matrix, plain, short
from dataflow.viewer.plane_fields import SIDE
from dataflow.viewer.replay import MOST_UPDATES, chosen_epochs, replay

MODELS = sorted((ROOT / "models").glob("*.toml"))
SMALL = [pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem == "deep" else ()) for path in MODELS]
"""All but the deep model, which takes longest and is for the slow run."""
ASSETS = ROOT / "dataflow" / "viewer" / "assets"


class Parsed(HTMLParser):
    """The elements of a page with their attributes, and what stands in its scripts and its style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open = ""
        self.inside: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self.open = tag

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, text: str) -> None:
        if self.open in ("script", "style"):
            self.inside.append((self.open, text))


def named(found: View, name: str) -> str:
    """The number of a node in the page's data, as it is a key there."""
    return str([node["name"] for node in found.content["nodes"]].index(name))


def cells(found: dict[str, Any]) -> list[Any]:
    return list(found["cells"])


# ------------------------------------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("path", SMALL)
def test_values_and_cotangents_are_those_of_the_model(path: Path) -> None:
    """Compared with ``evaluate``, which goes through the graph node by node and knows no factors."""
    model = dataflow.load(path)
    of = "f" if path.stem == "composition" else None
    content = view(model, of=of, examples=2, frames=0).content
    target = content["nodes"][content["of"]]["name"]
    wrt = [content["nodes"][way["wrt"]]["name"] for way in content["ways"]]
    assert wrt
    for one in content["passes"]:
        given = None if one["example"] is None else model.one_example(None, one["example"])
        expected = model.evaluate(of=target, wrt=wrt, data=given)
        everything = model.evaluate(data=given).values
        for i, node in enumerate(content["nodes"]):
            shown = one["values"].get(str(i)) or content["fixed"]["values"][str(i)]
            check(shown, everything[node["name"]])
        for i, shown in one["cotangents"].items():
            name = content["nodes"][int(i)]["name"]
            if everything[target].size == 1:
                check(one["shaped"].get(i, shown), expected.cotangents[name])
            else:  # rows of a Jacobian, which add up to the gradient of the sum
                total = np.array(shown["cells"], dtype=float).reshape(shown["shape"]).sum(axis=0)
                assert np.allclose(total, expected.cotangents[name].reshape(-1), rtol=1e-8)


def check(shown: dict[str, Any], expected: np.ndarray) -> None:
    """The numbers that were kept are those of the array, and its shape is told."""
    rows = expected.reshape(-1, expected.shape[-1]) if expected.ndim else expected.reshape(1, 1)
    if "rows" in shown:
        rows = rows[np.ix_(shown["rows"], shown["columns"])]
    assert np.allclose(shown["cells"], rows.reshape(-1), rtol=1e-8, atol=0)
    assert int(np.prod(shown["shape"])) == expected.size


def test_row_30_all_parameters_share_the_beginning_of_the_way_back() -> None:
    found = view(xor("S1"))
    names = [node["name"] for node in found.content["nodes"]]
    factors = [(names[one["of"]], names[one["wrt"]]) for one in found.content["factors"]]
    assert factors[:1] == [("loss", "yhat")]
    assert sorted(factors) == sorted(
        [("loss", "yhat"), ("yhat", "h"), ("yhat", "W2"), ("yhat", "b2"), ("h", "z"), ("z", "W1"), ("z", "b1")]
    )
    shared = {names[one["wrt"]]: sorted(names[i] for i in one["shared"]) for one in found.content["factors"]}
    assert shared["yhat"] == ["W1", "W2", "b1", "b2"]
    assert shared["h"] == shared["z"] == ["W1", "b1"]
    assert shared["W1"] == ["W1"]


def test_a_node_that_is_used_twice_gets_the_sum_of_its_terms() -> None:
    graph = Graph("twice")
    x = graph.input("x", ())
    a = graph.node("a", 3 * x)
    graph.node("f", graph.node("b", a * a) + graph.node("c", exp(a)))  # f' = (2a + exp a) · 3
    found = view(Model(graph, ["f"]), x=0.5)
    one = found.content["passes"][0]
    terms = [cells(term)[0] for term in one["terms"].values()]
    assert sorted(terms) == pytest.approx([1.5, 1.5, np.exp(1.5)], rel=1e-8)  # a · a by each argument, and exp a
    assert cells(one["cotangents"][named(found, "a")])[0] == pytest.approx(3 + np.exp(1.5), rel=1e-8)
    assert cells(one["cotangents"][named(found, "x")])[0] == pytest.approx(3 * (3 + np.exp(1.5)), rel=1e-8)


def test_what_is_not_computed_is_missing_and_never_zero() -> None:
    model = xor("S1")
    model.data = None
    found = view(model, x=[[1, 1]])
    one = found.content["passes"][0]
    assert named(found, "yhat") in one["values"]
    assert named(found, "loss") not in one["values"]
    assert one["missing"][named(found, "loss")] == ["y"]
    assert not one["cotangents"]
    assert set(one["factors"]) == {None}
    assert "'loss' needs the input 'y', which the file does not have; give data with --data FILE" in found.notes[0]


def test_no_path_is_told() -> None:
    graph = Graph("apart")
    x, w = graph.input("x", ()), graph.parameter("w", value=2.0)
    graph.parameter("unused", value=1.0)
    graph.node("f", w * x)
    found = view(Model(graph, ["f"]), x=1.0)
    assert [way["factors"] for way in found.content["ways"]] == [[0], []]


def test_a_batch_without_examples() -> None:
    found = view(xor("S1"), x=np.zeros((0, 2)), y=np.zeros((0, 1)))
    assert [one["label"] for one in found.content["passes"]] == ["a batch of no examples"]
    assert cells(found.content["passes"][0]["values"][named(found, "loss")]) == [0]


def test_examples_and_the_batch() -> None:
    model = xor("S1")
    assert [one["label"] for one in view(model).content["passes"]][-1] == "all 4 examples together"
    assert [one["example"] for one in view(model, examples=2).content["passes"]] == [0, 1, None]
    assert [one["example"] for one in view(model, example=3).content["passes"]] == [3]
    many = view(classifier(count=300))
    assert [one["example"] for one in many.content["passes"]] == list(range(16))
    assert any("16 of the batch's 300 examples" in note for note in many.notes)
    assert any("batch as a whole" in note for note in many.notes)


@given(graphs())
@hypothesis.settings(max_examples=4)
def test_any_graph_has_a_page(model: Model) -> None:
    x = np.array([[0.5, -1.25, 2.0], [1.0, 0.0, -3.5]])
    found = view(model, x=x)
    content = json.loads(json.dumps(found.content, allow_nan=False))
    for one in content["passes"]:
        data = {"x": x if one["example"] is None else x[[one["example"]]]}
        everything = model.evaluate(data=data).values
        for i, node in enumerate(content["nodes"]):
            shown = one["values"].get(str(i)) or content["fixed"]["values"][str(i)]
            told = np.array([float(cell) for cell in shown["cells"]])
            expected = everything[node["name"]].astype(np.float64).reshape(-1)
            least = 1e-12 * np.abs(expected).max(initial=0, where=np.isfinite(expected))  # what is less is written as 0
            assert np.allclose(told, expected, rtol=1e-8, atol=least, equal_nan=True)
        assert len(one["factors"]) == len(content["factors"])
        for way in content["ways"] if content["of"] is not None and not one["problem"] else []:
            of, wrt = (content["nodes"][i]["name"] for i in (content["of"], way["wrt"]))
            no_path = model.evaluate(of=of, wrt=[wrt], data=data).no_path
            assert bool(no_path) == (not way["factors"] and wrt != of)


# ------------------------------------------------------------------------------------------------ how much fits


def test_matrices_are_cut_down_to_the_first_and_the_last() -> None:
    array = np.arange(60.0).reshape(6, 10)
    found = matrix(array, 4)
    assert (found["rows"], found["columns"]) == ([0, 1, 2, 5], [0, 1, 2, 9])
    assert found["cells"] == array[np.ix_([0, 1, 2, 5], [0, 1, 2, 9])].reshape(-1).tolist()
    assert found["range"] == [0, 59]
    assert found["shape"] == [6, 10]
    assert matrix(np.zeros((2, 3, 4)), 8) == {"shape": [2, 3, 4], "cells": [0] * 24}
    assert matrix(np.zeros((0, 3)), 8) == {"shape": [0, 3], "cells": []}
    assert matrix(np.array(2.5), 8) == {"shape": [], "cells": [2.5]}


def test_numbers_as_json_and_as_short_texts() -> None:
    assert [plain(x) for x in (0.1 + 0.2, 3.0, -0.0, float("nan"), float("-inf"), True)] == [
        0.3,
        3,
        0,
        "nan",
        "-inf",
        True,
    ]
    assert plain(2**60) == str(2**60)
    assert short(np.array([[0.3, 0.8]])) == "[0.3, 0.8]"
    assert short(np.array([[1.0, 2], [3, 4]])) == "[[1, 2], [3, 4]]"
    assert short(np.array([-0.0])) == "0"
    assert short(np.arange(12.0).reshape(3, 4)) == "3×4: 0 … 11"
    assert short(np.full(9, np.nan)) == "9, none finite"
    assert short(np.zeros((0, 2))) == "[] (empty)"


@pytest.mark.slow
def test_a_wide_model_makes_no_gigantic_page() -> None:
    graph = Graph("wide")
    x, y = graph.input("x", ("n", 500)), graph.input("y", ("n", 400))
    W = graph.parameter("W", (400, 500), init="he_normal")
    h = graph.node("h", relu(x @ W.T))
    loss = graph.node("loss", mse(h, y))
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(200, 500)), "y": rng.normal(size=(200, 400))}
    found = view(Model(graph, ["h"], loss.name, data=DataSource(data)), examples=4)
    assert len(found.html) < 3_000_000
    factor = found.content["passes"][0]["factors"][-1]
    assert factor["shape"] == [400, 200_000]
    assert len(factor["cells"]) == len(factor["rows"]) * len(factor["columns"]) <= 32 * 32


@pytest.mark.slow
def test_a_deep_model_is_folded_and_goes_forward_and_back_by_groups() -> None:
    graph = Graph("chain")
    value = graph.input("x", ())
    w = graph.parameter("w", value=1.0)
    for i in range(5000):
        value = graph.node(f"n{i}", tanh(value * w))
    found = view(Model(graph, ["n4999"]), x=0.5)
    assert len(found.html) < 1_500_000
    assert any("layers were folded" in note for note in found.notes)
    assert found.content["why_not"] == ""
    assert 1 < len(found.content["factors"]) <= 40
    assert len(found.content["layouts"][0]["nodes"]) <= 40


@pytest.mark.slow
def test_many_calls_of_blocks_make_a_bounded_number_of_layouts() -> None:
    path = ROOT / "models" / "deep.toml"
    text = path.read_text(encoding="utf-8")
    more = "\n".join(f'h{i} = "residual(h{i - 1})"' for i in range(9, 61))
    text = text.replace('h8 = "residual(h7)"', f'h8 = "residual(h7)"\n{more}').replace("linear(h8,", "linear(h60,")
    text = re.sub(r"\[data\].*?\n\n", "", text, flags=re.DOTALL)
    model = dataflow.files.toml.read.loads_toml(text)
    found = view(model, x=[[0.1, 0.2]], y=[[0, 1]])
    assert 2 < len(found.content["layouts"]) <= 24
    assert len(found.content["calls"]) == 60


@pytest.mark.slow
def test_a_few_blocks_fold_in_every_combination() -> None:
    text = (ROOT / "models" / "deep.toml").read_text(encoding="utf-8")
    text = re.sub(r'h[3-8] = "residual\(h\d\)"\n', "", text).replace("linear(h8,", "linear(h2,")
    text = re.sub(r"\[data\].*?\n\n", "", text, flags=re.DOTALL)
    found = view(dataflow.files.toml.read.loads_toml(text), x=[[0.1, 0.2]], y=[[0, 1]])
    assert sorted(layout["open"] for layout in found.content["layouts"]) == [[], [0], [0, 1], [1]]


@pytest.mark.parametrize("path", SMALL)
def test_every_layout_has_every_node_and_edge_once(path: Path) -> None:
    model = dataflow.load(path)
    for layout in view(model, examples=1, frames=0).content["layouts"]:
        members = [name for node in layout["nodes"] for name in node["members"]]
        assert sorted(members) == sorted(model.graph.nodes)
        of = {name: i for i, node in enumerate(layout["nodes"]) for name in node["members"]}
        drawn = re.findall(r'data-edges="([^"]*)"', layout["svg"])
        drawn_edges = [edge for group in drawn for edge in group.replace("&gt;", ">").split(" ")]
        wanted = [f"{a}>{b}:{k}" for a, b, k in model.graph.edges(keys=True) if of[a] != of[b]]
        assert sorted(drawn_edges) == sorted(wanted)
        assert len(layout["edges"]) == len(drawn)


# ------------------------------------------------------------------------------------------------ the file


def test_the_page_is_one_file_that_refers_to_nothing() -> None:
    html = view(xor("S1")).html
    parsed = Parsed(html)
    assert [tag for tag, _ in parsed.elements if tag in ("script", "style", "link", "img", "iframe", "base")] == [
        "style",
        "script",
        "script",
    ]
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "action", "style", "ping"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in parsed.inside[0][1]
    assert "@import" not in parsed.inside[0][1]


def test_the_policy_allows_the_page_s_own_style_and_script_and_no_connection() -> None:
    parsed = Parsed(view(xor("S1")).html)
    policies = [attributes["content"] for tag, attributes in parsed.elements if "http-equiv" in attributes]
    assert len(policies) == 1
    rules = dict(rule.strip().split(" ", 1) for rule in str(policies[0]).split(";"))
    (style,) = [text for kind, text in parsed.inside if kind == "style"]
    script = [text for kind, text in parsed.inside if kind == "script"][-1]
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'{digest(style)}'",
        "script-src": f"'{digest(script)}'",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_hostile_texts_are_data_and_nothing_else() -> None:
    texts = hostile_texts(3000, seed=6)
    model = xor("S1")
    plain_page = Parsed(view(model).html)
    for start in range(0, len(texts), 500):
        part = texts[start : start + 500]
        model.doc = "".join(part)[:3900]
        model.graph.name = part[0]
        found = view(model)
        parsed = Parsed(found.html)
        assert [tag for tag, _ in parsed.elements] == [tag for tag, _ in plain_page.elements]
        data = next(text for kind, text in parsed.inside if kind == "script")
        assert json.loads(data) == json.loads(json.dumps(found.content))
        assert not set("<>&") & set(data)


@pytest.mark.usefixtures("fresh_layouts")
def test_the_same_model_gives_the_same_page() -> None:
    assert view(xor("S1")).html == view(xor("S1")).html


def test_a_notebook_gets_the_page_in_a_frame_of_its_own() -> None:
    found = view(xor("S1"))
    bundle = found._repr_mimebundle_()
    parsed = Parsed(bundle["text/html"])
    ((tag, attributes),) = parsed.elements
    assert (tag, attributes["sandbox"], attributes["srcdoc"]) == ("iframe", "allow-scripts", found.html)
    assert bundle["text/plain"] == "<page on 'xor': 4 nodes forward, 7 factors backward>"


def test_dataflow_view_is_the_function() -> None:
    assert dataflow.view is view
    assert isinstance(dataflow.view(xor("S1")), dataflow.View)


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    model = xor("S1")
    with pytest.raises(GraphError, match="no nodes"):
        view(Graph("empty"))
    with pytest.raises(GraphError, match="nothing"):
        view(model, of="nothing")
    with pytest.raises(DataError, match="example 9"):
        view(model, example=9)
    for setting in ({"examples": 0}, {"examples": 201}, {"frames": -1}, {"max_nodes": 0}, {"direction": "up"}):
        with pytest.raises(DataError):
            view(model, **setting)
    found = view(model)
    with pytest.raises(FileFormatError, match=r"ends in \.html"):
        found.save(tmp_path / "page.pdf")
    with pytest.raises(FileFormatError, match="there is no folder"):
        found.save(tmp_path / "missing" / "page.html")


# ------------------------------------------------------------------------------------------------ training


def test_epochs_are_chosen_closer_together_at_the_beginning() -> None:
    assert chosen_epochs(0, 5) == [0]
    assert chosen_epochs(3, 5) == [0, 1, 2, 3]
    found = chosen_epochs(3000, 32)
    assert (found[0], found[-1]) == (0, 3000)
    assert len(found) == 32
    assert found == sorted(set(found))
    assert found[1] - found[0] <= found[-1] - found[-2]


def test_a_run_that_stopped_itself_is_repeated() -> None:
    model = classifier()
    settings = {"validation": {"share": 0.4, "shuffle": True}, "early_stopping": {"patience": 4}}
    history = train(model, epochs=60, learning_rate=0.3, **settings)
    assert history.best_epoch is not None
    assert history.best_epoch < history.epochs < 60
    assert "it ends in the file's parameters, bit for bit" in replay(model, None, 4).note


def test_a_run_that_went_on_is_not_repeated() -> None:
    model = classifier()
    train(model, epochs=1)
    train(model, epochs=1)
    assert replay(model, None, 4).note == (
        "the training run went on from an earlier one, and the file does not keep what its optimizer knew then"
    )


def test_a_run_of_workers_that_trained_by_themselves_is_not_repeated() -> None:
    model = classifier()
    train(model, epochs=1)
    model.training = {**model.training, "sync_every": 4}
    assert "one of a cluster" in replay(model, None, 4).note


def test_a_run_is_repeated_bit_for_bit() -> None:
    model = classifier()
    train(model, epochs=3)
    before = {name: array.tobytes() for name, array in model.parameters.items()}
    found = replay(model, None, 4)
    assert "bit for bit" in found.note
    assert [frame.epoch for frame in found.frames] == [0, 1, 2, 3]
    assert {name: array.tobytes() for name, array in found.frames[-1].parameters.items()} == before
    assert {name: array.tobytes() for name, array in model.parameters.items()} == before
    again = classifier()
    train(again, epochs=1)
    assert {name: array.tobytes() for name, array in again.parameters.items()} == {
        name: array.tobytes() for name, array in found.frames[1].parameters.items()
    }


def test_a_run_that_ended_elsewhere_is_told() -> None:
    model = xor("S3")
    train(model, epochs=5)
    model.parameters["b2"] = model.parameters["b2"] + 0.5
    assert "5.0e-01 away from the file's parameters" in replay(model, None, None).note


@pytest.mark.parametrize(
    "change",
    [
        {"start": None},
        {"start": {"W1": np.zeros(3)}},
        {"optimizer": 5},
        {"optimizer": {"name": "nothing"}},
        {"optimizer": {"name": ["sgd"]}},
        {"batch_size": "many"},
        {"batch_size": -1},
        {"seed": None},
        {"shuffle": "no"},
        {"validation": 7},
        {"epochs": 10**15},
        {"epochs": "three"},
        {"steps": -1, "epochs": 10**9},
        {"loss": [1, "x"]},
        {"loss": {"a": 1}},
        {"metrics": [1]},
        {"metrics": {"<script>": [0.1, 0.2]}},
        {"backend": "nothing"},
    ],
    ids=str,
)
def test_a_record_that_is_none_is_no_error(change: dict[str, Any]) -> None:
    model = xor("S3")
    train(model, epochs=2)
    model.training.update(change)
    found = view(model).content["training"]
    assert found["plane"]["epochs"]
    json.dumps(found, allow_nan=False)


def test_a_long_run_is_repeated_only_when_asked_for() -> None:
    model = xor("S3")
    train(model, epochs=2)
    model.training["epochs"] = MOST_UPDATES + 1
    found = replay(model, None, None)
    assert "more than 50,000 updates" in found.note
    assert len(found.frames) == 1


def test_a_run_whose_updates_are_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = xor("S3")
    train(model, epochs=30)
    monkeypatch.setattr("dataflow.viewer.replay.MOST_SECONDS", 0.0)
    found = replay(model, None, None)
    assert "1 of its 30 updates took 0 seconds; --frames 32 repeats it all the same" in found.note
    assert len(found.frames) == 1
    assert len(replay(model, None, 8).frames) == 8  # asked for, it is repeated


def test_the_plane_is_what_the_model_says() -> None:
    model = xor("S2")  # ŷ = relu(x0 + x1) − 2 relu(x0 + x1 − 1)
    found = view(model).content["training"]["plane"]
    field = np.frombuffer(base64.b64decode(found["fields"][0]), np.uint8).reshape(SIDE, SIDE)
    (left, right), (bottom, top) = found["bounds"]
    along, up = np.meshgrid(np.linspace(left, right, SIDE), np.linspace(bottom, top, SIDE))
    expected = np.maximum(along + up, 0) - 2 * np.maximum(along + up - 1, 0)
    read = found["low"] + field / found["levels"] * (found["high"] - found["low"])
    step = (found["high"] - found["low"]) / found["levels"]
    assert np.abs(read - expected).max() <= step / 2 + 1e-9
    assert found["threshold"] == 0.5
    assert found["points"] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert found["labels"] == [0, 1, 1, 0]


@pytest.mark.parametrize(("count", "labelled"), [(2, True), (8, True), (9, False), (30, False)])
def test_targets_of_many_different_numbers_are_no_labels(count: int, labelled: bool) -> None:
    """All examples are on the plane then, in one colour."""
    graph = Graph("numbers")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    out = graph.node("out", x @ graph.constant("W", [[1.0], [2.0]]))
    graph.node("loss", ops.mse(out, y))
    given = {"x": np.arange(60.0).reshape(30, 2), "y": np.arange(30.0)[:, None] % count}
    found = view(Model(graph, ["out"], "loss"), **given).content["training"]["plane"]
    assert (found["labels"] is not None) == labelled
    assert len(found["points"]) == 30


def test_the_plane_of_two_scalar_inputs_is_the_same() -> None:
    one = view(dataflow.load(ROOT / "models" / "xor.toml")).content["training"]["plane"]
    other = view(dataflow.load(ROOT / "models" / "xor-scalars.toml")).content["training"]["plane"]
    fields = [np.frombuffer(base64.b64decode(found["fields"][0]), np.uint8).astype(int) for found in (one, other)]
    assert np.abs(fields[0] - fields[1]).max() <= 1
    assert other["axes"] == ["x₁", "x₂"]


def test_the_plane_of_several_classes() -> None:
    graph = Graph("classes")
    x = graph.input("x", ("n", 2))
    W = graph.constant("W", [[1.0, 0], [-1, 0], [0, 3]])
    graph.node("scores", x @ W.T)
    found = view(Model(graph, ["scores"]), x=[[0, 0], [1, 1]]).content["training"]["plane"]
    assert found["classes"] == 3
    field = np.frombuffer(base64.b64decode(found["fields"][0]), np.uint8).reshape(SIDE, SIDE)
    assert field[0, -1] == 0  # at the lower right x0 is the largest
    assert field[-1, 0] == 2


def test_no_plane_without_two_numbers() -> None:
    for name in ("digits", "wine", "jacobian", "composition"):
        assert view(dataflow.load(ROOT / "models" / f"{name}.toml"), examples=1).content["training"] is None


# ------------------------------------------------------------------------------------------------ what it is made of


def test_the_libraries_are_those_of_the_list() -> None:
    listed = json.loads((ASSETS / "vendor" / "vendor.json").read_text(encoding="utf-8"))
    names = {"vendor.json"}
    for package in listed:
        assert package["license"] == "MIT"
        for file in package["files"]:
            content = (ASSETS / "vendor" / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            names.add(file["name"])
        assert any(file["name"].endswith(".LICENSE") for file in package["files"])
    assert {path.name for path in (ASSETS / "vendor").iterdir()} == names


def test_every_asset_is_packaged_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["dataflow"]
    page = (ROOT / "dataflow" / "viewer" / "page.py").read_text(encoding="utf-8")
    for path in ASSETS.rglob("*"):
        if path.is_file():
            name = path.relative_to(ROOT / "dataflow").as_posix()
            assert any(fnmatch(name, pattern) for pattern in patterns), name
            assert path.name in page or path.suffix in (".json", ".LICENSE"), name


def test_texts_can_be_read_on_what_is_behind_them() -> None:
    """Contrasts as WCAG 2 reckons them: 4.5 and more for text, in light and in dark."""
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    named = r"--([\w-]+): "
    screen = re.findall(named + r"light-dark\((#\w{6}), (#\w{6})\);", style)
    paper = dict(re.findall(named + r"(#\w{6});", style))
    themes = [{name: light for name, light, _ in screen}, {name: dark for name, _, dark in screen}, paper]
    for theme in themes:
        grounds = ["paper", "back", "tint", "forward-tint", "backward-tint", *(["lit"] if "lit" in theme else [])]
        pairs = [("ink", ground) for ground in grounds] + [("soft", "paper"), ("soft", "back")]
        fills = ["input", "parameter", "constant", "op", "output", "loss", "block"]
        pairs += [(text, fill) for fill in fills for text in ("ink", "forward", "backward", "soft")]
        for text, ground in pairs:
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)


# ------------------------------------------------------------------------------------------------ the command


def call(*words: str) -> Any:
    return CliRunner().invoke(main, ["view", *words])


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    target = tmp_path / "xor.html"
    done = call(str(ROOT / "models" / "xor.toml"), "-o", str(target))
    assert done.exit_code == 0
    assert done.stdout == f"Wrote a page of 11 steps through 'xor' to {target}.\n"
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    done = call(str(ROOT / "models" / "wine.toml"), "-o", str(target), "--json", "--example", "5")
    document = json.loads(done.stdout)
    assert document == {"file": str(target), "bytes": target.stat().st_size, "steps": 6, "passes": 1, "warnings": []}


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ([], 2, "say where the page goes: -o xor.html"),
        (["-o", "a.html", "--serve"], 2, "either -o or --serve"),
        (["-o", "a.pdf"], 1, "a.pdf: a page is written to a file that ends in .html"),
        (["-o", "nowhere/a.html"], 1, "there is no folder 'nowhere'; create it first"),
        (["-o", "a.html", "--of", "hh"], 1, "did you mean 'h'?"),
        (["-o", "a.html", "--wrt", "W9"], 1, "W9"),
        (["-o", "a.html", "--example", "4"], 1, "there is no example 4; the batch has 4"),
        (["-o", "a.html", "--engine", "nothing"], 1, "unknown layout engine 'nothing'"),
        (["--serve", "--port", "99999"], 2, "99999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told(words: list[str], status: int, text: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(str(ROOT / "models" / "xor.toml"), *words)
    assert done.exit_code == status
    assert text in done.stderr
    assert "Traceback" not in done.output
    if status == 1:
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ where it begins


def test_it_begins_where_no_gradient_is_all_zero() -> None:
    """Of row 7's four examples only the last has no zero in its gradient."""
    content = view(xor("S1")).content
    assert content["passes"][content["pass"]]["example"] == 3
    assert view(xor("S1"), example=0).content["pass"] == 0
    assert view(xor("S1"), x=[[0, 0], [0, 0]], y=[[0], [1]]).content["pass"] == 0  # all alike


def test_a_trained_file_without_its_data_says_what_to_give(tmp_path: Path) -> None:
    model = classifier()
    train(model, epochs=1)
    model.data = None
    dataflow.save(model, tmp_path / "trained.msgpack")
    done = call(str(tmp_path / "trained.msgpack"), "-o", str(tmp_path / "page.html"))
    assert done.exit_code == 0
    assert "needs the inputs 'x', 'y', which the file does not have; give data with --data FILE" in done.stderr


def test_names_are_symbols_or_as_in_the_file() -> None:
    texts = [[node["text"] for node in view(xor("S1"), notation=kind).content["nodes"]] for kind in ("math", "plain")]
    assert {"W⁽¹⁾", "ŷ"} <= set(texts[0])
    assert {"W1", "yhat"} <= set(texts[1])


def test_a_folded_chain_of_diamonds_has_a_page():
    """Each folded node holds about 17 of them, through which there are over 100,000 paths."""
    graph = Graph("diamonds")
    value = graph.parameter("w", value=0.5)
    for number in range(300):
        value = graph.node(f"a{number}", sin(value) * cos(value))
    assert "a299" in view(Model(graph, ["a299"]), max_nodes=20, frames=0).html
