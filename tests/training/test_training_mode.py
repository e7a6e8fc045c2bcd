"""What is otherwise in training than out of it: dropout, statistics of the minibatch, and state that is kept."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from faulty_ops import mean_for_sum
from nets import bits

import dataflow
from dataflow import Model, TrainingError, TrainSettings, load
from dataflow.analysis.gradient_check import check_training
from dataflow.autodiff.training_graph import training_graph
from dataflow.autodiff.weighting import weighted_graph
from dataflow.cli.gradient_report import fault_text, gradient_table
from dataflow.execution.program import Program
from dataflow.faults.answers import Answer
from dataflow.faults.diagnosis import diagnose
from dataflow.files.toml.read import loads_toml
from dataflow.operations.declare_ops import op
from dataflow.ops import batch_norm, dropout, random_uniform
from dataflow.training import StopTraining, Trainer, train
from dataflow.training.saving.saved_state import newest_state

BACKENDS = ["numpy", *(["llvm"] if importlib.util.find_spec("llvmlite") else [])]
NET = """
dataflow = 1
[inputs]
x = { shape = ["n", 3] }
y = { shape = ["n", 2] }
[parameters]
W = { shape = [5, 3], init = "he_normal" }
scale = { shape = [5], init = "ones" }
bias = { shape = [5], init = "zeros" }
mean = { shape = [5], init = "zeros" }
variance = { shape = [5], init = "ones" }
V = { shape = [2, 5], init = "he_normal" }
[nodes]
h = "batch_norm(x @ W.T, scale, bias, mean, variance)"
d = "dropout(relu(h), rate=0.4)"
z = "d @ V.T"
loss = 'mse(z, y, reduction="mean")'
[model]
outputs = ["z"]
loss = "loss"
"""
PLAIN = NET.replace("batch_norm(x @ W.T, scale, bias, mean, variance)", "x @ W.T").replace(
    "dropout(relu(h), rate=0.4)", "relu(h)"
)
DROPS = """
dataflow = 1
[inputs]
x = { shape = ["n", 50] }
[parameters]
w = { value = [1.0] }
[nodes]
d = "dropout(x, rate=0.25)"
loss = "sum(d * w)"
[model]
loss = "loss"
"""


def computed(graph: dataflow.Graph, known: Mapping[str, np.ndarray], targets: Sequence[str]) -> dict[str, np.ndarray]:
    """Nodes of a graph, computed from inputs and parameters."""
    return dict(zip(targets, Program(graph, targets).run(known), strict=True))


def net(**changes: Any) -> Model:
    model = loads_toml(NET)
    options: dict[str, Any] = {"epochs": 3, "batch_size": 8, "shuffle": True, "validation": 0.2, **changes}
    optimizer = options.pop("optimizer", {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.1})
    model.train_settings = TrainSettings(optimizer, **options)
    return model


def examples(count: int = 29) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {"x": rng.normal(size=(count, 3)) * 2 + 1, "y": rng.normal(size=(count, 2))}


def trained(model: Model | None = None, **options: Any) -> Model:
    model = net() if model is None else model
    train(model, examples(), **options)
    return model


# ------------------------------------------------------------------------------------------------ random numbers


def philox(block: int, step: int, seed: int, stream: int) -> list[int]:
    """Philox4x64-10 as Salmon, Moraes, Dror and Shaw (2011) define it, word by word."""
    mask = 2**64 - 1
    words, key = [block, step, 0, 0], [seed, stream]
    for _ in range(10):
        a, b = words[0] * 0xD2E7470EE14C6C93, words[2] * 0xCA5A826395121157
        words = [b >> 64 ^ words[1] ^ key[0], b & mask, a >> 64 ^ words[3] ^ key[1], a & mask]
        key = [key[0] + 0x9E3779B97F4A7C15 & mask, key[1] + 0xBB67AE8584CAA73B & mask]
    return words


def test_philox_is_that_of_its_authors():
    # "philox4x64 10" with zeros in the known answers of their library, Random123
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox(0, 0, 0, 0) == expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_numbers_are_those_of_philox(backend, dtype):
    seed, stream, step, count = 2**62 + 1, 12345678901234567, 2**40, 13
    words = [word for block in range(1, 5) for word in philox(block, step, seed, stream)]
    halves = [half for word in words for half in (word & 2**32 - 1, word >> 32)]
    exact = [(word >> 11) / 2**53 for word in words] if dtype == "float64" else [(half >> 8) / 2**24 for half in halves]
    graph = dataflow.Graph("r")
    s = graph.input("s", (), "int64")
    graph.node("u", random_uniform(s, shape=(count,), dtype=dtype, seed=seed, stream=stream))
    (drawn,) = Program(graph, ["u"], backend).run({"s": np.array(step)})
    np.testing.assert_array_equal(drawn, np.array(exact[:count], dtype))


@pytest.mark.parametrize("threads", [1, 2])
def test_many_random_numbers_are_the_same_with_threads(threads):
    graph = dataflow.Graph("r")
    s = graph.input("s", (), "int64")
    graph.node("u", random_uniform(s, shape=(50_001,), seed=4))
    backend = BACKENDS[-1]
    (drawn,) = Program(graph, ["u"], backend, threads=threads).run({"s": np.array(9)})
    assert drawn.tobytes() == random_uniform(np.array(9), shape=(50_001,), seed=4).tobytes()
    assert (drawn.mean(), drawn.var()) == pytest.approx((1 / 2, 1 / 12), abs=0.005)


# ------------------------------------------------------------------------------------------------ dropout


def drawn(model: Model, x: np.ndarray, step: int, seed: int = 0) -> np.ndarray:
    """What dropout gives in training, node by node."""
    made = training_graph(model.graph, "loss", seed)
    return computed(made.graph, {**model.parameters, "x": x, made.minibatch: np.array(step)}, ["d"])["d"]


def test_dropout_keeps_the_mean():
    x = np.full((400, 50), 3.0)
    result = drawn(loads_toml(DROPS), x, 5)
    assert set(np.unique(result)) == {0.0, 4.0}  # 3 / (1 − 0.25)
    share = (result == 0).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / x.size)
    means = np.array([drawn(loads_toml(DROPS), x[:2], step).mean() for step in range(100)])
    assert means.mean() == pytest.approx(3, abs=0.05)
    assert means.var() == pytest.approx(3.0**2 * 0.25 / 0.75 / 100, rel=0.4)  # x² · rate / (1 − rate) / entries


def test_every_minibatch_seed_and_node_drops_others():
    model, x = loads_toml(DROPS), np.ones((20, 50))
    first = drawn(model, x, 1)
    assert (drawn(model, x, 1) == first).all()
    for other in (drawn(model, x, 2), drawn(model, x, 1, seed=1)):
        both = ((other == 0) & (first == 0)).mean()
        assert abs(both - 0.25**2) < 0.03
    renamed = loads_toml(DROPS.replace("d =", "e =").replace("d * w", "e * w"))
    made = training_graph(renamed.graph, "loss", 0)
    assert (computed(made.graph, {**model.parameters, "x": x, made.minibatch: np.array(1)}, ["e"])["e"] != first).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_has_the_mask_of_the_forward_pass(backend):
    """loss = Σ d · w, so that its gradient with respect to w is Σ d of the very masks of each minibatch."""
    model = loads_toml(DROPS)
    model.train_settings = TrainSettings({"name": "sgd", "learning_rate": 1.0}, epochs=2, batch_size=4, seed=6)
    x = np.random.default_rng(0).normal(size=(10, 50))
    train(model, {"x": x}, backend=backend)
    steps = [x[0:4], x[4:8], x[8:10], x[0:4], x[4:8], x[8:10]]
    expected = 1 - sum(drawn(model, part, number, seed=6).sum() for number, part in enumerate(steps))
    np.testing.assert_allclose(model.parameters["w"], [expected], rtol=1e-10)


def test_minibatches_of_others_are_dropped_anew():
    model, x = loads_toml(DROPS), np.ones((20, 50))
    trainer = Trainer(model, {"x": x}, optimizer={"name": "sgd", "learning_rate": 0.0})
    losses = []
    for _ in range(2):
        losses.append(trainer.gradient({"x": x}))
        trainer.update()
    assert losses == pytest.approx([drawn(model, x, number).sum() for number in range(2)])
    assert losses[0] != losses[1]


def test_out_of_training_dropout_is_nothing(tmp_path):
    model = trained()
    x = examples()["x"]
    result = model.run(data={"x": x})["z"]
    p = model.parameters
    h = (x @ p["W"].T - p["mean"]) / np.sqrt(p["variance"] + 1e-5) * p["scale"] + p["bias"]
    np.testing.assert_allclose(result, np.maximum(h, 0) @ p["V"].T, rtol=1e-10)
    values = np.arange(6.0)
    assert (dropout(values, rate=0.9) == values).all()


def test_what_is_measured_is_out_of_training():
    model, data = net(optimizer={"name": "sgd", "learning_rate": 0.0}, epochs=1), examples()
    trainer = Trainer(model, data)
    trainer.run(3)
    measured = trainer.measure()
    rows = {"": slice(0, 23), "validation_": slice(23, 29)}
    for prefix, part in rows.items():
        z = model.run(data={"x": data["x"][part]})["z"]
        loss = 0.5 * ((z - data["y"][part]) ** 2).sum() / len(z)
        assert measured[f"{prefix}loss"] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_that_is_none(rate):
    with pytest.raises(dataflow.DataflowError, match=f"rate is from 0 up to but not including 1, not {rate}"):
        loads_toml(DROPS.replace("0.25", str(rate)))


# ------------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_statistics_by_hand(backend):
    """The new values after each minibatch, as the documentation says them, where nothing else is trained."""
    model, data = (
        net(optimizer={"name": "sgd", "learning_rate": 0.0}, shuffle=False, validation=0, epochs=2),
        examples(),
    )
    train(model, data, backend=backend, accumulate=3)
    mean, variance = np.zeros(5), np.ones(5)
    for _ in range(2):
        for start in range(0, 29, 8):
            h = data["x"][start : start + 8] @ model.parameters["W"].T
            mean = 0.9 * mean + 0.1 * h.mean(axis=0)
            variance = 0.9 * variance + 0.1 * h.var(axis=0)
    np.testing.assert_allclose(model.parameters["mean"], mean, rtol=1e-10)
    np.testing.assert_allclose(model.parameters["variance"], variance, rtol=1e-10)
    assert (model.parameters["scale"] == 1).all()


def test_no_optimizer_sees_state():
    trainer = Trainer(net(), examples())
    (group,) = trainer.vectors.groups
    assert set(group.names) == {"W", "scale", "bias", "V"}
    assert list(trainer.vectors.new_state) == ["mean", "variance"]


def test_frozen_statistics_are_those_of_evaluation():
    """As a frozen layer of Keras, and as one in ``eval()`` of PyTorch."""
    model = trained(frozen=["mean", "variance"])
    assert (model.parameters["mean"] == 0).all()
    assert (model.parameters["variance"] == 1).all()
    assert training_graph(model.graph, "loss", 0, {"mean"}).updates == {}


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
@pytest.mark.parametrize(("fixed", "other"), [("mean", "variance"), ("variance", "mean")])
@pytest.mark.parametrize("how", ["frozen", "constant"])
def test_statistics_stay_where_only_one_of_the_two_is_frozen(how, fixed, other, optimizer):
    """They took part in evaluation's formula, which has a derivative with respect to both."""
    moved = f"{fixed} = {{ shape = [5], init = "
    text = NET
    if how == "constant":
        line = next(line for line in NET.splitlines() if line.startswith(moved))
        value = [0.0 if fixed == "mean" else 1.0] * 5
        text = NET.replace(line + "\n", "").replace("[nodes]", f"[constants]\n{fixed} = {{ value = {value} }}\n[nodes]")
    model = loads_toml(text)
    frozen = [fixed] if how == "frozen" else []
    before = model.parameters[other].tobytes()
    train(model, examples(), epochs=2, batch_size=8, frozen=frozen, optimizer=optimizer)
    assert model.parameters[other].tobytes() == before
    assert model.parameters["W"].tobytes() != loads_toml(text).parameters["W"].tobytes()


