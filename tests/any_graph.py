"""Random models for property tests: ops on (n, 3) arrays, with literals, attributes, constants, blocks, unnamed
nodes."""

from __future__ import annotations

from hypothesis import strategies as st

from dataflow import Graph, Model, ops

NUMBER = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())
NAMES = st.sampled_from(["a", "h", "pi", "e", "inf", "lambda", "relu", "größe", "x_1", "file", "shape", "model"])


@st.composite
def graphs(draw: st.DrawFn) -> Model:
    """Built with the Python interface, so that it may be what no expression gives."""
    graph = Graph(draw(st.sampled_from(["", "net", "µ"])), draw(st.sampled_from(["float64", "float32"])))
    values = [graph.input("x", ("n", 3)), graph.parameter("W", (3,), init="normal")]
    values.append(graph.constant("c", draw(st.lists(st.floats(width=32), min_size=3, max_size=3))))
    for i in range(draw(st.integers(1, 12))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        match draw(st.integers(0, 9)):
            case 0:
                value = a + b
            case 1:
                value = a * draw(NUMBER)
            case 2:
                value = ops.where(a > draw(st.floats()), b, draw(NUMBER))
            case 3:
                value = ops.softmax(a, axis=draw(st.sampled_from([-1, 0])) if a.ndim == 2 else -1)
            case 4:
                value = ops.sum(a, axis=-1, keepdims=True) + b
            case 5:
                value = ops.reshape(a, shape=a.shape)
            case 6:
                value = a[..., ::-1] - draw(st.floats(allow_nan=False))
            case 7:
                value = graph.apply(ops.exp, [draw(st.floats(-3, 3))]) * a
            case 8:
                value = -((a - (b - a)) ** 2) / (2 + a.T.T)
            case _:
                value = ops.concatenate(a, b, axis=-1)[..., :3] if a.ndim == b.ndim else ops.sin(a)
        if draw(st.booleans()):
            name = draw(NAMES)
            value = graph.node(name if name not in graph or name in graph.unnamed else f"n{i}", value)
        values.append(value)
    return Model(graph, [values[-1].name], doc=draw(st.text(max_size=20)))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """TOML with nested expressions and calls of blocks, one of which may share."""
    names = ["x", "W", "c"]
    lines = []
    for i in range(draw(st.integers(1, 5))):
        lines.append(f"n{i} = {_expression(draw, names, 3)!r}".replace("'", '"'))
        names.append(f"n{i}")
    extra = 's = "layer(x, share=\'t\')"\nt = "layer(c)"\n' if draw(st.booleans()) else ""
    return f"""dataflow = 1
name = "random"
[inputs]
x = {{ shape = ["n", 3] }}
[parameters]
W = {{ shape = [3], init = "normal" }}
[constants]
c = {{ value = [0.1, -2, 3] }}
[blocks.layer]
inputs = ["h"]
output = "out"
parameters.V = {{ shape = [3], init = "ones" }}
nodes.inner = "h * V + 1"
nodes.out = "deep(inner) - inner"
[blocks.deep]
inputs = ["u"]
output = "v"
constants.k = {{ value = 0.5 }}
nodes.v = "relu(u - k)"
[nodes]
{extra}{chr(10).join(lines)}
"""


def _expression(draw: st.DrawFn, names: list[str], depth: int) -> str:
    inner = [_expression(draw, names, depth - 1) if depth else draw(st.sampled_from(names)) for _ in range(2)]
    form = draw(st.sampled_from(["{0}", "{0}", "{1}", *_FORMS]))
    return form.format(*inner)


_FORMS = [
    *(
        "({0}) + ({1})",
        "({0}) - ({1})",
        "({0}) * 2",
        "-({0})",
        "({0}) ** 2",
        "2 ** ({0})",
        "({0}) / 3.5",
        "({0}) < ({1})",
    ),
    *(
        "relu({0})",
        "relu(relu({0}))",
        "sum({0}, axis=-1, keepdims=true)",
        "({0})[..., ::-1]",
        "where({0} > 0, {1}, -0.5)",
    ),
    *("layer({0})", "layer({0}) + layer({1})", "relu(deep({0} + 1))", "exp(2) * ({0})", "pi * ({0})"),
]
