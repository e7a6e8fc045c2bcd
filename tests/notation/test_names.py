"""Names are set as mathematics, the same way in Unicode and in LaTeX, and no two names of a graph alike."""

from __future__ import annotations

import pytest

import dataflow
from dataflow.errors import DataError
from dataflow.notation.names import Names, raw_symbol, set_part


def graph_of(**shapes):
    graph = dataflow.Graph("names")
    for name, shape in shapes.items():
        graph.input(name, shape)
    return graph


@pytest.mark.parametrize(
    ("name", "text", "latex"),
    [  # by hand, from the conventions in docs/pictures.md
        ("x", "x", "x"),
        ("W1", "W⁽¹⁾", "W^{(1)}"),
        ("W_12", "W⁽¹²⁾", "W^{(12)}"),
        ("yhat", "ŷ", r"\hat{y}"),
        ("x_hat", "x̂", r"\hat{x}"),
        ("alpha", "α", r"\alpha"),
        ("alphabar", "ᾱ", r"\bar{\alpha}"),
        ("loss", "loss", r"\mathrm{loss}"),
        ("a_b", "a_b", "a_{b}"),
        ("b_", "b_", r"\mathrm{b\_}"),  # another name than b
        ("W_in", "Wᵢₙ", r"W_{\mathrm{in}}"),
        ("λ", "λ", r"\mathrm{\lambda }"),
        ("ŷ", "ŷ", r"\mathrm{\hat{y}}"),
        ("β2", "β⁽²⁾", r"\mathrm{\beta }^{(2)}"),
        ("größe", "größe", r"\mathrm{gr\ddot{o}[DF]e}"),
    ],
)
def test_a_name_is_set_as_mathematics(name, text, latex):
    symbol = set_part(name, True)
    assert (symbol.as_text, symbol.as_latex) == (text, latex)


def test_a_number_is_a_layer_s_where_the_value_has_axes_besides_the_batch_s():
    names = Names(graph_of(x=("n", 2), W1=(2, 3), b2=(1,), h1=("n", 3), y1=("n",), w1=(), c12=()))
    shown = {name: names.text(name) for name in ("W1", "b2", "h1", "y1", "w1", "c12")}
    assert shown == {"W1": "W⁽¹⁾", "b2": "b⁽²⁾", "h1": "h⁽¹⁾", "y1": "y₁", "w1": "w₁", "c12": "c₁₂"}
    assert names.latex("w1") == "w_{1}"
    assert (names.entry("W1", (0, 1)), names.symbol("W1").at((0, 1)).as_latex) == ("W⁽¹⁾₁₂", "W^{(1)}_{12}")
    assert names.entry("W1", (0, 9)) == "W⁽¹⁾₁,₁₀"


def test_names_that_would_be_set_alike_stay_as_they_are():
    names = Names(graph_of(x1=(2,), x_1=(2,), W_12=(2, 2), W12=(2, 2), alpha=(), α=(), v=(3,), v2=(), u2=()))
    assert [names.text(name) for name in ("x1", "x_1", "W_12", "W12")] == ["x1", "x_1", "W_12", "W12"]
    assert (names.latex("x1"), names.latex("x_1")) == (r"\mathrm{x1}", r"\mathrm{x\_1}")
    assert (names.text("alpha"), names.text("α")) == ("alpha", "α")
    assert names.text("v2") == "v2"  # v₂ is an entry of v
    assert names.text("u2") == "u₂"


def test_in_plain_notation_names_are_those_of_the_file():
    names = Names(graph_of(W1=(2, 2), yhat=(2,)), "plain")
    assert names.partial("yhat", "W1") == "∂yhat/∂W1"
    assert names.partial("yhat", "W1", latex=True) == r"\frac{\partial \mathrm{yhat}}{\partial \mathrm{W1}}"
    assert names.entry("W1", (0, 1)) == "W1[0, 1]"
    with pytest.raises(DataError, match="the notation is 'math' or 'plain'"):
        Names(graph_of(x=()), "maths")


def test_the_gradient_of_a_sum_says_so():
    names = Names(graph_of(f=(3,), x=(2,)))
    assert names.partial("f", "x", total=True) == "∂(Σf)/∂x"
    inline = names.partial("f", "x", total=True, latex=True, inline=True)
    assert inline == r"\partial(\textstyle\sum f)/\partial x"


def test_every_name_has_a_symbol_of_its_own():
    shapes = {name: shape for name in ("x1", "x_1", "xhat", "x_hat", "x") for shape in [(2,)]}
    graph = graph_of(**shapes, **{"λ": (), "lambda": (), "y1": (), "y": (2,), "W_in": (2,), "W_in_": ()})
    for notation in ("math", "plain"):
        names = Names(graph, notation)
        assert len({names.text(name) for name in graph}) == len(graph)
        assert len({names.latex(name) for name in graph}) == len(graph)
    assert raw_symbol("a_b").as_latex == r"\mathrm{a\_b}"