def test_two_nodes_may_share_their_statistics():
    model = loads_toml(NET.replace("relu(h)", "relu(batch_norm(h * 2, scale, bias, mean, variance))"))
    made = training_graph(model.graph, "loss", 0)
    data = examples(6)
    known = {"x": data["x"], **model.parameters}
    values = computed(made.graph, known, ["h", made.updates["mean"]])
    first = 0.1 * (data["x"] @ model.parameters["W"].T).mean(axis=0)
    np.testing.assert_allclose(values["updated.mean"], 0.9 * first + 0.1 * 2 * values["h"].mean(axis=0), atol=1e-12)


def test_weights_count_in_statistics_as_rows_twice():
    data = examples(8)
    twice = {name: np.concatenate([array, array[:3]]) for name, array in data.items()}
    weights = np.array([2.0] * 3 + [1.0] * 5)
    made = training_graph(net().graph, "loss", 0)
    weighted, name = weighted_graph(made.graph, "loss", list(made.updates.values()))
    targets = ["h", *made.updates.values()]
    parameters = dict(net().parameters)
    by_weight = computed(weighted, {**data, **parameters, name: weights}, targets)
    by_rows = computed(made.graph, {**twice, **parameters}, targets)
    np.testing.assert_allclose(by_weight["h"], by_rows["h"][:8], rtol=1e-10)
    for node in made.updates.values():
        np.testing.assert_allclose(by_weight[node], by_rows[node], rtol=1e-10)


