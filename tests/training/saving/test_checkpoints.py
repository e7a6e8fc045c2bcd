"""Checkpoints: a run that was stopped anywhere, by anything, ends bit for bit like one that was left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nets import bits, classifier, xor

from dataflow import ArgumentError, DataflowWarning, Graph, Model, TrainingError, TrainSettings
from dataflow.files.msgpack.container import read_container, write_container
from dataflow.ops import mse
from dataflow.training import StopTraining, Trainer, train
from dataflow.training.saving.checkpoints import Checkpoints, model_digest

OPTIMIZERS = [{"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}, {"name": "adam", "learning_rate": 0.05}]


def settings(optimizer=OPTIMIZERS[0], **changes):
    given = {"epochs": 5, "batch_size": 8, "shuffle": True, "validation": 0.1, **changes}
    return TrainSettings(optimizer, **given)


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name != "lock")


def stop_at(epoch, batch):
    def stop(progress):
        if (progress.epoch, progress.batch) == (epoch, batch):
            raise StopTraining

    return stop


# ------------------------------------------------------------------------------------------------ going on


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda options: options["name"])
@pytest.mark.parametrize("stops", [[(1, 1)], [(3, 6)], [(2, 3), (2, 5), (4, 1)]])
def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(tmp_path, optimizer, stops):
    alone = classifier(train=settings(optimizer))
    expected = train(alone)
    for i, (epoch, batch) in enumerate(stops):
        model = classifier(train=settings(optimizer))
        history = train(model, checkpoint=tmp_path, resume=i > 0, on_batch=stop_at(epoch, batch))
        assert history.interrupted
        finished, rest = (epoch, 0) if batch == 6 else (epoch - 1, batch)
        assert history.checkpoint == tmp_path / f"checkpoint-{finished:06d}-{rest:06d}.msgpack"
        assert model.training["state"]["float64"].keys() > {"names"}
    model = classifier(train=settings(optimizer))
    history = train(model, checkpoint=tmp_path, resume=True)
    assert bits(model) == bits(alone)
    assert (history.loss, history.metrics, history.interrupted) == (expected.loss, expected.metrics, False)
    assert repr(model.training) == repr(alone.training)
    assert names(tmp_path)[1:] == ["checkpoint-000004-000000.msgpack", "checkpoint-000005-000000.msgpack"]
    assert len(names(tmp_path)) == 3


def test_a_finished_run_can_be_lengthened(tmp_path):
    train(classifier(train=settings(epochs=2)), checkpoint=tmp_path)
    model, alone = classifier(train=settings()), classifier(train=settings())
    assert train(model, checkpoint=tmp_path, resume=True).loss == train(alone).loss
    assert bits(model) == bits(alone)
    again = classifier(train=settings())
    history = train(again, epochs=3, checkpoint=tmp_path, resume=True)
    assert (history.epochs, bits(again)) == (5, bits(alone))


def test_what_is_in_a_checkpoint(tmp_path):
    model = classifier(train=settings())
    train(model, checkpoint=tmp_path, on_batch=stop_at(2, 2))
    container = read_container(tmp_path / "checkpoint-000001-000002.msgpack", mapped=False)
    assert {key: container.header[key] for key in ("checkpoint", "epoch", "batch", "steps")} == {
        "checkpoint": 1,
        "epoch": 1,
        "batch": 2,
        "steps": 8,
    }
    assert container.header["settings"]["optimizer"]["momentum"] == 0.9
    assert len(container.header["loss"]) == 1
    start = [f"start.{name}" for name in model.parameters]
    assert list(container.tensors) == ["float64.parameters", "float64.velocity", *start]
    assert container.tensors["float64.parameters"].tobytes() == b"".join(
        model.parameters[name].tobytes() for name in container.header["names"][0]
    )


def test_a_run_that_began_with_other_parameters_remembers_them(tmp_path):
    def model(first):
        result = classifier(train=settings())
        if first:
            result.parameters["b1"] = np.arange(8.0)
        return result

    alone, resumed = model(True), model(False)
    train(alone)
    train(model(True), checkpoint=tmp_path, on_batch=stop_at(2, 3))
    train(resumed, checkpoint=tmp_path, resume=True)
    assert bits(resumed) == bits(alone)
    assert resumed.training["start"]["b1"].tolist() == list(range(8))
    assert repr(resumed.training) == repr(alone.training)


def test_both_dtypes_are_kept(tmp_path):
    def model():
        graph = Graph("mixed")
        x, y = graph.input("x", ("n",)), graph.input("y", ("n",))
        a, b = graph.parameter("a", value=1.0, dtype="float32"), graph.parameter("b", value=2.0)
        graph.node("loss", mse(a * x + b, y))
        return Model(graph, loss="loss", train=settings(validation=0, batch_size=2))

    data = {"x": [0.1, 0.2, 0.3], "y": [0.3, 0.1, 0.2]}
    alone, first, second = model(), model(), model()
    train(alone, data)
    train(first, data, checkpoint=tmp_path, on_batch=stop_at(3, 1))
    train(second, data, checkpoint=tmp_path, resume=True)
    assert bits(second) == bits(alone) != bits(first)


def test_resuming_where_there_is_nothing_starts_from_the_beginning(tmp_path):
    model, alone = classifier(), classifier()
    train(alone)
    with pytest.warns(DataflowWarning, match="there is no checkpoint yet; training starts from the beginning"):
        train(model, checkpoint=tmp_path / "new" / "folder", resume=True)
    assert bits(model) == bits(alone)


# ------------------------------------------------------------------------------------------------ how many, how often


def positions(folder):
    """Epochs and minibatches of the checkpoints that there are."""
    return [tuple(map(int, name[:-8].split("-")[1:])) for name in names(folder)]


@pytest.mark.parametrize("keep", [1, 2, 100])
def test_how_many_are_kept(tmp_path, keep):
    train(classifier(train=settings()), checkpoint=tmp_path, keep=keep)
    assert positions(tmp_path) == [(epoch, 0) for epoch in range(6)][-keep:]


def test_checkpoints_within_an_epoch(tmp_path):
    model, alone = classifier(train=settings()), classifier(train=settings())
    expected = train(alone)
    train(model, checkpoint=tmp_path, checkpoint_every=4, keep=100)  # an epoch has 6 minibatches
    assert positions(tmp_path) == [(step // 6, step % 6) for step in (*range(0, 30, 4), 30)]
    assert bits(model) == bits(alone)
    for last in (14, 8):
        for name in names(tmp_path)[last // 4 + 1 :]:
            (tmp_path / name).unlink()
        again = classifier(train=settings())
        history = train(again, checkpoint=tmp_path, checkpoint_every=4, keep=100, resume=True)
        assert bits(again) == bits(alone)
        assert history.loss == expected.loss


def test_checkpoints_less_often_than_epochs(tmp_path):
    train(classifier(train=settings()), checkpoint=tmp_path, checkpoint_every=13, keep=100)
    assert positions(tmp_path) == [(0, 0), (2, 1), (4, 2), (5, 0)]


def test_what_is_saved_is_not_saved_again(tmp_path, monkeypatch):
    written = []

    def write(path, *content):
        written.append(path.name)
        path.touch()

    monkeypatch.setattr("dataflow.training.saving.checkpoints.write_container", write)
    history = train(classifier(train=settings()), checkpoint=tmp_path, on_batch=stop_at(2, 6))
    assert (history.epochs, history.interrupted) == (2, True)
    assert len(written) == len(set(written)) == 3


@pytest.mark.parametrize("keep", [1, 3])
def test_a_torn_one_does_not_count_among_those_that_are_kept(tmp_path, keep):
    alone = classifier(train=settings())
    train(alone)
    train(classifier(train=settings()), checkpoint=tmp_path, on_batch=stop_at(3, 2))
    torn = tmp_path / "checkpoint-000002-000002.msgpack"
    torn.write_bytes(torn.read_bytes()[:-1])
    model = classifier(train=settings())
    with pytest.warns(DataflowWarning, match="is left out"):
        train(model, checkpoint=tmp_path, resume=True, keep=keep, on_batch=stop_at(3, 1))
    assert not torn.exists()
    assert positions(tmp_path) == [(0, 0), (1, 0), (2, 0), (2, 1)][-keep:]
    model = classifier(train=settings())
    train(model, checkpoint=tmp_path, resume=True, keep=keep)
    assert bits(model) == bits(alone)
    assert len(names(tmp_path)) == keep


@pytest.mark.parametrize("given", [{"keep": 0}, {"keep": 1.5}, {"checkpoint_every": 0}, {"checkpoint_every": "2"}])
def test_numbers_of_checkpoints_that_cannot_be(tmp_path, given):
    with pytest.raises((TrainingError, ArgumentError), match=f"{next(iter(given))} (is|takes) a whole number"):
        train(xor(), checkpoint=tmp_path / "new", **given)
    assert not (tmp_path / "new").exists()


# ------------------------------------------------------------------------------------------------ refusals


def test_a_folder_with_checkpoints_is_not_written_over(tmp_path):
    train(xor(), checkpoint=tmp_path)
    before = names(tmp_path)
    with pytest.raises(TrainingError, match=r"has checkpoints of an earlier run; go on with it by resume=True"):
        train(xor(), checkpoint=tmp_path)
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.1}, "was made with learning_rate = 0.05, and this run has 0.1; use the same"),
        ({"optimizer": "adam"}, "was made with beta1 = none, and this run has 0.9"),
        ({"batch_size": 4}, "was made with batch_size = 8, and this run has 4"),
        ({"shuffle": False}, "was made with shuffle = true, and this run has false"),
        ({"seed": 1}, "was made with seed = 0, and this run has 1"),
        ({"validation": 0.2}, "was made with other data"),
        ({"data": {"x": np.zeros((50, 4)), "y": np.zeros((50, 3))}}, "was made with other data"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    train(classifier(train=settings(epochs=1)), checkpoint=tmp_path)
    with pytest.raises(TrainingError, match=rf"checkpoint-000001-000000\.msgpack: {message}") as caught:
        train(classifier(train=settings()), checkpoint=tmp_path, resume=True, **change)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    train(xor(), checkpoint=tmp_path)
    with pytest.raises(TrainingError, match=r"was made with another model \(its graph differs\)"):
        train(xor(reduction="mean"), checkpoint=tmp_path, resume=True)
    digests = {model_digest(m.graph, "loss") for m in (xor(), xor("S1"), xor(reduction="mean"), xor(dtype="float32"))}
    assert len(digests) == 3  # weights are no part of it


def test_another_backend_goes_on_with_a_warning(tmp_path):
    train(xor(), checkpoint=tmp_path)
    path = tmp_path / "checkpoint-000001-000000.msgpack"
    container = read_container(path, mapped=False)
    container.header["settings"]["backend"] = "llvm"
    write_container(path, container.header, container.tensors)
    with pytest.warns(DataflowWarning, match="was made by the backend 'llvm'; bits may differ with 'numpy'"):
        assert train(xor(), checkpoint=tmp_path, resume=True).epochs == 1


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint": 2},
        {"checkpoint": None},
        {"epoch": -1},
        {"epoch": "1"},
        {"batch": 1},
        {"steps": 1.5},
        {"loss": []},
        {"loss": [None]},
        {"metrics": []},
        {"metrics": {"accuracy": [1]}},
        {"metrics": {"accuracy": [1.0]}},
        {"metrics": {}, "loss": [1]},
        {"names": [["W1", "b1", "b2", "W2"]]},
        {"settings": []},
        {"model": 0},
    ],
    ids=str,
)
def test_a_whole_file_that_is_no_checkpoint_is_refused(tmp_path, change):
    train(xor(), checkpoint=tmp_path)
    path = tmp_path / "checkpoint-000001-000000.msgpack"
    container = read_container(path, mapped=False)
    write_container(path, {**container.header, **change}, container.tensors)
    model = xor()
    before = bits(model)
    with pytest.raises(TrainingError, match=r"checkpoint-000001-000000\.msgpack: "):
        train(model, checkpoint=tmp_path, resume=True)
    assert bits(model) == before


def test_tensors_that_do_not_fit_are_refused(tmp_path):
    train(xor(), checkpoint=tmp_path)
    path = tmp_path / "checkpoint-000001-000000.msgpack"
    container = read_container(path, mapped=False)
    for tensors in ({}, {"float64.parameters": np.zeros(8)}, {"float64.parameters": np.zeros(9, "f4")}):
        write_container(path, container.header, {**container.tensors, **tensors} if tensors else {})
        with pytest.raises(TrainingError, match="does not hold what a checkpoint of this run holds"):
            train(xor(), checkpoint=tmp_path, resume=True)


def test_two_runs_on_one_folder(tmp_path):
    with (
        Checkpoints(tmp_path, Trainer(xor())),
        pytest.raises(TrainingError, match="another run uses this folder for its checkpoints"),
    ):
        train(xor(), checkpoint=tmp_path)
    assert train(xor(), checkpoint=tmp_path).epochs == 1  # the lock is free again


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be made a folder for checkpoints"):
        train(xor(), checkpoint=tmp_path / "file")


# ------------------------------------------------------------------------------------------------ torn files


def damaged(whole: bytes, every: int):
    for end in range(0, len(whole), every):
        yield whole[:end]
    for place in range(0, len(whole), every):
        yield whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
    yield whole + b"\0"


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_never_used(tmp_path, every):
    model = xor(train=settings(validation=0, epochs=2))
    train(model, checkpoint=tmp_path)
    good = read_container(tmp_path / "checkpoint-000001-000000.msgpack").tensors["float64.parameters"].tobytes()
    newest = tmp_path / "checkpoint-000002-000000.msgpack"
    count = 0
    for content in damaged(newest.read_bytes(), every):
        newest.write_bytes(content)
        trainer = Trainer(model)
        with (
            Checkpoints(tmp_path, trainer) as checkpoints,
            pytest.warns(DataflowWarning, match=r"checkpoint-000002-000000\.msgpack: .*; this checkpoint is left out"),
        ):
            history = checkpoints.begin(resume=True)
        assert (history.epochs, trainer.batches.epoch) == (1, 1)
        assert trainer.vectors.groups[0].parameters.tobytes() == good
        count += 1
    assert count > 50


def test_a_run_goes_on_from_the_one_before_a_torn_checkpoint(tmp_path):
    alone = classifier(train=settings())
    train(alone)
    train(classifier(train=settings(epochs=3)), checkpoint=tmp_path)
    torn = tmp_path / "checkpoint-000003-000000.msgpack"
    torn.write_bytes(torn.read_bytes()[:-1])
    (tmp_path / ".dataflow-0123456789abcdef.tmp").write_bytes(b"left by a run that was killed")
    model = classifier(train=settings())
    with pytest.warns(DataflowWarning, match="is left out, the one before it is tried"):
        train(model, checkpoint=tmp_path, resume=True)
    assert bits(model) == bits(alone)
    assert len(names(tmp_path)) == 3


def test_no_good_checkpoint_at_all(tmp_path):
    train(xor(), checkpoint=tmp_path)
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"")
    with (
        pytest.warns(DataflowWarning, match="this checkpoint is left out"),
        pytest.raises(TrainingError, match="has no checkpoint that can be read"),
    ):
        train(xor(), checkpoint=tmp_path, resume=True)
