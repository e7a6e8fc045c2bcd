"""Limits: how much is read of a file unless it is trusted, and how a user raises them."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dataflow
from dataflow import DataError, DataflowError, Graph, GraphError, Limits
from dataflow.cli.group import main
from dataflow.data.source import read_data
from dataflow.files.toml.read import loads_toml
from dataflow.limits import VARIABLE, current

CHAIN = "dataflow = 1\ninputs.x = {}\n[nodes]\na0 = '-x'\n" + "".join(f"a{i} = '-a{i - 1}'\n" for i in range(1, 60))
ONE = "dataflow = 1\ninputs.x = {}\nnodes.y = '" + "+".join("x" * 40) + "'\n"
BLOCK = (
    "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['a']\noutput = 'z'\nparameters.p = { value = 1.0 }\n"
    "nodes.z = 'a * p + a'\n[nodes]\n" + "".join(f"c{i} = 'b(x)'\n" for i in range(10))
)


@pytest.mark.parametrize("text", [CHAIN, ONE, BLOCK])
def test_nodes_are_counted_before_they_are_built(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.toml"
    path.write_text(text)
    count = len(dataflow.load(path).graph)
    with monkeypatch.context() as patch:
        patch.setattr(Graph, "apply", lambda *_: pytest.fail("built"))
        with pytest.raises(
            DataflowError, match="nodes.*; if you trust the file, raise the limit: DATAFLOW_LIMITS=nodes="
        ):
            dataflow.load(path, limits=Limits(nodes=30))
    assert len(dataflow.load(path, limits=Limits(nodes=2 * count)).graph) == count
    dataflow.save(dataflow.load(path), tmp_path / "model.msgpack")
    with pytest.raises(DataflowError, match=f"there are {count} nodes; a file has at most 30; .*LIMITS=nodes={count}$"):
        dataflow.load(tmp_path / "model.msgpack", limits=Limits(nodes=30))
    assert len(dataflow.load(tmp_path / "model.msgpack", limits=Limits(nodes=count)).graph) == count


def test_structure(tmp_path: Path) -> None:
    model = dataflow.Model(Graph("net"), doc="x" * 1000)
    for ending in (".toml", ".msgpack"):
        path = tmp_path / f"model{ending}"
        dataflow.save(model, path)
        with pytest.raises(DataflowError, match="raise the limit: DATAFLOW_LIMITS=structure=1MiB"):
            dataflow.load(path, limits=Limits(structure=999))
        assert dataflow.load(path).doc == model.doc
    with Limits(structure=999), pytest.raises(DataflowError, match="TOML is read up to"):
        dataflow.save(model, tmp_path / "model.toml")


def test_packed_data(tmp_path: Path) -> None:
    graph = Graph("data")
    graph.input("x", ("n",))
    rows = 5 * 2**20
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x\n" + (b"0" * 199 + b"\n") * 2**18, 9))
    with pytest.raises(DataError, match=r"unpacks to more than 16 MiB and 100 times its own .*LIMITS=unpacked=\d+"):
        read_data(path, graph)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(rows))
    with pytest.raises(DataError, match=r"a\.npz: unpacks to more than 16 MiB and 100 times its own size"):
        read_data(tmp_path / "a.npz", graph)
    with Limits(unpacked=2000):
        assert read_data(tmp_path / "a.npz", graph)["x"].shape == (rows,)


def test_limits_hold_for_a_while() -> None:
    assert current() == Limits()
    with Limits(nodes=3) as outer:
        with Limits(structure=4) as inner:
            assert current() is inner
        assert current() is outer
    with pytest.raises(ZeroDivisionError), outer:
        raise ZeroDivisionError
    assert current() == Limits()


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", Limits()),
        ("nodes=5", Limits(nodes=5)),
        (" nodes = 5 , structure=2MiB,", Limits(nodes=5, structure=2**21)),
        ("structure=1g,unpacked=7", Limits(structure=10**9, unpacked=7)),
    ],
)
def test_the_environment(text: str, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert current() == limits
    with Limits(nodes=9):
        assert current() == Limits(nodes=9)


@pytest.mark.parametrize(
    "text", ["nodes", "nodes=-1", "nodes=x", "depth=3", "nodes=1e6", "nodes=5;structure=3", "nodes=0"]
)
def test_an_environment_that_says_something_else(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, text)
    path = tmp_path / "model.toml"
    path.write_text(CHAIN)
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 1
    error = done.stderr
    assert error.count("\n") == 1
    assert "nodes=1000000,structure=256MiB" in error or "a whole number, 1 or more" in error


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"nodes": 1.5}, {"structure": True}, {"unpacked": "3"}])
def test_limits_are_whole_numbers(wrong: dict[str, int]) -> None:
    with pytest.raises(DataflowError, match="is a whole number, 1 or more"):
        Limits(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["outputs", "data", "columns"])
def test_time_grows_with_the_names_that_a_file_lists(what: str, tmp_path: Path) -> None:
    def text(count: int) -> str:
        names = [f"a{i}" for i in range(count)]
        inputs = "dataflow = 1\n[inputs]\n" + "".join(f"{name} = {{ shape = ['n'] }}\n" for name in names)
        return (
            inputs
            + {
                "outputs": f"[model]\noutputs = {names}\n",
                "data": "[data]\n" + "".join(f"{name} = [1.0]\n" for name in names),
                "columns": "[data]\nfile = 'a.csv'\n[data.columns]\n" + "".join(f"{name} = 'c'\n" for name in names),
            }[what]
        )

    def seconds(count: int) -> float:
        path = tmp_path / f"{count}.toml"
        path.write_text(text(count))
        tries = []
        for _ in range(3):
            start = time.process_time()
            dataflow.load(path)
            tries.append(time.process_time() - start)
        return min(tries)

    assert seconds(16_000) < 8 * 3 * seconds(2000)  # 64 times as long if it grew with the square


def test_an_output_is_listed_once() -> None:
    graph = Graph("twice")
    graph.node("y", -graph.input("x", ("n",)))
    with pytest.raises(GraphError, match="the output 'y' is listed twice"):
        dataflow.Model(graph, outputs=["x", "y", "y"])


def test_too_little_memory_is_an_error_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was accepted runs or raises a DataflowError, also where its arrays do not fit into memory."""

    def none_left(*_: object, **__: object) -> None:
        raise MemoryError

    graph = Graph("large")
    w = graph.parameter("w", (1000, 1024), init="normal")
    graph.node("y", w * w)
    graph.node("l", dataflow.ops.sum(graph.value("y")))
    message = r"'y'.*there is not enough memory for 7\.82 MiB; give less data, or use float32"
    with monkeypatch.context() as patch, pytest.raises(DataflowError, match=message):
        patch.setattr(dataflow.ops.multiply, "compute", none_left)
        dataflow.Model(graph, loss="l").run()
    with monkeypatch.context() as patch, pytest.raises(DataflowError, match=message.replace("'y'", "'w'")):
        patch.setattr(dataflow.registry.initializer("normal"), "draw", none_left)
        dataflow.Model(graph, loss="l").gradients()
    step = dataflow.Model(graph, loss="l").compile(values=["l"], gradients=["w"], backend="numpy")
    with monkeypatch.context() as patch, pytest.raises(DataflowError, match="there is not enough memory"):
        patch.setattr("dataflow.backends.numpy_runner.np.empty", none_left)
        step()


