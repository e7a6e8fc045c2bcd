"""The backend ``jax`` gives what numpy gives, up to rounding; JAX's own derivatives are a second source for ours.

Where JAX is not installed, this says so, and what is asked for without it is an error that names the extra.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner
from nets import bits, classifier
from op_graphs import AT_RUN_TIME, IN_PLANS, with_gradient
from stream_run import OPTIONS, net, write_rows

import dataflow
from dataflow import BackendError, DataflowError, Graph, Model, NonFiniteError, ops
from dataflow.cli import main
from dataflow.errors import MissingExtraError
from dataflow.operations.indexing import parse_key
from dataflow.plan import make_plan
from dataflow.registry import registry
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import cases_of, every_op
from dataflow.training import StopTraining, Trainer, train
from dataflow.training.minibatches import backend_loop

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs the extra jax")
XOR = str(ROOT / "models" / "xor.toml")


# ------------------------------------------------------------------------------------------------ what it needs


def test_without_jax_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    assert "jax" in registry.registry().backends
    model = dataflow.load(XOR)
    calls = [
        lambda: model.compile(values=["loss"], backend="jax")(),
        lambda: Trainer(model, backend="jax"),
        lambda: model.to_jax()(dict(model.parameters), {"x": np.ones((1, 2))}),
    ]
    for call in calls:
        with pytest.raises(MissingExtraError, match=r"dataflow-autodiff\[jax\]"):
            call()
    result = CliRunner().invoke(main, ["run", XOR, "--backend", "jax"])
    assert result.exit_code == 1
    assert 'pip install "dataflow-autodiff[jax]"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--device", "gpu"), 2, "--device goes with --backend"),
        (("--backend", "numpy", "--device", "gpu"), 1, "the backend 'numpy' takes no device"),
        (("--backend", "jax", "--device", "abacus"), 1, "has no device 'abacus'; available: cpu, gpu, tpu"),
        pytest.param(("--backend", "jax", "--device", "tpu"), 1, "finds no device 'tpu' here", marks=needs_jax),
        pytest.param(("--backend", "jax", "--device", "cpu"), 0, "", marks=needs_jax),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["run", "train"])
def test_devices(command: str, arguments: tuple[str, ...], status: int, text: str) -> None:
    more = ["--epochs", "2"] if command == "train" else []
    result = CliRunner().invoke(main, [command, XOR, *arguments, *more])
    assert result.exit_code == status, result.output
    assert text in result.stderr


# ------------------------------------------------------------------------------------------------ every op


@needs_jax
def test_every_op_has_a_function_or_is_known_to_have_none() -> None:
    from dataflow_jax.table.entries import has_ufunc
    from dataflow_jax.table.table import TABLE

    without = {
        name
        for name, op in every_op().items()
        if op.is_primitive and op.family is None and not has_ufunc(op.ufunc) and name not in TABLE and not op.shape_only
    }
    outputs = {name for name, op in every_op().items() if op.is_primitive and op.family is not None}
    # what makes sizes of values is in no plan, and numpy is called back for bits and for graphs as attributes
    assert without <= AT_RUN_TIME | {"bitcast"}
    assert {name.split(":")[0] for name in outputs} <= {"if", "loop", "unique_indices"}


@needs_jax
@pytest.mark.parametrize("name", IN_PLANS)
def test_values_and_gradients_of_every_op(name: str) -> None:
    """Of each op's first sample, against numpy, which other tests compare with 50 digits."""
    for case in cases_of(registry.lookup(name), 0)[:1]:
        graph, outputs, known = with_gradient(case)
        plan = make_plan(graph, outputs, {key: TensorSpec(array.shape, array.dtype) for key, array in known.items()})
        arguments = list(known.values())
        expected = registry.backend("numpy").prepare(plan).run(arguments)
        found = registry.backend("jax").prepare(plan).run(arguments)
        for key, array, value in zip(outputs, found, expected, strict=True):
            assert (array.shape, array.dtype) == (value.shape, value.dtype)
            largest = np.abs(value[np.isfinite(value)]).max(initial=1.0)
            np.testing.assert_allclose(array, value, 1e-11, 1e-12 * largest, err_msg=f"{case.label}: {key}")