@pytest.mark.parametrize("suffix", ["toml", "msgpack"])
def test_files_keep_state(tmp_path, suffix):
    model = trained()
    model.training = {}  # which TOML does not hold
    path = tmp_path / f"net.{suffix}"
    dataflow.save(model, path)
    again = load(path)
    for name in ("mean", "variance"):
        assert again.parameters[name].tobytes() == model.parameters[name].tobytes()
    for one in (model, again):
        train(one, examples(), epochs=1)
    assert bits(again) == bits(model)


# ------------------------------------------------------------------------------------------------ other commands


def test_the_gradient_in_training_is_checked():
    model, data = net(), examples(10)
    report = check_training(model, list(model.parameters), data)
    assert report is not None
    assert report.ok
    assert [check.wrt for check in report.checks] == ["W", "scale", "bias", "V"]
    assert "gradient of loss in training wrt" in gradient_table(report)
    assert check_training(loads_toml(PLAIN), ["W"], data) is None


def test_the_training_gradient_of_a_wrong_op_is_blamed():
    """The derivative of an op that only the body for training has."""
    doubled = mean_for_sum()

    @op
    def wrong_in_training(x):
        """x."""
        return x * 1

    @wrong_in_training.training
    def _(random, x):
        return doubled(x) + x

    graph = dataflow.Graph("wrong")
    x, w = graph.input("x", ("n", 3)), graph.parameter("w", value=np.ones(3))
    graph.node("loss", dataflow.ops.sum(wrong_in_training(x * w) ** 2))
    data = {"x": examples()["x"][:4]}
    report = check_training(Model(graph, loss="loss"), ["w"], data)
    assert report is not None
    assert not report.ok
    assert report.blamed is not None
    assert report.blamed[1] == "faulty"
    assert "the gradient of 'loss' in training with respect to 'w' is wrong" in fault_text(report)


