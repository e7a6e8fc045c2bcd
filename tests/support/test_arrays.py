"""Arrays that leave a model are copies, or read-only and never change; what a caller gives may change afterwards.

Each public way out is a row of one table. An array that can be written to is written to, then everything is asked
again: the answers must be those from before, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataflow
from dataflow.data.source import DataSource

X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def built(data: Mapping[str, Any] | None = None) -> dataflow.Model:
    """A net with a constant, views of its inputs and parameters, literal and drawn parameters."""
    graph = dataflow.Graph("net")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    W1, b1 = graph.parameter("W1", (2, 2), init="he_normal"), graph.parameter("b1", value=[0.1, -0.2])
    W2 = graph.parameter("W2", value=[[0.7, -1.3]])
    c = graph.constant("c", [0.5, 0.25])
    turned, same = graph.node("turned", x.T), graph.node("same", dataflow.ops.identity(W1))
    h = graph.node("h", dataflow.ops.tanh(turned.T @ same.T + b1) * c)
    yhat = graph.node("yhat", h @ W2.T)
    graph.node("loss", dataflow.ops.mse(yhat, y))
    source = DataSource({"x": X.copy(), "y": Y.copy()} if data is None else data)
    return dataflow.Model(graph, outputs=["yhat"], loss="loss", data=source)


def fed(model: dataflow.Model) -> dict[str, np.ndarray]:
    """Other inputs than the declared ones."""
    return {"x": X + 0.5, "y": Y}


ALL = {"of": "loss", "wrt": ["W1", "b1", "x", "h"]}
ONES = {"W1": np.ones((2, 2)), "b1": np.ones(2)}
WAYS_OUT: dict[str, Callable[[dataflow.Model], Any]] = {
    "run": lambda model: model.run(),
    "run with inputs": lambda model: model.run(**fed(model)),
    "evaluate": lambda model: model.evaluate(**ALL),
    "gradients": lambda model: model.gradients(**ALL),
    "jacobian": lambda model: model.jacobian(of="yhat", wrt=["W1", "x"]),
    "jacobian of itself": lambda model: model.jacobian(of="W1", wrt="W1"),
    "vjp": lambda model: model.vjp(of="turned", wrt=["x"], cotangent=np.ones((2, 4))),
    "jvp": lambda model: model.jvp(of="same", wrt=["W1"], tangents={"W1": ONES["W1"]}),
    "hvp": lambda model: model.hvp(wrt=["W1", "b1"], tangents=ONES),
    "hessian": lambda model: model.hessian(wrt=["W1", "b1"]),
    "per_example_gradients": lambda model: model.per_example_gradients(),
    "one_example": lambda model: model.one_example(None, 1),
    "parameters": lambda model: dict(model.parameters),
    "a constant": lambda model: model.graph.node_of("c").value,
    "a literal": lambda model: model.graph.node_of("b1").value,
    "the declared data": lambda model: model.data.load(model.graph) if model.data else None,
    "what is kept of training": lambda model: model.training,
    "explain": lambda model: dataflow.explain(model, wrt=["W1", "x"], order=["yhat", "h", "same", "turned"]),
    **{
        f"compile, {backend}": lambda model, backend=backend: model.compile(
            values=["x", "turned", "same", "c", "W1", "loss"], gradients=["W1", "b1", "x"], backend=backend
        )()
        for backend in ("numpy", "llvm")
    },
    "trainer.parameters": lambda model: dataflow.Trainer(model).parameters,
    "minibatches": lambda model: dict(dataflow.Trainer(model, batch_size=2).batches.current()),
}


def arrays(found: Any) -> Iterator[np.ndarray]:
    """All arrays in what a way out gives, those of nested objects included."""
    if isinstance(found, np.ndarray):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from arrays(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from arrays(value)
    elif is_dataclass(found):
        for field in fields(found):
            yield from arrays(getattr(found, field.name))


def bits(found: Any) -> list[bytes]:
    return [array.tobytes() for array in arrays(found)]


def scribble(found: Any) -> None:
    """Write into every array that lets us."""
    for array in arrays(found):
        if array.flags.writeable:
            array[...] = 7


def prepared(how: str, folder: Path) -> dataflow.Model:
    model = built()
    if how == "trained":
        dataflow.train(model, epochs=2, optimizer={"name": "sgd", "learning_rate": 0.1, "momentum": 0.9})
    elif how == "in training":
        dataflow.Trainer(model).run(2)
    elif how != "built":
        dataflow.train(model, epochs=1)
        dataflow.save(model, folder / "m.msgpack")
        model = dataflow.load(folder / "m.msgpack", mmap=how == "mapped")
    return model


@pytest.mark.parametrize(
    "how",
    ["built", "mapped", *(pytest.param(how, marks=pytest.mark.slow) for how in ("trained", "in training", "read"))],
)
@pytest.mark.parametrize("way", WAYS_OUT)
def test_writing_into_a_result_changes_nothing(way: str, how: str, tmp_path: Path) -> None:
    if way.endswith("llvm") and how != "built":
        pytest.skip("one compilation is enough")
    model = prepared(how, tmp_path)
    asked = {name: WAYS_OUT[name] for name in (way, "run", "gradients", "parameters", "trainer.parameters")}
    before = {name: bits(ask(model)) for name, ask in asked.items()}
    assert before[way] or way == "what is kept of training"
    scribble(WAYS_OUT[way](model))
    for name, ask in asked.items():
        assert bits(ask(model)) == before[name], name


@pytest.mark.parametrize("way", [way for way in WAYS_OUT if not way.endswith("llvm")])
def test_a_result_that_was_kept_never_changes(way: str) -> None:
    model = built()
    trainer = dataflow.Trainer(model, optimizer={"name": "sgd", "learning_rate": 0.5, "momentum": 0.9})
    trainer.step()
    kept = WAYS_OUT[way](model)
    before = bits(kept)
    trainer.run(3)
    dataflow.train(model, epochs=2)
    model.parameters["W1"] = np.zeros((2, 2))
    model.run(**fed(model))
    assert bits(kept) == before


def test_parameters_kept_after_each_epoch_are_those_of_that_epoch() -> None:
    model = built()
    kept: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
    dataflow.train(
        model,
        epochs=3,
        learning_rate=0.5,
        on_epoch=lambda _: kept.append((dict(model.parameters), model.run()["loss"])),
    )
    for parameters, loss in kept:
        assert model.run(x=X, y=Y, **parameters)["loss"] == loss
    assert len({parameters["W1"].tobytes() for parameters, _ in kept}) == 3
    assert model.parameters["W1"].tobytes() == kept[-1][0]["W1"].tobytes()


def test_parameters_are_set_by_name_and_not_in_place() -> None:
    model = built()
    with pytest.raises(ValueError, match="assignment destination is read-only"):
        model.parameters["W1"][0] = 1
    given = np.ones((2, 2))
    model.parameters["W1"] = given
    given[...] = 5
    assert model.parameters["W1"].tolist() == [[1, 1], [1, 1]]
    assert model.parameters["W1"] is model.parameters["W1"]  # no copy where nothing changes it


def _asked(how: str, x: np.ndarray) -> Callable[[], Any]:
    """What answers from an array that was given once."""
    graph = dataflow.Graph()
    if how == "run":
        result = built().run(x=x)
        return lambda: result
    if how == "declared data":
        model = built({"x": x, "y": Y})
        model.run()
        return model.run
    if how == "explain":
        explanation = dataflow.explain(built(), of="h", wrt="W1", x=x, example=1)
        return explanation.to_json
    if how == "training":
        return dataflow.Trainer(built(), {"x": x, "y": Y}, batch_size=3, validation=0.25).measure
    if how == "a constant":
        graph.constant("constant", x)
    elif how == "a literal":
        graph.parameter("constant", value=x)
    else:
        graph.node("sum", graph.input("i", (4, 2)) + x)
        return lambda: graph.node_of("sum.constant").value
    return lambda: graph.node_of("constant").value


WAYS_IN = ["run", "declared data", "explain", "training", "a constant", "a literal", "beside a value"]


@pytest.mark.parametrize("how", WAYS_IN)
def test_what_a_caller_does_to_its_arrays_later_does_not_matter(how: str) -> None:
    given = X.copy()
    ask = _asked(how, given)
    before = repr(ask())
    given[...] = 9
    assert repr(ask()) == before


def test_a_view_of_an_array_that_the_caller_can_write_to_is_copied() -> None:
    given = X.copy()
    shown = np.broadcast_to(given, X.shape)  # read-only, of memory that is not
    result = built().run(x=shown)
    given[...] = 9
    assert result["x"].tolist() == X.tolist()


def test_nothing_is_copied_that_nobody_can_change() -> None:
    fixed = np.frombuffer(X.tobytes()).reshape(X.shape)
    assert built().run(x=fixed)["x"].base is fixed.base or np.shares_memory(built().run(x=fixed)["x"], fixed)
    model = built()
    dataflow.train(model, epochs=1)
    assert np.shares_memory(model.run()["W1"], model.parameters["W1"])


@pytest.mark.skipif(not hasattr(__import__("os"), "truncate"), reason="no truncate")
@pytest.mark.parametrize("mmap", [False, "auto", True])
def test_a_file_that_is_cut_off_while_its_model_is_in_use(tmp_path: Path, mmap: Any) -> None:
    path = tmp_path / "m.msgpack"
    model = built()
    dict(model.parameters)
    dataflow.save(model, path)
    loaded, before = dataflow.load(path, mmap=mmap), model.run()["loss"]
    assert loaded.run()["loss"] == before
    with open(path, "r+b") as file:
        file.truncate(10)
    for ask in (
        lambda: loaded.run()["loss"],
        lambda: loaded.compile(values=["loss"])()[0]["loss"],
        lambda: loaded.jacobian(of="loss", wrt="c").shape and before,
        lambda: dict(loaded.parameters) and before,
        lambda: dataflow.save(loaded, tmp_path / "other.msgpack") or before,
        lambda: dataflow.train(loaded, epochs=0) and before,
    ):
        if mmap is True:
            with pytest.raises(dataflow.FileFormatError, match=r"m\.msgpack: was changed on disk"):
                ask()
        else:
            assert ask() == before


def test_saving_over_a_mapped_file_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "m.msgpack"
    model = built()
    before = model.run()["loss"]
    dataflow.save(model, path)
    loaded = dataflow.load(path, mmap=True)
    loaded.parameters["b1"] = [3, 3]
    dataflow.save(loaded, path)
    assert loaded.run(x=X, y=Y, b1=[0.1, -0.2])["loss"] == before
    assert dataflow.load(path).parameters["b1"].tolist() == [3, 3]