@needs_jax
def test_an_index_out_of_range_and_an_op_of_a_plugin() -> None:
    from dataflow.operations.declare_ops import primitive

    @primitive(operation="none")
    def picky(x):  # type: ignore[no-untyped-def]
        """2x, where x is not negative."""
        if (x < 0).any():
            raise DataflowError("picky takes no negative numbers")
        return 2 * x

    picky.shape(lambda x: x.shape)
    graph = Graph("g")
    x, at = graph.input("x", (3,)), graph.input("at", (1, 1), "int64")
    graph.node("y", graph.apply(picky, [x]) + 1)
    graph.node("z", ops.gather_nd(x, at))
    f = Model(graph, ["y", "z"]).compile(values=["y", "z"], backend="jax")
    values = f(x=[1.0, 2.0, 3.0], at=[[-1]])[0]
    assert values["y"].tolist() == [3, 5, 7]
    assert values["z"].tolist() == [3]
    with pytest.raises(DataflowError, match="index 3 is out of range for axis 0 of size 3"):
        f(x=[1.0, 2.0, 3.0], at=[[3]])
    with pytest.raises(DataflowError, match="node 'y.*picky takes no negative numbers"):
        f(x=[1.0, -2.0, 3.0], at=[[0]])


CHOICE = """
dataflow = 2
[inputs]
x = { shape = ["steps", "n", 2] }
y = { shape = ["n", 3] }
big = { shape = [], dtype = "bool" }
[parameters]
W = { value = [[0.1, 0.2, -0.3], [0.5, -0.4, 0.2]] }
R = { value = [[0.3, 0.1, 0.0], [-0.2, 0.4, 0.1], [0.0, 0.2, -0.5]] }
[blocks.cell]
inputs = ["h", "x", "W", "R"]
outputs = { h = "new", y = "new" }
nodes.new = "tanh(x @ W + h @ R)"
[blocks.double]
inputs = ["a"]
output = "b"
constants.two = { value = [2.0] }
nodes.b = "a * two"
[blocks.same]
inputs = ["a"]
output = "b"
nodes.b = "a"
[nodes]
run = "scan(y * 0, x, W, R, body='cell')"
last = { op = "if", inputs = ["big", "run:h"], attributes = { then = "double", orelse = "same" } }
loss = "mse(last['b'], y)"
[model]
outputs = ["last:b"]
loss = "loss"
"""


@needs_jax
@pytest.mark.parametrize("rows", [0, 4])
@pytest.mark.parametrize("steps", [5, 12])
def test_a_choice_after_many_steps(steps: int, rows: int, tmp_path: Path) -> None:
    """Numpy computes it, with 64 bits, though JAX may call it on a thread where they are off."""
    (tmp_path / "choice.toml").write_text(CHOICE, encoding="utf-8")
    model, rng = dataflow.load(tmp_path / "choice.toml"), np.random.default_rng(0)
    for big in (True, False):
        data = {"x": rng.normal(size=(steps, rows, 2)), "y": rng.normal(size=(rows, 3)), "big": np.array(big)}
        runs = [
            model.compile(values=["last:b", "loss"], gradients=["W", "R", "x"], of="loss", backend=backend)(data=data)
            for backend in ("numpy", "jax")
        ]
        for expected, found in zip(*runs, strict=True):
            for name, array in expected.items():
                assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
                np.testing.assert_allclose(found[name], array, 1e-12, 1e-13, err_msg=name)


@needs_jax
@pytest.mark.parametrize(
    "key", ["1", "::-1", "1:4:2", "..., ::2", ":, 1:3", "newaxis, 2", "::-2, 0", "0, ::-1", "..., newaxis"]
)
def test_windows_of_windows(key: str) -> None:
    """A slice of what was transposed, cut, or read in another shape: numpy's own slices tell what is in it."""
    x = np.arange(60.0).reshape(5, 12)
    graph = Graph("g")
    node = graph.input("x", (5, 12))
    for name, value in {
        "a": node.T[2:11],
        "b": ops.reshape(node[1:4], shape=(9, 4)),
        "c": ops.reshape(ops.reshape(node, shape=(60,))[3:51], shape=(6, 8)),
        "d": ops.broadcast_to(node[:, 0], shape=(4, 5)),
    }.items():
        graph.node(name, ops.index(value, key=key))
    found = Model(graph, list("abcd")).compile(values=list("abcd"), backend="jax")(x=x)[0]
    sources = {"a": x.T[2:11], "b": x[1:4].reshape(9, 4), "c": x.ravel()[3:51].reshape(6, 8)}
    sources["d"] = np.broadcast_to(x[:, 0], (4, 5))
    for name, source in sources.items():
        items = parse_key(key)
        expected = source[items if Ellipsis in items else (*items, Ellipsis)]
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