def test_no_learner_follows_training_with_dropout():
    answer = Answer({"W": np.zeros((5, 3))}, epochs=1)
    with pytest.raises(TrainingError, match="the model declares 'other bodies of ops in training'; compare gradients"):
        diagnose(net(), answer, examples())


def test_the_step_that_is_profiled_is_one_of_training():
    result = dataflow.profile(net(), data=examples(), run=False)
    ops = {(row.phase, row.op) for row in result.rows}
    assert ("forward", "random_uniform") in ops
    (update,) = [row for row in result.rows if row.phase == "update"]
    assert update.shape == "(35,)"  # 15 of W, 10 of V, scale and bias; no state


# ------------------------------------------------------------------------------------------------ what repeats


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "early_stopping": {"patience": 1}}], ids=str)
def test_a_run_goes_on_bit_for_bit(tmp_path, backend, options):
    """It is stopped within an epoch; masks, statistics and the best epoch's are those of a run that was not."""
    options = {"backend": backend, "epochs": 4, **options}
    alone = trained(**options)

    def stop(progress: Any) -> None:
        if progress.epoch == 2 and progress.batch == 2:
            raise StopTraining

    trained(checkpoint=tmp_path, on_batch=stop, **options)
    resumed = trained(checkpoint=tmp_path, resume=True, **options)
    assert bits(resumed) == bits(alone)
    saved = newest_state(tmp_path).parameters(resumed)
    assert all(saved[name].tobytes() == resumed.parameters[name].tobytes() for name in saved)


