"""Training on tables: the rows that are held out, their weights, and what is learned from the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import bits

import dataflow
from dataflow import DataError, Model, StopTraining, Trainer, TrainingError, train
from dataflow.cli.group import main

TOML = """dataflow = 2
[inputs]
x = {{ shape = ["n", 2] }}
y = {{ shape = ["n", 1] }}
[parameters]
W = {{ value = [[0.5, -0.5]] }}
b = {{ value = [0.0] }}
[nodes]
p = "x @ W.T + b"
loss = "mse(p, y, reduction='mean')"
[model]
outputs = ["p"]
loss = "loss"
[data]
file = "train.csv"
columns = {{ x = ["a", "b"], y = "c" }}
{data}
[train]
epochs = 4
batch_size = 5
shuffle = true
optimizer = {{ name = "adam", learning_rate = 0.05 }}
{train}
"""
RNG = np.random.default_rng(5)
ROWS = 20
A, B, C = RNG.normal(size=(3, ROWS)).round(3)
KINDS = ["red", "green", "green", "blue"] * 5
WEIGHTS = [1, 2, 0, 3] * 5


def table(columns: dict[str, Any]) -> str:
    names = list(columns)
    lines = zip(*columns.values(), strict=True)
    return "\n".join([",".join(names), *(",".join(map(str, line)) for line in lines)]) + "\n"


def net(folder: Path, data: str = "", settings: str = "", **columns: Any) -> Model:
    (folder / "net.toml").write_text(TOML.format(data=data, train=settings))
    content = {"kind": KINDS, "a": A, "b": B, "c": C, "w": WEIGHTS, **columns}
    (folder / "train.csv").write_text(table(content))
    return dataflow.load(folder / "net.toml")


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_column_of_weights(tmp_path: Path, backend: str) -> None:
    """The row as often as it weighs."""
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    options: dict[str, Any] = {"backend": backend, "batch_size": ROWS, "shuffle": False}
    model = net(tmp_path, 'weights = "w"')
    history = train(model, **options)
    (tmp_path / "twice").mkdir()
    often = {name: np.repeat(values, WEIGHTS) for name, values in {"a": A, "b": B, "c": C}.items()}
    (tmp_path / "twice" / "train.csv").write_text(table(often))
    (tmp_path / "twice" / "net.toml").write_text(TOML.format(data="", train=""))
    other = dataflow.load(tmp_path / "twice" / "net.toml")
    reference = train(other, **{**options, "batch_size": sum(WEIGHTS)})
    assert history.loss == pytest.approx(reference.loss, rel=1e-12)
    for name in ("W", "b"):
        assert model.parameters[name] == pytest.approx(other.parameters[name], rel=1e-10)
    # a trained file keeps it
    dataflow.save(model, tmp_path / "m.msgpack")
    again = dataflow.load(tmp_path / "m.msgpack")
    assert again.data is not None
    assert again.data.weights == "w"
    assert Trainer(again, **options).measure() == Trainer(model, **options).measure()


def test_weights_of_held_out_rows(tmp_path: Path) -> None:
    model = net(tmp_path, 'weights = "w"', "validation = 0.5")
    (tmp_path / "held.csv").write_text(table({"c": C[:4], "w": [0, 1, 1, 5], "b": B[:4], "a": A[:4]}))
    held = {"validation": {"file": str(tmp_path / "held.csv")}}
    for options, rows, weights in (({}, slice(10, 20), WEIGHTS[10:]), (held, slice(0, 4), [0, 1, 1, 5])):
        history = train(model, **options, fresh_optimizer=True)
        x = np.stack([A[rows], B[rows]], axis=1)
        squares = (model.run(x=x)["p"][:, 0] - C[rows]) ** 2 / 2
        assert history.metrics["validation_loss"][-1] == pytest.approx(np.average(squares, weights=weights), rel=1e-12)


def test_the_same_share_of_each_class_in_a_column(tmp_path: Path) -> None:
    model = net(tmp_path, settings='validation = { share = 0.2, stratify = "kind" }')
    trainer = Trainer(model)
    assert trainer.held_out is not None
    held = [int(np.flatnonzero(value == C)[0]) for value in trainer.held_out["y"][:, 0]]
    assert sorted(KINDS[row] for row in held) == ["blue", "green", "green", "red"]
    assert held == [16, 17, 18, 19]  # the last of each
    with pytest.raises((TrainingError, DataError), match="kin"):
        Trainer(model, validation={"share": 0.2, "stratify": "kin"})


@pytest.mark.parametrize(
    "validation",
    [
        "0.25",
        "{ share = 0.25, shuffle = true }",
        '{ share = 0.25, shuffle = true, stratify = "kind" }',
        '{ file = "held.csv" }',
    ],
)
def test_nothing_is_learned_from_what_is_held_out(tmp_path: Path, validation: str) -> None:
    """The same rows with outliers where they are held out: what is learned, and the training, are the same bits."""
    settings = f"validation = {validation}"
    data = 'standardize = ["x", "y"]\nmissing = { a = "mean" }'
    (tmp_path / "held.csv").write_text(table({"a": A[:3], "b": B[:3], "c": C[:3]}))
    cells = list(map(str, A))
    cells[1] = ""
    model = net(tmp_path, data, settings, a=cells)
    trainer = Trainer(model)
    assert trainer.held_out is not None
    fresh = net(tmp_path, data, settings, a=cells)
    train(fresh)
    if "file" in validation:
        (tmp_path / "held.csv").write_text(table({"a": [1e9] * 3, "b": B[:3], "c": C[:3]}))
        outliers = net(tmp_path, data, settings, a=cells)
    else:
        undo = model.data.learned.undo  # type: ignore[union-attr]
        targets = undo("y", trainer.held_out["y"])[:, 0]
        rows = [int(np.abs(C - value).argmin()) for value in targets]
        assert len({*rows}) == 5
        wild = [str(1e9 * (row + 1)) if row in rows and cells[row] else cells[row] for row in range(ROWS)]
        outliers = net(tmp_path, data, settings, a=wild)
    history = train(outliers)
    assert bits(outliers) == bits(fresh)
    assert outliers.data is not None
    assert fresh.data is not None
    assert outliers.data.learned.plain() == fresh.data.learned.plain()  # type: ignore[union-attr]
    assert history.metrics["validation_loss"][-1] > 1e6


def test_it_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def stop(progress: dataflow.Progress) -> None:
        if (progress.epoch, progress.batch) == (2, 2):
            raise StopTraining

    data = 'weights = "w"\nstandardize = ["x"]'
    settings = 'validation = { share = 0.2, shuffle = true, stratify = "kind" }\nearly_stopping = { patience = 2 }'
    alone, model = (net(tmp_path, data, settings) for _ in range(2))
    reference = train(alone)
    train(model, checkpoint=tmp_path / "run", on_batch=stop)
    model = net(tmp_path, data, settings)
    history = train(model, checkpoint=tmp_path / "run", resume=True)
    assert (history.loss, history.metrics) == (reference.loss, reference.metrics)
    assert bits(model) == bits(alone)


def test_the_command_line_splits_before_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = net(tmp_path, 'weights = "w"\nstandardize = ["x"]', "validation = { share = 0.25, shuffle = true }")
    history = train(model)
    monkeypatch.chdir(tmp_path)
    for words in ([], ["--data", "train.csv"]):
        done = CliRunner().invoke(main, ["train", "net.toml", "--json", *words])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["loss"] == history.loss
        assert found["metrics"]["validation_loss"] == history.metrics["validation_loss"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([-1] + [1] * 19, r"weight.*-1"),
        (["x"] + [1] * 19, r"'w'"),
        ([0] * 20, "no training example has a weight above 0"),
    ],
)
def test_weights_that_are_none(tmp_path: Path, weights: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train(net(tmp_path, 'weights = "w"', w=weights))
