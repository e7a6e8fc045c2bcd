"""Flags and numbers of options: what has another type is an error for every way in, never taken for something else."""

from __future__ import annotations

import copy
import inspect
import json

import numpy as np
import pytest
from click.testing import CliRunner
from nets import xor

import dataflow
from dataflow import DataflowError, Model, TrainSettings, ops
from dataflow.cli.group import main
from dataflow.errors import nearest
from dataflow.files.msgpack.container import read_container, write_container
from dataflow.files.toml.read import loads_toml
from dataflow.model.train_settings import options_of
from dataflow.registry import registry
from dataflow.training.sweep import sweep

# For each option what is none of its type, and one that is.
WHOLE = ["3", 3.0, 2.5, True, [3], float("nan"), -1]
SHARE = ["0.5", True, 1, 1.5, -0.1, float("nan"), [0.5]]
FLAG = ["false", "true", "", 0, 1, 1.0, [], [True]]
WRONG = {"epochs": WHOLE, "batch_size": [*WHOLE, 0], "seed": WHOLE, "validation": SHARE, "shuffle": FLAG}
RIGHT = {"epochs": [1, np.int64(1)], "batch_size": [2, np.int32(2)], "seed": [0, np.uint8(0)]}
RIGHT |= {"validation": [0, 0.5, np.float32(0.5)], "shuffle": [True, False, np.True_]}
OPTIMIZER = {
    "learning_rate": ["0.1", True, [0.1], float("nan"), -1],
    "momentum": ["0.9", True, [0.9]],
    "nesterov": FLAG,
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]
OPTIMIZER_CASES = [(name, value) for name, values in OPTIMIZER.items() for value in values]


def toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else repr(value)


def declared(section: str) -> str:
    return f'dataflow = 1\n[parameters]\nw = {{ value = [1.0] }}\n[nodes]\ny = "sum(w)"\n[train]\n{section}\n'


@pytest.mark.parametrize(("name", "value"), CASES)
def test_options_of_training(name, value, tmp_path):
    calls = [
        lambda: TrainSettings(**{name: value}),
        lambda: dataflow.train(xor(), **{"epochs": 1, name: value}),
        lambda: loads_toml(declared(f"{name} = {toml(value)}")),
        lambda: dataflow.load(altered(tmp_path, name, value)),
    ]
    if name != "epochs":
        calls.append(lambda: dataflow.Trainer(xor(), **{name: value}))
    for call in calls:
        with pytest.raises(DataflowError, match=rf"(?s){name}.* (is|takes) "):
            call()


@pytest.mark.parametrize(("name", "value"), OPTIMIZER_CASES)
def test_options_of_an_optimizer(name, value):
    for call in (
        lambda: dataflow.train(xor(), optimizer={"name": "sgd", name: value}),
        lambda: loads_toml(declared(f'optimizer = {{ name = "sgd", {name} = {toml(value)} }}')),
    ):
        with pytest.raises(DataflowError, match=rf"{name}'? (is|takes) "):
            call()


def altered(folder, name, value):
    """A msgpack file in which one option has another value."""
    path = folder / "m.msgpack"
    dataflow.save(xor(), path)
    found = read_container(path)
    header = copy.deepcopy(dict(found.header))
    header["train"][name] = value
    write_container(path, header, found.tensors)
    return path


@pytest.mark.parametrize("name", RIGHT)
def test_options_that_are_right(name):
    for value in RIGHT[name]:
        model = xor()
        dataflow.train(model, **{"epochs": 1, name: value})
        assert getattr(TrainSettings(**{name: value}), name) == value
        if name != "epochs":
            assert model.training[name] == value
            assert type(model.training[name]) in (int, float, bool)


@pytest.mark.parametrize("name", ["resume", "keep", "checkpoint_every"])
@pytest.mark.parametrize("value", ["false", "3", 2.5, [1]])
def test_options_of_checkpoints(name, value, tmp_path):
    with pytest.raises(DataflowError, match=f"{name} (is|takes) "):
        dataflow.train(xor(), epochs=1, checkpoint=tmp_path / "c", **{name: value})


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "1.5"],
        ["--epochs", "true"],
        ["--batch-size", "2.0"],
        ["--learning-rate", "fast"],
        ["--learning-rate", "nan"],
        ["--seed", "-1"],
        ["--resume=false"],
        ["--optimizer", '{"name": "sgd", "nesterov": "false"}'],
        ["--optimizer", '{"name": "sgd", "momentum": "0.9"}'],
        ["--optimizer", '{"name": "sgd", "learning_rate": 1e999}'],
    ],
    ids=" ".join,
)
def test_options_on_the_command_line(words, tmp_path):
    dataflow.save(xor(), tmp_path / "m.msgpack")
    model, out = tmp_path / "m.msgpack", tmp_path / "out.msgpack"
    result = CliRunner().invoke(main, ["train", str(model), "-o", str(out), *words])
    assert result.exit_code in (1, 2)
    assert words[0].partition("=")[0].strip("-").replace("-", "_") in result.stderr.replace("-", "_")
    assert not out.exists()


def test_an_op_is_found_whatever_its_case():
    for name in registry.all_ops():
        assert nearest(name.upper(), registry.all_ops()) == f"; did you mean '{name}'?"