def test_a_run_that_was_killed_goes_on_bit_for_bit(tmp_path):
    """Nothing is saved when it ends: it goes on from a checkpoint two minibatches before."""

    def killed(progress: Any) -> None:
        if (progress.epoch, progress.batch) == (2, 3):
            raise MemoryError

    with pytest.raises(MemoryError):
        trained(checkpoint=tmp_path, checkpoint_every=2, on_batch=killed, accumulate=2)
    assert bits(trained(checkpoint=tmp_path, checkpoint_every=2, resume=True, accumulate=2)) == bits(
        trained(accumulate=2)
    )


def test_backends_drop_the_same():
    """Their sums differ in the last bits; masks that differed would show in the first digits."""
    runs = [trained(backend=backend).parameters for backend in BACKENDS]
    for name in runs[0]:
        np.testing.assert_allclose(runs[-1][name], runs[0][name], rtol=1e-8, atol=1e-9)


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"shuffle": False}], ids=str)
def test_the_compiled_loop_does_what_its_single_steps_do(options):
    inside, outside = (Trainer(net(**options), examples(), backend="llvm") for _ in range(2))
    assert inside._inside is not None
    outside._inside = None
    for trainer in (inside, outside):
        trainer.run(11)
    assert bits(inside.model) == bits(outside.model)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_memory_limit_changes_no_bit(backend):
    limits: list[dict[str, Any]] = [{}, {"memory_limit": 4000}]
    first, second = (trained(backend=backend, **limit) for limit in limits)
    assert bits(first) == bits(second)


def test_a_minibatch_that_fails_leaves_state_as_it_was():
    data = examples()
    data["x"][12] = 1e200  # in the second minibatch, whose variance is infinite
    for backend in BACKENDS:
        trainer = Trainer(net(shuffle=False), data, backend=backend)
        trainer.step()
        before = {name: array.copy() for name, array in trainer.model.parameters.items()}
        with pytest.raises(dataflow.NonFiniteError, match="parameters are those from before this batch"):
            trainer.run(2)
        assert all((trainer.model.parameters[name] == array).all() for name, array in before.items())


# ------------------------------------------------------------------------------------------------ ops of others


@op
def noisy_block(x, *, rate: float = 0.5):
    """A composite op with dropout inside."""
    return dropout(dropout(x * 2, rate=rate), rate=rate)


def test_a_composite_op_trains_what_is_inside():
    graph = dataflow.Graph("composite")
    x = graph.input("x", ("n", 50))
    w = graph.parameter("w", value=np.ones(1))
    graph.node("loss", dataflow.ops.sum(noisy_block(x) * w))
    made = training_graph(graph, "loss", 0)
    node = next(name for name in graph if name.endswith("noisy_block"))
    values = computed(made.graph, {"x": np.ones((200, 50)), made.minibatch: np.array(0)}, [node])[node]
    assert set(np.unique(values)) == {0.0, 8.0}
    assert (values == 0).mean() == pytest.approx(0.75, abs=0.02)  # 1 − ½ · ½: two draws that do not depend


def test_the_outputs_of_one_application_share_what_is_drawn_and_kept():
    @op(outputs=("a", "b"))
    def pair(x, mean, variance):
        """Two outputs with statistics and dropout inside."""
        dropped = dropout(batch_norm(x, mean * 0 + 1, mean * 0, mean, variance), rate=0.5)
        return dropped, dropped * 3

    graph = dataflow.Graph("pair")
    x, mean, variance = graph.input("x", ("n", 3)), *(graph.parameter(name, value=np.ones(3)) for name in "mv")
    a, b = pair(x, mean, variance)
    graph.node("loss", dataflow.ops.sum(a) + dataflow.ops.sum(b))
    made = training_graph(graph, "loss", 0)
    known = {"x": examples()["x"], "m": np.ones(3), "v": np.ones(3), made.minibatch: np.array(0)}
    first, second, updated = computed(made.graph, known, [a.name, b.name, made.updates["m"]]).values()
    assert (first == 0).any()
    np.testing.assert_array_equal(second, first * 3)
    np.testing.assert_allclose(updated, 0.9 + 0.1 * known["x"].mean(axis=0), rtol=1e-12)


