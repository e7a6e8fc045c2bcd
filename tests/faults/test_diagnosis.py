"""The mistakes that learners make: each is made in a net written out by hand, and the check names it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner
from nets import WEIGHTS, XOR, bits, classifier, deep_net, xor

from dataflow import DataError, Graph, Model, TrainingError, TrainSettings, load, save
from dataflow.cli.group import main
from dataflow.data.source import DataSource
from dataflow.execution.inputs import as_input
from dataflow.faults import KINDS, Answer, catalogue, diagnose, read_answer
from dataflow.faults.diagnosis import _train
from dataflow.faults.learner import Learner, Task
from dataflow.ops import linear, mse, sigmoid
from dataflow.ops import sum as sum_
from dataflow.training import train
from dataflow.training.settings import Settings, resolve

DATA = {name: np.asarray(value, float) for name, value in XOR.items()}
GIVEN = {  # what a learner gives, by the catalogue's name of the mistake; None: nothing shows in the first gradients
    "updated weights": ["W1", "b1"],
    "missing minus": ["W1", "b1", "W2", "b2"],
    "mean instead of sum": ["W1", "b1", "W2", "b2"],
    "column-major vec": ["W1"],
    "relu′(0) = 1": ["W1", "b1"],
    "forgotten bias": ["W1", "b1", "W2", "b2"],
    "gradients not reset": None,
    "last example only": ["W1", "b1", "W2", "b2"],
    "forgotten derivative": ["W1", "b1"],
}


def by_hand(mistake: str, weights: str = "S1", epochs: int = 1, rate: float = 0.1) -> tuple[Any, Any]:
    """The gradients of the last epoch, and the parameters after it, of the 2-2-1 net: formulas as a lecture has them,
    and one mistake."""
    w1, w2, w3, w4, w5, w6, b1, b2, b3 = WEIGHTS[weights]
    p = {"W1": [[w1, w2], [w3, w4]], "b1": [b1, b2], "W2": [[w5, w6]], "b2": [b3]}
    p = {name: np.array(value) for name, value in p.items()}
    total = {name: np.zeros_like(value) for name, value in p.items()}
    gradients = total
    x, y = DATA["x"], DATA["y"]
    if mistake == "last example only":
        x, y = x[-1:], y[-1:]
    for _ in range(epochs):
        z = x @ p["W1"].T + (0 if mistake == "forgotten bias" else p["b1"])
        h = np.maximum(z, 0)
        d = h @ p["W2"].T + p["b2"] - y
        d = -d if mistake == "missing minus" else d
        gradients = {"W2": d.T @ h, "b2": d.sum(axis=0)}
        W2 = p["W2"] - rate * gradients["W2"] if mistake == "updated weights" else p["W2"]
        slope = z >= 0 if mistake == "relu′(0) = 1" else z > 0
        dz = d @ W2 * (1 if mistake == "forgotten derivative" else slope)
        dW1 = dz.T @ x
        gradients["W1"] = dW1.reshape(-1, order="F").reshape(2, 2) if mistake == "column-major vec" else dW1
        gradients["b1"] = np.zeros(2) if mistake == "forgotten bias" else dz.sum(axis=0)
        if mistake == "mean instead of sum":
            gradients = {name: g / len(x) for name, g in gradients.items()}
        total = {name: total[name] + g for name, g in gradients.items()}
        used = total if mistake == "gradients not reset" else gradients
        p = {name: value - rate * used[name] for name, value in p.items()}
    return gradients, p


def named(mistake: str) -> str:
    """What it is called in a square matrix."""
    return "transposed matrix" if mistake == "column-major vec" else mistake


def resolve_declared(model: Model) -> Settings:
    return resolve(model.train_settings, {})


def plain(arrays: Any, decimals: int | None = None) -> Any:
    return {name: (array if decimals is None else array.round(decimals)).tolist() for name, array in arrays.items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(xor("S1"), "net.toml")
    return tmp_path


def checked(folder: Path, answer: Any, *words: str, status: int = 1) -> Any:
    (folder / "mine.json").write_text(json.dumps(answer))
    done = CliRunner().invoke(main, ["check", "net.toml", "--against", "mine.json", "--json", *words])
    assert done.exit_code == status, done.output
    assert done.stderr.count("\n") == status
    return json.loads(done.stdout)


# ------------------------------------------------------------------------------------------------ the catalogue


@pytest.mark.parametrize("decimals", [None, 3])
@pytest.mark.parametrize("mistake", [name for name, shown in GIVEN.items() if shown])
def test_a_mistake_shows_in_the_gradients(folder: Path, mistake: str, decimals: int | None) -> None:
    found = checked(folder, plain(by_hand(mistake)[0], decimals))
    assert [one["fault"] for one in found["explained"]] == [named(mistake)]
    assert sorted(found["explained"][0]["parameters"]) == sorted(GIVEN[mistake])
    assert found["unexplained"] == []
    assert {name for name, one in found["compared"].items() if not one["ok"]} == {*GIVEN[mistake]}


@pytest.mark.parametrize("mistake", GIVEN)
def test_a_mistake_shows_in_the_parameters_after_two_epochs(folder: Path, mistake: str) -> None:
    found = checked(folder, {"parameters": plain(by_hand(mistake, epochs=2)[1]), "epochs": 2})
    assert [one["fault"] for one in found["explained"]] == [mistake]  # the column-major update is no transpose of W
    assert found["unexplained"] == []


def test_the_right_numbers_are_right(folder: Path) -> None:
    found = checked(folder, plain(by_hand("")[0]), status=0)
    assert (found["ok"], found["explained"], found["unexplained"]) == (True, [], [])
    assert found["shows_nothing"] == ["gradients not reset"]
    for epochs in (1, 7):
        assert checked(folder, plain(by_hand("", epochs=epochs)[1]), "--after", str(epochs), status=0)["ok"]


def test_what_would_not_show_is_said(folder: Path) -> None:
    save(xor("S3"), folder / "net.toml")  # no kink is touched there
    found = checked(folder, plain(by_hand("", "S3")[0]), status=0)
    assert found["shows_nothing"] == ["another derivative at a kink", "gradients not reset"]
    save(xor("S2"), folder / "net.toml")  # nothing left to learn: every gradient is 0
    found = checked(folder, plain(by_hand("", "S2")[0]), status=0)
    assert {"updated weights", "missing minus", "mean instead of sum"} <= {*found["shows_nothing"]}


# ------------------------------------------------------------------------------------------------ a lecture's numbers


def test_numbers_of_a_lecture(folder: Path) -> None:
    """Worked out on paper for the weights S1: summed gradients, and all nine weights after one step with ε = 0.1."""
    right = {"W1": [[-0.469, -0.098], [0.07, 0.695]], "b1": [-0.385, 0.695], "W2": [[-0.348, -0.862]], "b2": -1.8}
    assert checked(folder, right, status=0)["ok"]
    step = {"W1": [[0.5469, -0.2902], [0.193, 0.7305]], "b1": [0.1385, -0.2695], "W2": [[0.7348, -0.4138]], "b2": 0.23}
    assert checked(folder, step, "--after", "1", status=0)["ok"]
    last = {"W1": [[-0.098, -0.098], [0.07, 0.07]], "W2": [[-0.042, -0.112]]}
    assert checked(folder, last, "--example", "3", status=0)["ok"]
    # W2 after its update is (.7348, −.4138): for (0,1) −1.25 · −.4138, for (1,0) −.53 · .7348, for (1,1) −.14 · both
    # and for (0,0) .12 · .7348
    updated = {**right, "W1": [[-0.492316, -0.102872], [0.057932, 0.575182]], "b1": [-0.40414, 0.575182]}
    assert [(one["fault"], one["parameters"]) for one in checked(folder, updated)["explained"]] == [
        ("updated weights", ["W1", "b1"])
    ]
    # z2 is 0 at (1,0): there 1 in place of 0 adds −.53 · −.5 = .265
    kink = {**right, "W1": [[-0.469, -0.098], [0.335, 0.695]], "b1": [-0.385, 0.96]}
    assert [(one["fault"], one["parameters"]) for one in checked(folder, kink)["explained"]] == [
        ("relu′(0) = 1", ["W1", "b1"])
    ]


def test_the_net_written_with_nine_scalars_says_the_same(folder: Path) -> None:
    model = load(MODELS / "xor-scalars.toml")
    for name, value in zip(("w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3"), WEIGHTS["S1"], strict=True):
        model.parameters[name] = value
    save(model, folder / "net.toml")
    gradients, _ = by_hand("updated weights")
    flat = np.concatenate([gradients[name].reshape(-1) for name in ("W1", "W2", "b1", "b2")])
    answer = dict(zip(("w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3"), flat.tolist(), strict=True))
    (one,) = checked(folder, answer)["explained"]
    assert (one["fault"], one["parameters"]) == ("updated weights", ["w1", "w2", "w3", "w4", "b1", "b2"])


# ------------------------------------------------------------------------------------------------ diagnoses


def test_two_mistakes_are_told_apart(folder: Path) -> None:
    answer = by_hand("")[0]
    answer["W1"], answer["W2"] = answer["W1"].T, -answer["W2"]
    found = checked(folder, plain(answer))
    assert [(one["fault"], one["parameters"]) for one in found["explained"]] == [
        ("transposed matrix", ["W1"]),
        ("missing minus", ["W2"]),
    ]


def test_a_bias_without_a_gradient_is_told_from_one_left_out_of_the_forward_pass(folder: Path) -> None:
    found = checked(folder, plain({**by_hand("")[0], "b1": np.zeros(2)}))
    assert found["explained"][0]["mistake"] == "no gradient of b1 was taken"
    found = checked(folder, plain(by_hand("forgotten bias")[0]))
    assert found["explained"][0]["mistake"] == "b1 left out of the forward pass"


def test_what_no_mistake_explains_is_said(folder: Path) -> None:
    found = checked(folder, {"W1": [[1, 2], [3, 4.125]], "b2": [-5.4]})
    assert (found["explained"], found["unexplained"]) == ([], ["W1", "b2"])
    assert found["compared"]["b2"]["factor"] == pytest.approx(3)


def test_a_mean_is_not_to_be_summed() -> None:
    model = xor("S1", reduction="mean")
    found = diagnose(model, Answer(by_hand("")[0]), DATA)
    assert [one.fault for one in found.explained] == ["sum instead of mean"]


@pytest.mark.parametrize("mistake", ["", "updated weights", "relu′(0) = 1", "mean instead of sum"])
def test_a_model_in_float32(mistake: str) -> None:
    model = xor("S1", dtype="float32")
    model.parameters["b1"] = [0.25, -0.25]  # so that the kink at (1,0) is touched in float32, too
    model.parameters["W1"] = [[0.5, -0.25], [0.25, 0.75]]
    data = {name: array.astype(np.float32) for name, array in DATA.items()}
    task = Task(model, dict(model.parameters), resolve_declared(model).rule)
    learners = [Learner(task), *catalogue(task)]
    worked_out = [(one.select(one.gradient(data)), one.name) for one in learners]  # some have their name by then
    gradients = next(gradients for gradients, name in worked_out if name == mistake)
    found = diagnose(model, Answer({name: value.astype(float) + 1e-7 for name, value in gradients.items()}), data)
    assert [one.fault for one in found.explained] == ([mistake] if mistake else [])
    assert found.unexplained == ()


def test_a_transposed_matrix() -> None:
    model = classifier()
    data = model.data.load(model.graph)
    right = model.gradients(data=data)
    found = diagnose(model, Answer({"W1": right["W1"].T, "b1": right["b1"]}), data)
    assert [one.ok for one in found.compared] == [False, True]
    assert [(one.fault, one.parameters) for one in found.explained] == [("transposed matrix", ("W1",))]


def test_layers_in_one_op_and_a_penalty_on_the_weights() -> None:
    """``linear`` has weights and data in one op, and the penalty takes weights alone: both are updated on the way."""
    rng = np.random.default_rng(0)
    graph = Graph("deep")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    W = [graph.parameter(f"W{i}", value=rng.normal(size=shape)) for i, shape in enumerate([(3, 2), (3, 3), (1, 3)])]
    b = [graph.parameter(f"b{i}", value=rng.normal(size=size)) for i, size in enumerate([3, 3, 1])]
    h = sigmoid(linear(sigmoid(linear(x, W[0], b[0])), W[1], b[1]))
    graph.node("loss", mse(linear(h, W[2], b[2]), y) + 0.1 * sum_(W[2] * W[2]) + 0.1 * sum_(W[1] * W[1]))
    settings = TrainSettings({"name": "sgd", "learning_rate": 0.5}, epochs=1)
    model = Model(graph, [], "loss", data=DataSource(DATA), train=settings)
    p = {name: np.asarray(value) for name, value in model.parameters.items()}
    s = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    a0 = s(DATA["x"] @ p["W0"].T + p["b0"])
    a1 = s(a0 @ p["W1"].T + p["b1"])
    d = a1 @ p["W2"].T + p["b2"] - DATA["y"]
    answer = {"W2": d.T @ a1 + 0.2 * p["W2"], "b2": d.sum(axis=0)}
    d = d @ (p["W2"] - 0.5 * answer["W2"]) * a1 * (1 - a1)
    answer |= {"W1": d.T @ a0 + 0.2 * p["W1"], "b1": d.sum(axis=0)}
    d = d @ (p["W1"] - 0.5 * answer["W1"]) * a0 * (1 - a0)
    answer |= {"W0": d.T @ DATA["x"], "b0": d.sum(axis=0)}
    found = diagnose(model, Answer(answer), DATA)
    assert [(one.fault, sorted(one.parameters)) for one in found.explained] == [
        ("updated weights", ["W0", "W1", "b0", "b1"])
    ]


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "learning_rate": 0.1},
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        {"name": "adam", "learning_rate": 0.02},
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_a_learner_without_a_mistake_trains_as_dataflow_does(optimizer: dict[str, Any]) -> None:
    settings = TrainSettings(optimizer, epochs=3, batch_size=8, shuffle=True, validation=0.1, seed=3)
    model = classifier(train=settings)
    resolved = resolve_declared(model)
    learner = Learner(Task(model, dict(model.parameters), resolved.rule))
    found = _train(learner, resolved, model.data.load(model.graph), 3)
    train(model)
    for name, (_, shape, _) in bits(model).items():
        np.testing.assert_allclose(found[name].reshape(shape), model.parameters[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"schedule": {"name": "cosine"}}, "schedule"),
        ({"clip": {"norm": 1.0}}, "clip"),
        ({"frozen": ["W1"]}, "frozen"),
        ({"accumulate": 2}, "accumulate"),
    ],
)
def test_training_that_no_learner_follows_is_refused(given: dict[str, Any], name: str) -> None:
    model = xor("S1", train=TrainSettings({"name": "sgd"}, **given))
    answer = Answer({"b2": np.zeros(1)}, decimals=None, epochs=1)
    with pytest.raises(TrainingError, match=f"the model declares '{name}'; compare gradients instead"):
        diagnose(model, answer, DATA)


def test_every_mistake_has_words() -> None:
    names = set()
    for model in (xor("S1"), xor("S1", reduction="mean"), deep_net()):
        data = {name: as_input(model.graph, name, value) for name, value in DATA.items()}
        learners = list(catalogue(Task(model, dict(model.parameters), resolve_declared(model).rule), {0: data}))
        names |= {type(one).name for one in learners}
        for one in learners:
            one.gradient(data)
            assert one.mistake
            assert one.remedy
    assert names == {kind.name for kind in KINDS}


# ------------------------------------------------------------------------------------------------ files


def test_what_the_commands_print_can_be_held_against_the_model(folder: Path) -> None:
    for words in (["run"], ["train", "--epochs", "3"]):
        done = CliRunner().invoke(main, [words[0], "net.toml", *words[1:], "--json"])
        assert checked(folder, json.loads(done.stdout), status=0)["ok"]


def test_archives_and_tables(folder: Path) -> None:
    model, gradients = xor("S1"), by_hand("missing minus")[0]
    np.savez(folder / "mine.npz", **gradients)
    lines = [f"{name}, {', '.join(map(str, array.reshape(-1)))}" for name, array in gradients.items()]
    (folder / "mine.csv").write_text("\n".join([*lines, "", ",,"]))
    for ending in ("npz", "csv"):
        answer = read_answer(folder / f"mine.{ending}", model)
        assert {name: array.tolist() for name, array in answer.arrays.items()} == plain(gradients)
        assert [one.fault for one in diagnose(model, answer, DATA).explained] == ["missing minus"]


@pytest.mark.parametrize(
    ("content", "decimals"),
    [
        ("W1,0.1,0.25,1,-3e-3", [1, 2, 3, 3]),  # a whole number as most of the others, here as the finest of them
        ("W1,0.120,0.25,0.0,-0.3", [3, 2, 3, 1]),
        ("W1,0.12,0.25,0,-0.371", [2, 2, 2, 3]),
        ("W1,1,2,3,4", [-1] * 4),
        ("W1,0.5,1.5,2,3", [1] * 4),
        ("W1,0.5,1.25,2.37,3", [1, 2, 2, 2]),
        ("W1,1.0,2.0,3,-4", [-1] * 4),
        ("W1,0.1234567890123,1,1,1", [-1] * 4),
        ("W1,0.1234567890123,0.25,1,0.9876543210987", [-1, 2, -1, -1]),
    ],
)
def test_to_how_many_decimals(tmp_path: Path, content: str, decimals: int | None) -> None:
    (tmp_path / "mine.csv").write_text(content)
    answer = read_answer(tmp_path / "mine.csv", xor())
    assert answer.decimals["W1"].reshape(-1).tolist() == decimals


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"W3": 1}', r"a\.json: unknown parameter 'W3'; available: 'W1', 'b1', 'W2', 'b2'"),
        ("a.json", '{"W1": [1, 2]}', r"a\.json: 'W1' has the shape \[2, 2\], an array of \[2\] is given"),
        ("a.json", '{"W1": [[1, null], [1, 2]]}', r"a\.json: 'W1' at \[0, 1\]: the cell is missing \(null\)"),
        ("a.json", "[1]", r"a\.json: expected an object such as"),
        ("a.json", "{", r"a\.json:1:2: is not JSON"),
        ("a.json", '{"parameters": {"b2": 1}, "epochs": 0}', r"a\.json: 'epochs' is a whole number, 1 or more"),
        ("a.csv", "W1,1,2,3", r"a\.csv: 'W1' has 4 entries, 3 are given"),
        ("a.json", "{}", r"a\.json: holds no numbers; the parameters are 'W1', 'b1', 'W2', 'b2'"),
        ("a.csv", "b2,1\nb2,2", r"a\.csv:2: 'b2' stands there twice"),
        ("a.csv", "b2,1\nW2,1,1e400", r"a\.csv:2: 1e400 does not fit float64"),
        ("a.csv", "b2,one", r"a\.csv:1: a number is expected, 'one' found"),
        ("a.txt", "", r"a\.txt: answers end in \.json, \.npz or \.csv"),
        ("none.json", None, r"none\.json: there is no such file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_answer(tmp_path / name, xor())


def test_a_model_without_a_loss() -> None:
    model = xor()
    with pytest.raises(TrainingError, match="has no loss"):
        diagnose(Model(model.graph, ["yhat"]), Answer({"W1": np.zeros((2, 2))}), DATA)


# ------------------------------------------------------------------------------------------------ what is printed


def test_the_text_that_the_documentation_shows(folder: Path) -> None:
    page = (MODELS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
    answer, shown = re.findall(r"```text\n(\{.*?|mine\.json against.*?)```", page, re.DOTALL)
    (folder / "mine.json").write_text(answer)
    done = CliRunner().invoke(main, ["check", "net.toml", "--against", "mine.json"])
    assert done.exit_code == 1
    assert done.stdout == shown
    assert done.stderr == ""  # the table has said it
    quiet = CliRunner().invoke(main, ["check", "net.toml", "--against", "mine.json", "--quiet"])
    assert (quiet.exit_code, quiet.stdout) == (1, "")
    expected = "Error: mine.json: W1 and b1: updated weights (the gradients further back were taken"
    assert quiet.stderr.startswith(expected)


def test_usage() -> None:
    for words in (["--after", "1"], ["--against", "a.json", "--of", "loss"], ["--against", "a.json", "--wrt", "W1"]):
        done = CliRunner().invoke(main, ["check", str(MODELS / "xor.toml"), *words])
        assert done.exit_code == 2