# ------------------------------------------------------------------------------------------------ training

TASKS: list[dict[str, Any]] = [
    {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}},
    {"optimizer": {"name": "adamw", "learning_rate": 0.02}, "clip": {"norm": 0.3}, "accumulate": 3},
    {"optimizer": {"name": "rmsprop", "momentum": 0.9, "weight_decay": 0.1}, "schedule": "cosine"},
    {"optimizer": {"name": "adagrad", "weight_decay": 0.1}, "clip": {"value": 0.02}},
    {"optimizer": {"name": "lion", "learning_rate": 0.003, "weight_decay": 0.5}, "frozen": ["W1"]},
]


@needs_jax
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", TASKS, ids=lambda options: options["optimizer"]["name"])
def test_the_same_training_as_with_numpy(options: dict[str, Any], dtype: str) -> None:
    """53 examples in minibatches of 8: the last of an epoch has five."""
    found = {}
    for backend in ("numpy", "jax"):
        model = classifier(count=53, dtype=dtype)
        trainer = Trainer(model, batch_size=8, shuffle=True, backend=backend, **options)
        assert (trainer._inside is None) == (backend == "numpy")
        trainer.run(17)
        found[backend] = model.parameters
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    for name, value in found["numpy"].items():
        np.testing.assert_allclose(found["jax"][name], value, tolerance, tolerance)


@needs_jax
def test_dropout_and_running_statistics_are_numpy_s() -> None:
    found = {}
    for backend in ("numpy", "jax"):
        graph = Graph("net")
        x, y = graph.input("x", ("n", 6)), graph.input("y", ("n", 2))
        mean, variance = graph.parameter("mean", (6,), init="zeros"), graph.parameter("variance", (6,), init="ones")
        scale, bias = graph.parameter("scale", (6,), init="ones"), graph.parameter("bias", (6,), init="zeros")
        h = ops.dropout(ops.batch_norm(x, scale, bias, mean, variance), rate=0.5)
        graph.node("loss", ops.mse(h @ graph.parameter("W", (6, 2), init="he_normal"), y))
        rng = np.random.default_rng(0)
        data = {"x": rng.normal(size=(40, 6)), "y": rng.normal(size=(40, 2))}
        model = Model(graph, [], "loss")
        Trainer(model, data, batch_size=16, shuffle=True, learning_rate=0.01, backend=backend).run(11)
        found[backend] = model.parameters
    assert abs(found["numpy"]["mean"]).max() > 0.01
    for name, value in found["numpy"].items():
        np.testing.assert_allclose(found["jax"][name], value, 1e-11, 1e-12, err_msg=name)


@needs_jax
def test_a_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "backend": "jax",
        "batch_size": 8,
        "shuffle": True,
        "epochs": 3,
        "optimizer": "adam",
        "schedule": "cosine",
    }
    whole, stopped = classifier(count=53), classifier(count=53)
    train(whole, **settings)

    def stop(progress: Any) -> None:
        if progress.epoch == 2 and progress.batch == 4:
            raise StopTraining

    train(stopped, checkpoint=tmp_path, on_batch=stop, **settings)
    again = classifier(count=53)
    train(again, checkpoint=tmp_path, resume=True, **settings)
    assert bits(again) == bits(whole) != bits(stopped)


@needs_jax
@pytest.mark.parametrize("clip", [None, {"value": 1.0}], ids=str)
def test_what_is_not_finite_ends_at_its_minibatch(clip: dict[str, float] | None) -> None:
    steps = {}
    for backend in ("numpy", "jax"):
        graph = Graph("line")
        x, w = graph.input("x", ("n",)), graph.parameter("w", value=1.0)
        graph.node("loss", ops.sum(ops.sqrt(w * x)))
        data = {"x": np.array([1.0] * 13 + [0.0] + [1.0] * 6)}  # the root's derivative at 0 is infinite
        trainer = Trainer(Model(graph, [], "loss"), data, batch_size=1, learning_rate=1e-3, clip=clip, backend=backend)
        with pytest.raises(NonFiniteError) as error:
            trainer.run(20)
        steps[backend] = trainer.steps, trainer.batches.position, str(error.value), bits(trainer.model)
    assert steps["jax"][:3] == steps["numpy"][:3]
    assert steps["jax"][0] == 13