def test_what_numpy_refuses_is_an_error_of_the_model() -> None:
    """A whole number to the power of −1 is no whole number; numpy raises a ValueError."""
    graph = Graph("whole")
    x, y = (graph.input(name, ("n",), dtype="int64") for name in "xy")
    graph.node("z", x**y)
    model = dataflow.Model(graph, outputs=["z"])
    given = {"x": np.array([2, 3]), "y": np.array([-1, 2])}
    with pytest.raises(DataflowError, match="'z'.*negative integer powers"):
        model.run(data=given)
    for backend in ("numpy", "llvm"):
        with pytest.raises(DataflowError, match="negative integer powers.*; 'dataflow run' says at which node"):
            model.compile(values=["z"], backend=backend)(data=given)


@pytest.mark.parametrize("rows", [1, 3])
def test_one_hot_inputs_have_one_limit_together(rows: int, tmp_path: Path) -> None:
    """No input takes much by itself: 4 inputs, 1000 classes, 8 bytes each."""
    names = ["a", "b", "c", "d"]
    text = "dataflow = 1\n[inputs]\n" + "".join(f"{name} = {{ shape = ['n', 1000] }}\n" for name in names)
    text += "[nodes]\ny = 'sum(a + b + c + d)'\n[data]\n" + "".join(f"{name} = {[1] * rows}\n" for name in names)
    path = tmp_path / "m.toml"
    path.write_text(text + f"one_hot = {{ {', '.join(f'{name} = 1000' for name in names)} }}\n")
    need = 4 * 1000 * 8 * rows
    with Limits(memory=need - 1), pytest.raises(DataError, match=r"the largest, 'a', .*DATAFLOW_LIMITS=memory=1MiB"):
        dataflow.load(path)
    with Limits(memory=need):
        assert dataflow.load(path).run()["y"] == 4 * rows