def test_a_model_without_such_ops_is_trained_as_it_is():
    model = loads_toml(PLAIN)
    assert training_graph(model.graph, "loss", 0).graph is model.graph


def test_names_that_training_takes_may_be_a_models_own():
    text = NET.replace("h =", "minibatch =").replace("relu(h)", "relu(minibatch)").replace("bias", "updated")
    train(model := loads_toml(text), examples(), epochs=1, batch_size=8)
    plain = net(epochs=1, batch_size=8, shuffle=False, validation=0, optimizer={"name": "sgd"})
    assert (model.parameters["mean"] != plain.parameters["mean"]).all()


def test_a_training_rule_that_gives_something_else():
    @op
    def halved(x):
        """x."""
        return x * 1

    @halved.training
    def _(random, x):
        return dataflow.ops.sum(x)

    graph = dataflow.Graph("wrong")
    x = graph.input("x", ("n", 2))
    graph.node("loss", dataflow.ops.sum(halved(x) * graph.parameter("w", value=np.ones(1))))
    with pytest.raises(dataflow.DataflowError, match=r"op 'halved': its training rule gives float64 \(n, 2\), not"):
        training_graph(graph, "loss", 0)
    halved.training(lambda random, x: np.sin(x))
    with pytest.raises(dataflow.RuleError, match="op 'halved' cannot be traced .* its rules must call ops"):
        training_graph(graph, "loss", 0)
    halved.training(lambda random, x: x * random(2.0))
    with pytest.raises(dataflow.RuleError, match="op 'halved' cannot be traced"):
        training_graph(graph, "loss", 0)
    for state in ("x", (), ("z",)):
        with pytest.raises(dataflow.PluginError, match="state="):
            halved.training(state=state)


def test_the_loss_must_depend_on_what_is_trained():
    model = loads_toml(NET)
    with pytest.raises(TrainingError, match="every parameter is frozen"):
        train(model, examples(), frozen=["W", "V", "scale", "bias"])


def test_streams_are_as_files_can_hold_them():
    made = training_graph(loads_toml(DROPS).graph, "loss", 0)
    streams = [node.attributes["stream"] for _, node in made.graph.node_items() if node.op == "random_uniform"]
    expected = int.from_bytes(hashlib.sha256(b"d\n1").digest()[:8], "little") >> 1
    assert streams == [expected]
    assert streams[0] < 2**63


def test_torch_says_the_same():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for shape in ((6, 3), (4, 3, 5), (2, 3, 4, 2)):
        x, t = rng.normal(size=shape) * 2 + 1, rng.normal(size=shape)
        scale, bias = rng.normal(size=3), rng.normal(size=3)
        layer = torch.nn.functional.batch_norm
        inputs = [torch.tensor(array, requires_grad=True) for array in (x, scale, bias)]
        mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        result = layer(inputs[0], mean, variance, *inputs[1:], training=True, momentum=0.1)
        (0.5 * (result - torch.tensor(t)) ** 2).sum().backward()
        graph = dataflow.Graph("bn")
        names = {"x": x, "scale": scale, "bias": bias, "mean": np.zeros(3), "variance": np.ones(3)}
        values = [graph.parameter(name, value=value) for name, value in names.items()]
        y = graph.node("y", batch_norm(*values))
        graph.node("loss", dataflow.ops.mse(y, t))
        made = training_graph(graph, "loss", 0)
        gradient = dataflow.autodiff.reverse.gradient_graph(made.graph, "loss", ["x", "scale", "bias"])
        wanted = ["y", *(gradient.cotangents[name] for name in ("x", "scale", "bias")), *made.updates.values()]
        found = computed(gradient.graph, names, wanted)
        expected = [result.detach(), *(one.grad for one in inputs), mean]
        for name, tensor in zip(wanted, expected, strict=False):
            np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-9, atol=1e-10)
        count = x.size // 3
        unbiased = 0.9 + (found[wanted[-1]] - 0.9) * count / (count - 1)
        np.testing.assert_allclose(unbiased, variance.numpy(), rtol=1e-9)
