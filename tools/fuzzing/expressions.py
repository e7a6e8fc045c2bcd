"""Expressions made by a grammar that knows the ops, and expressions that are deep or long."""

from __future__ import annotations

import json
from random import Random

from fuzzing.values import FLOATS, INTEGERS, text


def one_node(rng: Random, seeds: list[bytes]) -> bytes:
    """A file with one node, whose expression comes from the grammar, changed half of the time."""
    names = ["x", "W", "b", "k", "s", "i", "t", "pi"]
    made = expression(rng, names, rng.choice((1, 2, 3, 4, 6)))
    if rng.random() < 0.05:
        made = rng.choice(_OPENERS) * rng.choice((40, 63, 64, 65, 66, 1000, 20_000, 100_001)) + rng.choice(("", "x"))
    if rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2, 5))):
            made = text(rng, made)
    return f"{_CONTEXT}z = {quoted(made)}\n".encode("utf-8", "replace")


_CONTEXT = """dataflow = 1
[inputs]
x = { shape = ["n", 3] }
i = { shape = ["n"], dtype = "int64" }
t = { shape = [2, 3, 4] }
[parameters]
W = { shape = [3, 3], init = "zeros" }
b = { value = [1.0, -2.0, 0.5] }
s = { value = 2.0 }
[constants]
k = { value = [0, 1, 2], dtype = "int64" }
[nodes]
"""


_OPENERS = ("(", "[", "-", "relu(", "x**", "x+", "x[", "1 if ", "not ", "lambda:", "x.T", ".", "x,")
_CALLS = """
relu({0})
tanh({0})
exp({0})
log({0})
sqrt({0})
abs({0})
identity({0})
sigmoid({0})
sum({0})
sum({0}, axis={1})
mean({0}, axis={1}, keepdims=true)
max({0}, axis={1})
min({0}, axis={1})
softmax({0}, axis={1})
log_softmax({0}, axis={1})
reshape({0}, shape={2})
broadcast_to({0}, shape={2})
concatenate({0}, {3}, axis={1})
stack({0}, {3}, axis={1})
transpose({0}, axes={2})
expand_dims({0}, axis={1})
linear({0}, W, b)
linear({0}, {3})
mse({0}, {3})
mse({0}, {3}, reduction="mean")
softmax_cross_entropy({0}, {3})
where({0} > {3}, {0}, {3})
maximum({0}, {3})
minimum({0}, {3})
part({0}, {3}, which={1})
index({0}, key='{4}')
sum_to({0}, shape={2})
cast({0}, dtype='{5}')
size({0}, axis={1})
place({0}, key='{4}', shape={2})
unknown({0})
""".strip().splitlines()
"""Calls, with places for an expression, an axis, a shape, another expression, a key and a dtype."""
_AXES = ("0", "1", "-1", "-2", "2", "[0, 1]", "(0, 0)", "None", "99", "true", "0.5", "-1.5e3", '"a"', "[]")
_SHAPES = (
    *('["n", 3]', '["n", -1]', "[3, 1]", "[-1]", "[]", "[2, 3, 4]", '["n*3"]', "[0, 1]", "[1, 0]"),
    "[99999, 99999, 99999]",
)
_KEYS = (
    *("0", ":", "::2", "::-1", "1:3", "...", "newaxis", "-1", "0, :", "..., 0", ":, newaxis", "::0", "5:1", "99"),
    *("-99:99", "None, ..."),
)


def expression(rng: Random, names: list[str], depth: int = 3) -> str:
    """A text of the grammar of expressions, sound more often than not."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice((rng.choice(names), rng.choice(names), rng.choice(names), _number(rng)))
    inner = expression(rng, names, depth - 1)
    kind = rng.randrange(10)
    if kind < 3:
        operator = rng.choice(("+", "-", "*", "/", "@", "**", "==", "<", ">=", "!="))
        return f"{inner} {operator} {expression(rng, names, depth - 1)}"
    if kind < 6:
        axis, shape = rng.choice(_AXES), rng.choice(_SHAPES)
        other = expression(rng, names, depth - 1)
        dtype = rng.choice(("float32", "int64", "bool", "float64", "int32", "object"))
        return rng.choice(_CALLS).format(inner, axis, shape, other, rng.choice(_KEYS), dtype)
    if kind == 6:
        return f"-{inner}"
    if kind == 7:
        return f"({inner}){rng.choice(('.T', '', '**2', '.T.T'))}"
    if kind == 8:
        return f"{rng.choice(names)}[{rng.choice(_KEYS)}]"
    return f"[{inner}, {expression(rng, names, depth - 1)}]"


def _number(rng: Random) -> str:
    return rng.choice(
        (str(rng.choice(INTEGERS)), repr(rng.choice(FLOATS)), "1e-3", ".5", "0x1f", "1_000", "2", "1", "0")
    )


def quoted(item: str) -> str:
    """A basic string of TOML, which has nearly JSON's escapes."""
    return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