def test_columns_that_are_listed_many_times(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n" + "1,2\n" * 10)
    path = tmp_path / "m.toml"
    columns = ", ".join(["'a:b'"] * 500)
    path.write_text(
        "dataflow = 1\ninputs.x = { shape = ['n', 'm'] }\nnodes.y = 'sum(x)'\n"
        f"[data]\nfile = 'd.csv'\ncolumns = {{ x = [{columns}] }}\n"
    )
    made = 8 * 10 * (1000 - 2)  # bytes of the input beyond those of the table
    with Limits(memory=made - 1), pytest.raises(DataError, match="'x' with 1,000 columns"):
        dataflow.load(path).run()
    with Limits(memory=made):
        assert dataflow.load(path).run()["y"] == 15000
    with Limits(memory=64 * 999), pytest.raises(DataError, match="more than 999 columns are listed for input 'x'"):
        dataflow.load(path).run()
    assert dataflow.load(path).run()["y"] == 15000


def test_inputs_that_are_missing_are_found_in_one_walk() -> None:
    """A chain of sums, each of one more input: twice as long takes twice the time, not four times (it took minutes)."""
    graph = Graph("long")
    inputs = [graph.input(f"x{i}") for i in range(4000)]
    total = inputs[0]
    for one in inputs[1:]:
        total = total + one
    graph.node("y", total)
    began = time.process_time()
    found = dataflow.Model(graph, ["y"]).evaluate(data={})
    assert time.process_time() - began < 5
    assert found.not_computed["y"] == [f"x{i}" for i in range(13)]
    assert found.not_computed["x7"] == ["x7"]


def test_work_is_counted_not_timed() -> None:
    pytest.importorskip("sympy")
    graph = Graph("chain")
    w, b = graph.parameter("w", value=0.5), graph.parameter("b", value=0.25)
    h = w * b
    for i in range(12):
        h = graph.node(f"h{i}", dataflow.ops.tanh(h * w + b))
    model = dataflow.Model(graph, loss="h11")
    with Limits(work=10_000), pytest.raises(dataflow.WorkLimitError, match=r"'h11' with respect to 'b'.*work=100000$"):
        dataflow.derive(model, wrt="b")
    short = dataflow.Model(graph)
    with Limits(work=200_000):
        result = dataflow.derive(short, of="h1", wrt="b")
    expected = short.gradients(of="h1", wrt="b", data={})["b"]  # from the ops' derivative rules, not from sympy
    assert result.largest_error < 1e-9 * (1 + abs(float(expected)))


@pytest.mark.slow
@pytest.mark.parametrize("wrt", ["W0", "b1"])
def test_a_derivation_that_sympy_cannot_simplify_ends(wrt: str) -> None:
    """Two rational functions, one inside the other: simplifying them takes sympy more than ten minutes."""
    pytest.importorskip("sympy")
    text = (
        "dataflow = 1\n[inputs]\nx = { shape = ['n', 1] }\ny = { shape = ['n', 2] }\n[parameters]\n"
        "W0 = { value = [[-2.441]] }\nb0 = { value = [1.8] }\nW1 = { value = [[1.144]] }\nb1 = { value = [-0.325] }\n"
        "W2 = { value = [[0.774], [0.281]] }\nb2 = { value = [-0.554, 0.978] }\n[nodes]\n"
        "h0 = 'sin(linear(x, W0, b0))'\n"
        "z1 = 'h0 @ W1.T'\ns1 = 'sum(z1, axis=1, keepdims=True)'\nh1 = 'relu(z1 / (1 + s1*s1) - b1)'\n"
        "z2 = 'h1 @ W2.T'\ns2 = 'sum(z2, axis=1, keepdims=True)'\nh2 = 'sigmoid(z2 / (1 + s2*s2) - b2)'\n"
        "loss = 'sum((h2 - y)**2) + 0.01*sum(W0*W0)'\n[model]\nloss = 'loss'\n"
        "[data]\nx = [[-0.099]]\ny = [[-0.607, 0.127]]\n"
    )
    began = time.process_time()
    dataflow.derive(loads_toml(text), wrt=wrt).to_latex()
    assert time.process_time() - began < 30
