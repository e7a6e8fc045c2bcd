"""Which examples are held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import bits, classifier

import dataflow
from dataflow import DataError, DataflowWarning, Graph, Model, StopTraining, Trainer, TrainingError, train
from dataflow.cli.group import main
from dataflow.data.split import split_rows
from dataflow.ops import mse

BACKENDS = ["numpy", "llvm"]
KINDS = np.array(list("aaaaaaaaaabbbbbcccccddddd"), dtype=object)  # 10, 5, 5 and 5


def parts(validation: Any, count: int = 25, seed: int = 0, column: np.ndarray = KINDS) -> tuple[list[int], list[int]]:
    rows = split_rows(count, validation, seed, lambda name: column[:count])
    training, held = (np.arange(count)[part].tolist() for part in rows)
    assert sorted(training + held) == list(range(count))
    assert training == sorted(training)
    assert held == sorted(held)
    return training, held


def test_a_share_from_the_end_is_a_view() -> None:
    for validation in (0.1, {"share": 0.1}, {"share": 0.1, "shuffle": False}):
        assert split_rows(25, validation, 0, KINDS.__getitem__) == (slice(0, 22), slice(22, 25))  # 2.5, rounded up
    assert split_rows(25, 0.0, 0, KINDS.__getitem__) == (slice(0, 25), slice(25, 25))


def test_a_share_that_is_drawn() -> None:
    drawn = {"share": 0.4, "shuffle": True}
    first = parts(drawn)
    assert len(first[1]) == 10
    assert first[1] != list(range(15, 25))
    assert parts(drawn) == first
    assert parts(drawn, seed=1) != first
    # every row is held out as often, within five deviations of the binomial distribution
    often = np.bincount(np.concatenate([parts(drawn, seed=seed)[1] for seed in range(1000)]), minlength=25)
    assert abs(often - 400).max() < 5 * np.sqrt(1000 * 0.4 * 0.6)


def test_it_is_not_the_order_of_an_epoch() -> None:
    order = np.random.default_rng(np.random.SeedSequence([0, 1])).permutation(25)
    assert parts({"share": 0.4, "shuffle": True})[1] != sorted(order[15:].tolist())


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_class_in_the_same_share(shuffle: bool) -> None:
    _, held = parts({"share": 0.2, "stratify": "kind", "shuffle": shuffle})
    assert "".join(KINDS[held]) == "aabcd"
    if not shuffle:
        assert held == [8, 9, 14, 19, 24]  # the last of each
    _, held = parts({"share": 0.3, "stratify": "kind", "shuffle": shuffle})  # 8 = 3.2 + 1.6 + 1.6 + 1.6
    assert "".join(KINDS[held]) == "aaabbccd"  # of equal remainders the first classes


def test_one_of_each_class_stays() -> None:
    column = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    training, held = parts({"share": 0.8, "stratify": "kind"}, 8, column=column)
    assert {*column[training]} == {0, 1, 2}
    assert held == [1, 2, 3, 4, 6]


def test_classes_as_rows_of_an_input(tmp_path: Path) -> None:
    model = classifier()  # y are one-hot rows of three classes
    trainer = Trainer(model, validation={"share": 0.2, "stratify": "y", "shuffle": True})
    assert trainer.held_out is not None
    everything = np.concatenate([trainer.batches.everything()["y"], trainer.held_out["y"]])
    share = trainer.held_out["y"].sum(axis=0) / everything.sum(axis=0)
    assert abs(share - 0.2).max() < 0.05
    assert len(trainer.held_out["y"]) == 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_drawn_validation_goes_on_bit_for_bit(backend: str, tmp_path: Path) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")

    def stop(progress: dataflow.Progress) -> None:
        if (progress.epoch, progress.batch) == (2, 3):
            raise StopTraining

    settings: dict[str, Any] = {"validation": {"share": 0.3, "shuffle": True, "stratify": "y"}, "backend": backend}
    alone, model = classifier(), classifier()
    reference = train(alone, **settings)
    train(model, checkpoint=tmp_path, on_batch=stop, **settings)
    model = classifier()
    history = train(model, checkpoint=tmp_path, resume=True, **settings)
    assert (history.loss, history.metrics) == (reference.loss, reference.metrics)
    assert bits(model) == bits(alone)
    with pytest.raises(TrainingError, match="was made with other data"):
        train(classifier(), checkpoint=tmp_path, resume=True, **(settings | {"validation": 0.3}))


# ------------------------------------------------------------------------------------------------ a file of its own

TOML = """dataflow = 1
[inputs]
x = { shape = ["n", 2] }
y = { shape = ["n", 1] }
[parameters]
W = { value = [[0.5, -0.5]] }
[nodes]
loss = "mse(x @ W.T, y, reduction='mean')"
[model]
loss = "loss"
[data]
file = "train.csv"
columns = { x = "a:b", y = "c" }
[train]
epochs = 2
validation = { file = "held-out.csv" }
"""
HELD = "b,a,c\n1,2,3\n0,1,-1\n4,0,1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.toml").write_text(TOML)
    (tmp_path / "models" / "train.csv").write_text("a,b,c\n1,2,0\n3,1,1\n")
    (tmp_path / "models" / "held-out.csv").write_text(HELD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected(model: Model) -> float:
    x, y = np.array([[2, 1], [1, 0], [0, 4]]), np.array([[3], [-1], [1]])
    return float(((x @ model.parameters["W"].T - y) ** 2).sum() / 6)


def test_a_file_that_the_model_declares_lies_beside_it(folder: Path) -> None:
    model = dataflow.load("models/net.toml")
    history = train(model)
    assert history.metrics["validation_loss"][-1] == pytest.approx(expected(model), rel=1e-12)
    assert len(Trainer(model).batches.everything()["x"]) == 2  # all of the training table is trained on
    dataflow.save(model, "models/trained.msgpack")
    again = dataflow.load("models/trained.msgpack")
    assert again.train_settings.validation == {"file": "held-out.csv"}
    assert Trainer(again).measure() == Trainer(model).measure()


def test_a_file_that_the_user_names_lies_anywhere(folder: Path) -> None:
    (folder / "models" / "held-out.csv").rename("other.csv")
    model = dataflow.load("models/net.toml")
    history = train(model, validation={"file": "other.csv"})
    assert history.metrics["validation_loss"][-1] == pytest.approx(expected(model), rel=1e-12)
    done = CliRunner().invoke(main, ["train", "models/net.toml", "--validation.file=other.csv"])
    assert "final: loss" in done.stdout
    assert f"validation loss {history.metrics['validation_loss'][-1]:.12g}" in done.stdout
    done = CliRunner().invoke(main, ["train", "models/net.toml"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: models/held-out.csv: ")


@pytest.mark.parametrize("ending", ["toml", "msgpack"])
def test_a_model_that_is_saved_elsewhere(folder: Path, ending: str) -> None:
    model = dataflow.load("models/net.toml")
    dataflow.save(model, f"above.{ending}")
    above = dataflow.load(f"above.{ending}")
    assert above.train_settings.validation == {"file": "models/held-out.csv"}
    assert Trainer(above).measure() == Trainer(model).measure()
    (folder / "elsewhere").mkdir()
    with pytest.warns(DataflowWarning) as said:
        dataflow.save(model, f"elsewhere/net.{ending}")
    assert "'held-out.csv' does not lie in the folder of the new file" in str(said[-1].message)
    assert "name it with --validation.file, or put it there" in str(said[-1].message)
    assert dataflow.load(f"elsewhere/net.{ending}").train_settings.validation == 0.0


def test_a_held_out_file_without_targets(folder: Path) -> None:
    (folder / "models" / "held-out.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"held-out\.csv.*'c'"):
        train(dataflow.load("models/net.toml"))


def test_a_held_out_file_outside_the_folder(folder: Path) -> None:
    (folder / "models" / "held-out.csv").rename("other.csv")
    (folder / "models" / "net.toml").write_text(TOML.replace("held-out.csv", "../other.csv"))
    with pytest.raises(DataError, match=r"'\.\./other\.csv' lies outside the folder of its model"):
        train(dataflow.load("models/net.toml"))


def test_another_share_on_the_command_line(folder: Path) -> None:
    words = ["train", "models/net.toml", "--data", "models/train.csv", "--validation.share=0.3"]
    for given, shuffle in (
        (["--validation.shuffle=true"], True),
        (["--validation.shuffle", "false"], False),
        (["--validation.shuffle"], True),
    ):
        done = CliRunner().invoke(main, [*words, *given, "-o", "t.msgpack"])
        assert done.exit_code == 0, done.output
        assert dataflow.load("t.msgpack").training["validation"] == {"share": 0.3, "shuffle": shuffle}


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"share": 0.5, "stratify": "z"}, "stratify: there is no column 'z'"),
        ({"share": 0.5, "stratify": "x"}, "stratify takes a column of classes; 'x' has 50 different values in 50 rows"),
        ({"share": 0.99}, "validation = 0.99 holds out 50 of 50 examples and leaves none to train on"),
        ({"shuffle": True}, "validation takes one of share and file"),
        ({"share": 0.5, "file": "x.csv"}, "validation takes one of share and file"),
        ({"file": "x.csv", "shuffle": True}, "validation: file stands alone"),
        ({"share": 1}, "validation.share is a share from 0"),
    ],
)
def test_what_cannot_be(validation: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(classifier(), validation=validation)


def test_a_declared_file_without_declared_data() -> None:
    graph = Graph("net")
    graph.node("loss", mse(graph.input("x", ("n",)) * graph.parameter("w", value=1.0), graph.input("y", ("n",))))
    model = Model(graph, loss="loss", train=dataflow.TrainSettings(validation={"file": "held.csv"}))
    with pytest.raises(TrainingError, match="'held.csv' lies beside the data of the model, which declares none"):
        train(model, {"x": [1.0], "y": [2.0]})


@pytest.mark.parametrize("declared", ["0.3", "{ share = 0.3, shuffle = true }", '{ share = 0.3, stratify = "y" }'])
def test_a_file_takes_the_place_of_a_declared_share(
    declared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands alone, and so does what is given in its place."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(10)), encoding="utf-8")
    Path("m.toml").write_text(
        "dataflow = 2\ninputs.x.shape = ['n']\ninputs.y.shape = ['n']\nparameters.w.value = 0.1\n"
        "nodes.loss = 'mse(x * w, y)'\nmodel.loss = 'loss'\ndata.file = 't.csv'\n"
        f"train.optimizer = {{ name = 'sgd', learning_rate = 1e-4 }}\ntrain.validation = {declared}\n",
        encoding="utf-8",
    )
    for path, given, expected in (
        ("m.toml", "--validation.file=t.csv", {"file": "t.csv"}),
        ("file.toml", "--validation.share=0.2", {"share": 0.2}),
    ):
        done = CliRunner().invoke(main, ["train", path, given, "-o", "t.msgpack"])
        assert done.exit_code == 0, done.output
        assert dataflow.load("t.msgpack").training["validation"] == expected
        text = Path("m.toml").read_text(encoding="utf-8")
        Path("file.toml").write_text(text.replace(declared, '{ file = "t.csv" }'), encoding="utf-8")