def test_an_option_is_found_whatever_its_case():
    result = CliRunner().invoke(main, ["run", "m.toml", "--DATA", "x.csv"])
    assert "--data" in result.stderr.partition("did you mean")[2]
    result = CliRunner().invoke(main, ["run", "m.toml", "--OF", "x"])
    assert "--of" in result.stderr.partition("did you mean")[2]


UNSET = {
    "batch_size": 3,
    "validation": 0.25,
    "metrics": ["rmse"],
    "early_stopping": {"patience": 1, "min_delta": 100.0},
    "schedule": {"name": "step", "every": 1},
    "accumulate": 2,
    "clip": {"norm": 0.001},
    "frozen": ["W1"],
}
"""For each option that a run may do without, what makes another run where a file declares it."""


def mean_of_a_line(**declared):
    return Model(line(), outputs=["p"], loss="loss", train=TrainSettings(epochs=4, **declared))


def line():
    graph = dataflow.Graph("line")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n",))
    first, second = graph.parameter("W1", (2,), init="normal"), graph.parameter("b", (), init="ones")
    graph.node("loss", ops.mse(graph.node("p", x @ first + second), y))
    return graph


def with_it(name):
    return {"batch_size": 3, name: UNSET[name]}


def without_it(name):
    return {option: value for option, value in with_it(name).items() if option != name}


DATA = {"x": [[1.0, 2], [0, 1], [2, 2], [1, 0], [3, 1], [1, 1], [0, 2], [2, 0]], "y": [1.0, 0, 2, 1, 3, 1, 0, 2]}


def measured(model, **options):
    return dataflow.train(model, DATA, **options).to_dict(), {k: v.tolist() for k, v in model.parameters.items()}


def test_what_may_be_unset_is_listed():
    of_streams = {"shuffle_window"}  # which changes nothing in memory; see test_streams.py
    assert {name for name, option in options_of().items() if option.optional} == set(UNSET) | of_streams


@pytest.mark.parametrize("name", UNSET)
def test_none_is_as_if_the_file_declared_nothing(name):
    expected = measured(mean_of_a_line(**without_it(name)))
    declared = mean_of_a_line(**with_it(name))
    assert measured(copy.deepcopy(declared)) != expected
    assert measured(copy.deepcopy(declared), **{name: None}) == expected
    if name != "early_stopping":
        trainer = dataflow.Trainer(copy.deepcopy(declared), DATA, **{name: None})
        assert getattr(trainer.settings, name) == options_of()[name].default
    runs = sweep(declared, DATA, over={"seed": [0]}, **{name: None}).runs
    assert runs[0].history.to_dict() == expected[0]
    runs = sweep(declared, DATA, over={name: [None, UNSET[name]]}).runs
    assert runs[0].name == f"{name}=none"
    assert runs[0].history.to_dict() == expected[0] != runs[1].history.to_dict()


@pytest.mark.parametrize("name", UNSET)
def test_none_on_the_command_line(name, tmp_path):
    path, data, word = tmp_path / "m.msgpack", tmp_path / "d.json", f"--{name.replace('_', '-')}"
    data.write_text(json.dumps(DATA))

    def losses(declared, *words):
        dataflow.save(mean_of_a_line(**declared), path)
        result = CliRunner().invoke(main, ["train", str(path), "--data", str(data), "--json", *words])
        assert result.exit_code == 0, result.output
        done = json.loads(result.stdout)
        return done["runs"][0]["loss"] if "runs" in done else done

    expected = losses(without_it(name))
    assert losses(with_it(name)) != expected
    assert losses(with_it(name), word, "none") == expected
    assert losses(with_it(name), "--sweep", f"{name}=none", "--jobs", "1") == expected["loss"]
    shown = CliRunner().invoke(main, ["train", str(path), "--data", str(data), "--sweep", f"{name}=none"]).stdout
    assert shown.splitlines()[1].startswith("none ")


def test_keys_beside_none_change_nothing_of_what_is_declared(tmp_path):
    path, data = tmp_path / "m.msgpack", tmp_path / "d.json"
    data.write_text(json.dumps(DATA))
    dataflow.save(mean_of_a_line(validation={"share": 0.25, "shuffle": True}), path)
    words = ["train", str(path), "--data", str(data), "--validation", "none", "--validation.share=0.5"]
    assert CliRunner().invoke(main, [*words, "-o", str(tmp_path / "o.msgpack")]).exit_code == 0
    assert dataflow.load(tmp_path / "o.msgpack").training["validation"] == {"share": 0.5}
    model = mean_of_a_line(early_stopping={"metric": "validation_loss", "patience": 3}, validation=0.25)
    over = sweep(model, DATA, over={"early_stopping.patience": [1]}, early_stopping=None, validation=None)
    assert over.watched == ""


@pytest.mark.parametrize("name", ["optimizer", "epochs", "shuffle", "seed"])
def test_none_leaves_what_every_run_has(name):
    model = mean_of_a_line(shuffle=True, seed=3, optimizer={"name": "sgd", "learning_rate": 0.01})
    again = mean_of_a_line(shuffle=True, seed=3, optimizer={"name": "sgd", "learning_rate": 0.01})
    assert measured(model, **{name: None}) == measured(again)


def test_a_signature_says_what_is_not_given():
    for called in (dataflow.train, dataflow.Trainer, sweep):
        assert str(inspect.signature(called).parameters["clip"].default) == "as declared"
