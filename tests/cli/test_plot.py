"""``dataflow plot``: from trained files and checkpoint folders, and what it says of all else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner
from nets import classifier, xor

import dataflow
from dataflow import TrainingError
from dataflow.cli.group import main
from dataflow.training import History
from dataflow.training.plane import find_plane, find_regions
from dataflow.training.saving.saved_state import newest_state

XOR = str(MODELS / "xor.toml")
SHORT = {"epochs": 12, "learning_rate": 0.1}


def call(*words: str) -> Any:
    return CliRunner().invoke(main, ["plot", *words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained file, its checkpoints, and those of a run that kept its best epoch."""
    made = tmp_path_factory.mktemp("runs")
    model = dataflow.load(XOR)
    dataflow.train(model, checkpoint=made / "run", **SHORT)
    dataflow.save(model, made / "trained.msgpack")
    return made


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("source", ["trained.msgpack", "run"])
def test_the_loss_is_drawn_from_a_file_and_from_checkpoints(source: str) -> None:
    done = call(source, "--loss", "-o", "loss.svg", "--json")
    assert json.loads(done.stdout) == {"file": "loss.svg", "drawn": "loss", "epochs": 12, "warnings": []}
    assert ">epoch<" in Path("loss.svg").read_text(encoding="utf-8")


def test_nothing_is_trained_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.cli.commands.plot.train", None)
    done = call("trained.msgpack", "--boundary", "-o", "a.svg")
    assert done.stdout == "Drew the decision boundary to a.svg.\n"
    text = Path("a.svg").read_text(encoding="utf-8")
    assert all(word in text for word in (">x₁<", ">x₂<", ">ŷ<", ">label 0<", ">label 1<"))


def test_a_model_is_trained_where_that_is_asked_for(folder: Path) -> None:
    shorter = (MODELS / "xor.toml").read_text(encoding="utf-8").replace("epochs = 3000", "epochs = 12")
    (folder / "short.toml").write_text(shorter, encoding="utf-8")
    done = call("short.toml", "--train", "--loss", "-o", "b.svg", "--json")
    assert json.loads(done.stdout)["epochs"] == 12


def test_the_boundary_of_checkpoints_is_that_of_the_trained_file() -> None:
    """Of the same parameters, so that the pictures are the same bytes."""
    call("trained.msgpack", "--boundary", "-o", "c.svg")
    done = call(XOR, "--checkpoint", "run", "--boundary", "-o", "d.svg")
    assert (done.exit_code, done.stderr) == (0, "")
    assert Path("c.svg").read_bytes() == Path("d.svg").read_bytes()


def test_a_checkpoint_gives_the_parameters_of_the_best_epoch(tmp_path: Path) -> None:
    model = classifier()
    stopping = {"validation": 0.4, "early_stopping": {"patience": 3}}
    history = dataflow.train(model, epochs=60, learning_rate=0.3, checkpoint=tmp_path, **stopping)
    assert history.best_epoch is not None
    assert history.best_epoch < history.epochs
    found = newest_state(tmp_path).parameters(classifier())
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in model.parameters.items()
    }


def test_a_torn_checkpoint_is_left_out(tmp_path: Path) -> None:
    model = dataflow.load(XOR)
    dataflow.train(model, checkpoint=tmp_path, **SHORT)
    newest = newest_state(tmp_path).path
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.warns(dataflow.DataflowWarning, match="the checkpoint before it is taken"):
        assert newest_state(tmp_path).history.epochs == 11


def test_the_boundary_is_where_the_labels_meet() -> None:
    """The weights S2 compute ŷ = relu(x₀ + x₁) − 2 relu(x₀ + x₁ − 1), which is ½ where x₀ + x₁ is ½ and 3/2."""
    model = xor("S2")
    plane = find_plane(model)
    assert not isinstance(plane, str)
    regions = find_regions(model, plane, model.feed(None)[0], [model.parameters], 101)
    field = regions.fields[0].reshape(101, 101)
    (left, right), (bottom, top) = regions.bounds
    along, up = np.meshgrid(np.linspace(left, right, 101), np.linspace(bottom, top, 101))
    between = (along + up > 0.5 + 1e-9) & (along + up < 1.5 - 1e-9)
    assert regions.threshold == 0.5
    assert ((field > 0.5 + 1e-12) == between).all()