@needs_jax
@pytest.mark.parametrize("clip", [{"norm": 1.0}, {"value": 1.0}], ids=str)
def test_clipping_hides_no_infinite_gradient(clip: dict[str, float]) -> None:
    """d√w/dw is infinite at 0, though √0 is not."""
    graph = Graph("root")
    x, w = graph.input("x", ("n",)), graph.parameter("w", value=0.0)
    graph.node("loss", ops.sum(x + ops.sqrt(w)))
    model = Model(graph, loss="loss")
    trainer = Trainer(model, {"x": [1.0] * 4}, batch_size=1, clip=clip, backend="jax")
    with pytest.raises(NonFiniteError, match="epoch 1, batch 1 of 4"):
        trainer.run(4)
    assert trainer.steps == 0
    assert model.parameters["w"] == 0


@needs_jax
def test_the_user_s_settings_of_jax_stay() -> None:
    import jax
    import jax.numpy as jnp

    assert not jax.config.jax_enable_x64
    model = dataflow.load(XOR)
    Trainer(model, backend="jax").run(3)
    assert model.compile(values=["loss"], backend="jax")()[0]["loss"].dtype == np.float64
    assert not jax.config.jax_enable_x64
    assert jnp.ones(2).dtype == np.float32


@needs_jax
def test_a_stream_that_refills_its_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of seven minibatches come to one place, one after the other."""
    folder = write_rows(tmp_path / "rows", 403)
    monkeypatch.setattr(backend_loop, "BLOCK_BYTES", 7 * 16 * 32)
    expected, model = net(), net()
    for one, backend in ((expected, "numpy"), (model, "jax")):
        train(one, folder, **{**OPTIONS, "backend": backend})
    for name, value in expected.parameters.items():
        np.testing.assert_allclose(model.parameters[name], value, 1e-10, 1e-11, err_msg=name)


@needs_jax
@pytest.mark.parametrize("places", [(0, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan], ids=str)
def test_what_is_not_finite_meets_the_zeros_of_padding(value: float, places: tuple[int, int]) -> None:
    """0 · ∞ is NaN in numpy; in a factor, in the gradient, and beside weights that are 0."""
    graph = Graph("g")
    x, W, t = graph.input("x", (1, 1, 3)), graph.input("W", (1, 1, 3)), graph.input("t", (1, 1, 5))
    y = graph.node("y", ops.conv(x, W, padding=2))
    z = graph.node("z", ops.resample(x, axis=2, size=(5,), scale=5 / 3, mode="linear", coordinates="align_corners"))
    graph.node("loss", ops.sum(y * t) + ops.sum(z * t))
    model, rng = Model(graph, ["y", "z"], "loss"), np.random.default_rng(0)
    for name in ("x", "W", "t"):
        data = {"x": rng.normal(size=(1, 1, 3)), "W": rng.normal(size=(1, 1, 3)), "t": rng.normal(size=(1, 1, 5))}
        data[name][0, 0, places[0]] = value
        data[name][0, 0, places[1]] *= -2
        runs = [
            model.compile(values=["y", "z", "loss"], gradients=["x", "W"], backend=backend)(data=data)
            for backend in ("numpy", "jax")
        ]
        for expected, found in zip(*runs, strict=True):
            for key, array in expected.items():
                np.testing.assert_allclose(found[key], array, 1e-12, 1e-12, err_msg=f"{name}: {key}")


SHARED = """
import json, sys
import numpy as np
sys.path.insert(0, {helpers!r})
from nets import classifier
from dataflow import Trainer
import jax
model = classifier(count=50)
trainer = Trainer(model, batch_size=8, shuffle=True, optimizer="adam", backend="jax")
trainer.run(15)
shares = {{len(array.devices()) for array in trainer._inside._blocks._loop._data.values()}}
found = {{k: np.ravel(v).tolist() for k, v in model.parameters.items()}}
print(json.dumps([len(jax.devices()), sorted(shares), found]))
"""


@needs_jax
def test_four_devices_share_a_minibatch() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    code = SHARED.format(helpers=str(ROOT / "tests" / "helpers"))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    count, shares, parameters = json.loads(done.stdout)
    assert (count, shares) == (4, [4])
    model = classifier(count=50)
    Trainer(model, batch_size=8, shuffle=True, optimizer="adam").run(15)
    for name, value in model.parameters.items():
        np.testing.assert_allclose(parameters[name], np.ravel(value), 1e-11, 1e-12, err_msg=name)


# ------------------------------------------------------------------------------------------------ a function for JAX


@needs_jax
@pytest.mark.parametrize("name", ["xor", "digits", "penguins"])
def test_jax_differentiates_a_model_as_we_do(name: str) -> None:
    import jax

    model = dataflow.load(f"models/{name}.toml")
    assert model.data is not None
    assert model.loss is not None
    inputs = {key: array[:16] for key, array in model.data.load(model.graph).items()}
    f, parameters = model.to_jax([model.loss]), dict(model.parameters)
    expected = model.evaluate(of=model.loss, wrt=list(parameters), data=inputs).gradients
    for wide, tolerance in ((True, 1e-12), (False, 1e-4)):
        with jax.enable_x64(wide):
            found = jax.jit(jax.grad(lambda own: f(own, inputs)[model.loss]))(parameters)
            for key, value in expected.items():
                assert found[key].dtype == (np.float64 if wide else np.float32)
                np.testing.assert_allclose(found[key], value, tolerance, tolerance, err_msg=key)


@needs_jax
def test_gradients_of_each_example_and_updates_of_a_tree() -> None:
    """vmap of grad inside jit, and descent over the tree of parameters, against what we compute for the same model."""
    import jax

    model = classifier(count=8)
    assert model.data is not None
    inputs = model.data.load(model.graph)
    f, parameters = model.to_jax(["loss"]), dict(model.parameters)
    expected = model.per_example_gradients(data=inputs)
    with jax.enable_x64(True):
        one = jax.grad(lambda own, x, y: f(own, {"x": x[None], "y": y[None]})["loss"])
        found = jax.jit(jax.vmap(one, (None, 0, 0)))(parameters, inputs["x"], inputs["y"])
        for name, value in expected.items():  # the loss is a mean over 8
            np.testing.assert_allclose(found[name] / 8, value, 1e-12, 1e-13, err_msg=name)
        moved = jax.tree.map(lambda own, each: own - 0.1 * each.mean(0), parameters, found)
    descent = {"name": "sgd", "learning_rate": 0.1}
    Trainer(model, inputs, batch_size=8, validation=0.0, optimizer=descent).run(1)
    for name, value in model.parameters.items():
        np.testing.assert_allclose(moved[name], value, 1e-12, 1e-13, err_msg=name)


@needs_jax
def test_what_jax_cannot_differentiate_is_named() -> None:
    """An op of a plugin, which numpy computes."""
    import jax

    from dataflow.operations.declare_ops import primitive

    @primitive(operation="none")
    def foreign(x):  # type: ignore[no-untyped-def]
        """2x."""
        return 2 * x

    foreign.shape(lambda x: x.shape)
    graph = Graph("g")
    graph.node("y", graph.apply(foreign, [graph.input("x", ("n",))]))
    f = Model(graph, ["y"]).to_jax()
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(lambda x: f({}, {"x": x})["y"]))(np.ones((2, 3))), np.full((2, 3), 2)
    )
    with pytest.raises(BackendError, match=r"node 'y'.*no derivative of op 'foreign'.*model\.gradients"):
        jax.grad(lambda x: f({}, {"x": x})["y"].sum())(np.ones(3))


@needs_jax
def test_jax_maps_a_model_over_examples() -> None:
    import jax

    model = dataflow.load(XOR)
    f, x = model.to_jax(["yhat"]), np.array([[0.0, 1.0], [1.0, 1.0], [0.5, -1.0]])
    parameters = dict(model.parameters)
    found = jax.vmap(lambda row: f(parameters, {"x": row[None]})["yhat"][0])(x)
    np.testing.assert_allclose(found, model.compile(values=["yhat"])(x=x)[0]["yhat"], 1e-6)
    with pytest.raises(DataflowError, match="the input 'x' is not given"):
        f(parameters, {})
    with pytest.raises(BackendError, match="'numpy' gives no functions"):
        registry.backend("numpy").function(None)


@needs_jax
def test_the_page_s_examples_run() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```py\n(.*?)```", (ROOT / "docs" / "jax.md").read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)  # noqa: S102
    assert names["gradients"].keys() == names["parameters"].keys()
    np.testing.assert_allclose(names["rows"], names["f"](names["parameters"], {"x": names["x"]})["yhat"], 1e-6)
