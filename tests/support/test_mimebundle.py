"""What a notebook shows: by MIME type, as far as it is asked for, and never an error."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from checkout import ROOT
from IPython.core.formatters import DisplayFormatter
from nbclient import NotebookClient
from nbformat import v4

import dataflow
from dataflow.autodiff.reverse import gradient_graph
from dataflow.draw import notebook
from dataflow.draw.drawing import Drawing
from dataflow.draw.layout import engines
from dataflow.explain import explanation
from dataflow.ops import relu

SVG = "image/svg+xml"
EXPECTED = {
    "model": {"text/plain", SVG},
    "graph": {"text/plain", SVG},
    "gradient graph": {"text/plain", SVG},
    "picture": {"text/plain", SVG},
    "explanation": {"text/plain", "text/html", "text/latex"},
    "explanation of several": {"text/plain", "text/html", "text/latex"},
    "derivation": {"text/plain", "text/latex"},
}


def load(name):
    return dataflow.load(ROOT / "models" / f"{name}.toml")


def shown(what):
    xor = load("xor")
    return {
        "model": lambda: xor,
        "graph": lambda: xor.graph,
        "gradient graph": lambda: gradient_graph(xor.graph, "loss", ["W1"]).graph,
        "picture": lambda: dataflow.draw(xor, style="graph", both=True),
        "explanation": lambda: dataflow.explain(xor, wrt="W1", example=3),
        "explanation of several": lambda: dataflow.explain(xor, wrt=["W1", "b1"], example=3),
        "derivation": lambda: dataflow.derive(load("xor-scalars"), wrt="w1"),
    }[what]()


@pytest.mark.parametrize("what", EXPECTED)
def test_what_ipython_gets(what):
    """Asked as IPython asks, by IPython."""
    found, metadata = DisplayFormatter().format(shown(what))
    assert found.keys() == EXPECTED[what]
    assert metadata == {}
    for mime, text in found.items():
        assert isinstance(text, str), mime
        assert text.strip(), mime
    if SVG in found:
        assert ET.fromstring(found[SVG].encode()).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("what", EXPECTED)
def test_include_and_exclude(what, monkeypatch):
    monkeypatch.setattr(Drawing, "render", lambda *_: b"<svg />")
    item, every = shown(what), EXPECTED[what]
    assert item._repr_mimebundle_().keys() == every
    assert item._repr_mimebundle_(include=set(), exclude=set()).keys() == every
    for mime in every:
        assert item._repr_mimebundle_(include={mime}).keys() == {mime}
        assert item._repr_mimebundle_(exclude={mime}).keys() == every - {mime}
    assert item._repr_mimebundle_(include={"image/png"}) == {}
    assert item._repr_mimebundle_(include=every, exclude=every) == {}


@pytest.mark.parametrize("what", ["model", "graph", "picture"])
def test_what_is_not_asked_for_is_not_made(what, monkeypatch):
    item = shown(what)
    monkeypatch.setattr(Drawing, "render", lambda *_: pytest.fail("laid out"))
    assert item._repr_mimebundle_(include={"text/plain"})["text/plain"] == repr(item)


@pytest.mark.parametrize("what", ["model", "graph", "picture"])
def test_without_an_engine_the_text_says_why(what, monkeypatch):
    item = shown(what)
    monkeypatch.setattr(engines, "engines", lambda: iter(()))
    found = item._repr_mimebundle_()
    assert found.keys() == {"text/plain"}
    assert found["text/plain"].startswith(repr(item))
    assert "is installed" in found["text/plain"]
    assert item._repr_mimebundle_(exclude={"text/plain"}) == {}


@pytest.mark.usefixtures("fresh_layouts")
def test_a_layout_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(notebook, "TIME_LIMIT", 1e-4)
    found = load("xor")._repr_mimebundle_()
    assert found.keys() == {"text/plain"}
    assert "more than 0.0001 s" in found["text/plain"]


def test_a_graph_without_nodes():
    found = dataflow.Graph("empty")._repr_mimebundle_()
    assert found["text/plain"] == "<graph 'empty': 0 nodes>\n(the model has no nodes; there is nothing to draw)"


def chain(count):
    graph = dataflow.Graph("chain")
    value = graph.input("x", (3,))
    for i in range(count):
        value = graph.node(f"h{i}", relu(value))
    return graph


def tangle(count):
    """Every node takes two of those before it, far and near, so that there are no layers to speak of."""
    graph = dataflow.Graph("tangle")
    values = [graph.input("x", (3,))]
    for i in range(count):
        values.append(graph.node(f"h{i}", values[-1] + values[i * i % len(values)]))
    return graph


def wide(count):
    graph = dataflow.Graph("wide")
    for i in range(count):
        graph.node(f"h{i}", relu(graph.input(f"x{i}", (3,))))
    return graph


@pytest.mark.slow
@pytest.mark.parametrize(("make", "count"), [(chain, 20_000), (wide, 2_000), (tangle, 100), (tangle, 1_000)])
def test_a_huge_graph_is_folded(make, count, monkeypatch):
    monkeypatch.setattr(notebook, "TIME_LIMIT", 2.0)
    graph = make(count)
    drawing = dataflow.draw(graph, max_nodes=notebook.MOST_NODES)
    assert len(drawing.picture.nodes) <= notebook.MOST_NODES
    assert {name for node in drawing.picture.nodes for name in node.members} == set(graph)
    assert graph._repr_mimebundle_()["text/plain"].startswith(repr(graph))


# ------------------------------------------------------------------------------------------------ explanations


def test_an_explanation_has_its_numbers_in_every_form():
    """∂loss/∂W1 at (1, 1) is (−0.15)·[0.7, −1.3]ᵀ·[1, 1], by hand."""
    found = shown("explanation")._repr_mimebundle_()
    for mime in EXPECTED["explanation"]:
        assert "-0.105" in found[mime], mime
        assert "0.195" in found[mime], mime


def test_the_html_is_a_part_of_a_page_that_brings_no_colours_of_its_own():
    html = shown("explanation of several")._repr_mimebundle_()["text/html"]
    assert html.startswith('<div class="dataflow-explanation">')
    assert not any(tag in html for tag in ("<html", "<body", "<h1", "<h2", "<script", "prefers-color-scheme"))
    assert html.count("<div") == html.count("</div>")
    style = html.partition("<style>")[2].partition("</style>")[0]
    rules = [rule for rule in style.strip().split("}") if rule.strip()]
    assert len(rules) > 8
    assert all(
        name.strip().startswith(".dataflow-explanation") for rule in rules for name in rule.split("{")[0].split(",")
    )
    assert "background:" not in style.replace("background:none", "").replace("background:var(--tint)", "")


@pytest.mark.parametrize("what", ["explanation", "explanation of several", "derivation"])
def test_the_latex_is_a_part_of_a_document(what):
    latex = shown(what)._repr_mimebundle_()["text/latex"]
    assert "\\documentclass" not in latex
    assert "\\end{document}" not in latex
    assert latex.count("\\begin{") == latex.count("\\end{") >= 1


def test_a_long_explanation_says_how_to_read_it(monkeypatch):
    item = shown("explanation")
    monkeypatch.setattr(explanation, "MOST_CHARACTERS", 1000)
    found = item._repr_mimebundle_()
    assert found.keys() == {"text/plain"}
    assert found["text/plain"].startswith("<explanation of ∂loss/∂(W1) of 'xor', example 3>")
    assert "to_html()" in found["text/plain"]


# ------------------------------------------------------------------------------------------------ a notebook

CELLS = {
    "import dataflow\nmodel = dataflow.load('models/xor.toml')\nmodel": {"text/plain", SVG},
    "model.graph": {"text/plain", SVG},
    "dataflow.draw(model, both=True, values=True, example=3)": {"text/plain", SVG},
    "dataflow.explain(model, wrt='W1', example=3)": {"text/plain", "text/html", "text/latex"},
    "dataflow.derive(model, of='yhat', wrt='b2')": {"text/plain", "text/latex"},
    "display(model, include=['text/plain'])": {"text/plain"},
    "dataflow.Graph('empty')": {"text/plain"},
}


@pytest.mark.slow
def test_a_notebook_that_is_executed():
    book = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in CELLS])
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(book, timeout=120, kernel_name="python3", resources=resources).execute()
    for cell, expected in zip(book.cells, CELLS.values(), strict=True):
        (output,) = cell.outputs  # the result, and nothing on standard error
        assert output.data.keys() == expected, cell.source
    assert "0.01125" in book.cells[2].outputs[0].data[SVG]