LOSSES = [[0.5, 1e-8, 1e-31, 0.0], [0.0, 0.0], [1.0, 5e-324], [1e300, 1e-300], [1.7e308, -1.7e308], [1e-31] * 3]


@pytest.mark.parametrize(
    "losses", [pytest.param(losses, marks=pytest.mark.slow if i else (), id=str(i)) for i, losses in enumerate(LOSSES)]
)
def test_any_losses_are_drawn(losses: list[float], tmp_path: Path) -> None:
    History(len(losses), losses).plot(tmp_path / "a.svg")
    logarithmic = "mathdefault{10^{" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert logarithmic == (min(losses) >= 0 and max(losses) > 20 * min([x for x in losses if x] or [1]))


WRONG = [
    (["trained.msgpack", "-o", "x.png"], 2, "say what to draw: either --loss or --boundary"),
    (["trained.msgpack", "--loss", "--boundary", "-o", "x.png"], 2, "either --loss or --boundary"),
    (["trained.msgpack", "--loss", "-o", "x.gif"], 1, "x.gif: pictures end in .png, .svg or .pdf"),
    (["trained.msgpack", "--loss", "--train", "-o", "x.png"], 2, "has been trained, and keeps its losses; leave out"),
    (["run", "--loss", "--train", "-o", "x.png"], 2, "from checkpoints nothing is trained"),
    ([XOR, "--loss", "-o", "x.png"], 1, "has no losses: the file that dataflow train MODEL -o FILE writes has them"),
    (["run", "--boundary", "-o", "x.png"], 1, "name the model too: dataflow plot MODEL --checkpoint run --boundary"),
    (["run", "--checkpoint", "run", "--loss", "-o", "x.png"], 2, "give the model's file beside --checkpoint DIR"),
    ([".", "--loss", "-o", "x.png"], 1, "is the folder of a sweep; choose one of its runs: 'run'"),
    (["run/..", "--boundary", "--loss", "-o", "x.png"], 2, "either --loss or --boundary"),
    ([str(MODELS / "digits.toml"), "--boundary", "-o", "x.png"], 1, "needs 'x' of shape (n, 64), not two floats"),
    ([str(MODELS / "wine.toml"), "--checkpoint", "run", "--loss", "-o", "x.png"], 1, "with another model than 'wine'"),
    (["nothing.msgpack", "--loss", "-o", "x.png"], 1, "nothing.msgpack: "),
    (["trained.msgpack", "--loss", "-o", "nowhere/x.png"], 1, "there is no folder 'nowhere'"),
]


@pytest.mark.parametrize(("words", "status", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_use_is_told(words: list[str], status: int, text: str) -> None:
    done = call(*words)
    assert (done.exit_code, text in done.stderr) == (status, True), done.stderr
    assert not Path("x.png").exists()
    if status == 1:
        assert done.stderr.count("\n") == 1


def test_a_folder_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no checkpoints; dataflow train MODEL --checkpoint DIR makes them"):
        newest_state(tmp_path)


@pytest.mark.parametrize("standardized", [["x"], ["x", "y"], []])
def test_axes_say_where_numbers_are_standardized(
    standardized: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model sees is drawn, under the columns' names: a width of −1.2 is none."""
    pytest.importorskip("matplotlib")
    (tmp_path / "t.csv").write_text("width,height,price\n1,2,10\n2,1,20\n4,5,40\n5,5,60\n6,1,70\n9,2,90\n12,7,99\n")
    (tmp_path / "m.toml").write_text(
        'dataflow = 2\ninputs = { x = { shape = ["n", 2] }, y = { shape = ["n", 1] } }\n'
        'parameters.w = { value = [[0.5], [0.1]] }\nnodes = { p = "x @ w", loss = "mse(p, y)" }\n'
        'model = { outputs = ["p"], loss = "loss" }\n[data]\nfile = "t.csv"\n'
        f'columns = {{ x = ["width", "height"], y = "price" }}\nstandardize = {standardized}\n'
    )
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plot", "m.toml", "--train", "--boundary", "-o", "b.svg"])
    assert result.exit_code == 0, result.output
    drawn = (tmp_path / "b.svg").read_text()
    for name, text in (("x", "width"), ("x", "height"), ("y", "p")):
        assert (f">{text} (standardized)<" in drawn) == (name in standardized)
        assert (f">{text}<" in drawn) == (name not in standardized)
