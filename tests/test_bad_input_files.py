"""Model files that are wrong: each fault is one line that names the file, the line and the column, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataflow.errors import DataflowError
from dataflow.files.text import loads_toml

GOOD = (Path(__file__).parent.parent / "models" / "xor.toml").read_text(encoding="utf-8")


def line_of(text: str, start: str) -> int:
    return next(i for i, line in enumerate(text.split("\n"), 1) if line.startswith(start))


def changed(start: str, line: str) -> str:
    lines = GOOD.split("\n")
    lines[line_of(GOOD, start) - 1] = line
    return "\n".join(lines)


WRONG = [
    ("z = ", 'z = "matmull(x, W1)"', 6, "unknown op 'matmull'; did you mean 'matmul'?"),
    ("z = ", 'z = "x @ W1.T + bb1"', 17, "'bb1'"),
    ("z = ", 'z = "x @ W1.T + "', None, "expected"),
    ("z = ", 'z = "x @@ W1"', None, "expected"),
    ("z = ", 'z = "(x @ W1.T"', 6, "("),
    ("z = ", 'z = "x @ W1.T + b1)"', 19, "closes nothing"),
    ("z = ", 'z = "x @ W1"', None, None),
    ("z = ", 'z = "x @ W2"', 8, "(n, 2) @ (1, 2) does not fit"),
    ("z = ", 'z = "x + y @ b1"', None, "does not fit"),
    ("z = ", 'z = "x ^ 2"', None, "**"),
    ("z = ", 'z = "x.shape"', None, None),
    ("z = ", 'z = "x if y else b1"', None, None),
    ("z = ", 'z = "lambda: x"', None, None),
    ("z = ", "z = \"__import__('os')\"", None, "names have no quotes"),
    ("z = ", 'z = "x[:, 5]"', None, "index 5 is out of range"),
    ("h = ", 'h = "relu(z, z)"', 6, "takes 1 input"),
    ("h = ", 'h = "relu()"', 6, "takes 1 input"),
    ("h = ", 'h = "mean(z, axs=0)"', 6, "unknown attribute 'axs'; did you mean 'axis'"),
    ("h = ", "h = \"mean(z, axis='x')\"", 6, "takes int or list of int or none"),
    ("h = ", 'h = "mean(z, axis=7)"', 6, "axis 7 is out of range"),
    ("h = ", 'h = "reshape(z, (2, 3))"', None, "keyword"),
    ("h = ", 'h = "relu(yhat)"', None, "cycle: h -> yhat -> h"),
    ("h = ", 'h = "relu(h)"', None, "cycle: h -> h"),
    ("h = ", "h = 3", None, "h"),
    ("h = ", 'h = { op = "relu" }', None, "inputs"),
    ("h = ", 'h = { op = "relu", inputs = ["zz"] }', None, "'zz'"),
    ("h = ", 'h = { op = "relu", inputs = ["z"], atributes = {} }', None, "did you mean 'attributes'"),
    ("h = ", 'x = "relu(z)"', None, "'x'"),
    ("h = ", '"a.b" = "relu(z)"', None, "a.b"),
    ('loss = "mse', "loss = \"mse(yhat, y, reduction='avg')\"", None, '"sum" or "mean"'),
    ("W1 = ", "W1 = { value = [[0.9, 1.1], [0.8]] }", None, "rows of one length"),
    ("W1 = ", 'W1 = { value = [["a"]] }', None, "'a' is no number"),
    ("W1 = ", "W1 = { }", None, "init"),
    ("W1 = ", 'W1 = { shape = [2, 2], init = "he_norml" }', None, "did you mean 'he_normal'"),
    ("W1 = ", 'W1 = { shape = [2, 2], init = { name = "normal", sdt = 1 } }', None, "did you mean 'std'"),
    ("W1 = ", 'W1 = { shape = ["n", 2], init = "zeros" }', None, "n"),
    ("W1 = ", 'W1 = { shape = [-2, 2], init = "zeros" }', None, "-2"),
    ("W1 = ", 'W1 = { init = "zeros" }', None, "shape"),
    ("W1 = ", "W1 = { valu = 3 }", None, "did you mean 'value'"),
    ("x = { shape", 'x = { shape = ["n", 2], dtype = "float46" }', None, "did you mean 'float64'"),
    ("x = { shape", "x = { shape = 2 }", None, "shape"),
    ("x = { shape", 'x = { shpe = ["n", 2] }', None, "did you mean 'shape'"),
    ("outputs = ", 'outputs = ["yhatt"]', None, "did you mean 'yhat'"),
    ("outputs = ", 'outputs = "yhat"', None, "list"),
    ('loss = "loss"', 'loss = "los"', None, "did you mean 'loss'"),
    ("epochs = ", "epoch = 3000", 1, "unknown key 'epoch' in [train]; did you mean 'epochs'?"),
    ("epochs = ", 'epochs = "many"', None, "epochs"),
    ("epochs = ", "epochs = -1", None, "epochs"),
    ("batch_size = ", "batch_size = 0", None, "batch_size"),
    ("shuffle = ", "shuffle = 1", None, "shuffle"),
    ("optimizer = ", 'optimizer = { name = "sdg" }', None, "did you mean 'sgd'"),
    ("optimizer = ", 'optimizer = { name = "sgd", learning_rte = 1 }', None, "did you mean 'learning_rate'"),
    ("optimizer = ", 'optimizer = { name = "sgd", learning_rate = -1 }', None, "learning_rate"),
    ("dataflow = 1", "dataflow = 2", 12, "format 2"),
    ("dataflow = 1", 'dataflow = "one"', 13, "dataflow"),
    ("name = ", "name = 3", None, "name"),
    ("[train]", "[training]", None, "did you mean 'train'"),
]


@pytest.mark.parametrize(("start", "line", "column", "message"), WRONG, ids=[f"{row[1][:40]}" for row in WRONG])
def test_a_wrong_line_is_named(start: str, line: str, column: int | None, message: str | None) -> None:
    text = changed(start, line)
    try:
        model = loads_toml(text, "wrong.toml")
    except DataflowError as error:
        assert error.file == "wrong.toml"
        assert error.line is not None
        if "cycle" not in str(error):
            assert error.line == line_of(GOOD, start)
        if column is not None:
            assert error.column == column
        if message is not None:
            assert message in str(error)
        assert "\n" not in str(error)
        assert str(error).startswith("wrong.toml:")
    else:
        assert message is None, f"{model} was made of {line}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("dataflow = 1\n[nodes\n", 2, "]"),
        ('dataflow = 1\nname = "x\n', 2, ""),
        ("dataflow = 1\nname = 'a'\nname = 'b'\n", 3, "twice"),
        ("dataflow = 1\n[inputs]\nx = { shape = [ }\n", 3, ""),
        ("name = 'x'\n", None, "dataflow = 1"),
        ("", None, "dataflow = 1"),
    ],
)
def test_toml_that_does_not_parse(text: str, line: int | None, message: str) -> None:
    with pytest.raises(DataflowError) as caught:
        loads_toml(text, "wrong.toml")
    assert caught.value.file == "wrong.toml"
    if line is not None:
        assert caught.value.line == line
    assert message in str(caught.value)


def test_an_expression_may_be_neither_endless_nor_bottomless() -> None:
    for expression in ("(" * 100_000, "x" + " + x" * 300_000, "-" * 5_000 + "x", "x" + " ** x" * 5_000):
        with pytest.raises(DataflowError):
            loads_toml(changed("z = ", f'z = "{expression}"'), "wrong.toml")
