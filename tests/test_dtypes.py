"""The narrow dtypes, from every way in to every way out."""

from __future__ import annotations

import numpy as np
import pytest

import dataflow
from dataflow import DTYPES, DataError, DataflowError, DtypeError, Graph, GraphError, Model, ops
from dataflow.execution.program import Program
from dataflow.files.toml.read import loads_toml

NARROW = ("float16", "int16", "int8", "uint64", "uint32", "uint16", "uint8")


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("form", ["toml", "msgpack"])
def test_files_keep_them(dtype, form, tmp_path) -> None:
    graph = Graph("g", dtype)
    graph.node("y", graph.input("x", (3,)) * graph.constant("c", [1, 2, 3], dtype))
    dataflow.save(Model(graph, outputs=["y"]), tmp_path / f"m.{form}")
    model = dataflow.load(tmp_path / f"m.{form}")
    assert {model.graph.spec(name).dtype.name for name in "xcy"} == {dtype}
    result = model.run(x=[2, 3, 4])["y"]
    assert (result.dtype.name, result.tolist()) == (dtype, [2, 6, 12])
    if form == "toml":
        assert "dataflow = 2" in (tmp_path / "m.toml").read_text()


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("uint8", 256, "256 does not fit uint8, which holds whole numbers from 0 to 255"),
        ("uint8", -1, "-1 does not fit uint8"),
        ("int8", 128.0, "128.0 does not fit int8, which holds whole numbers from -128 to 127"),
        ("uint64", 2**64, "18446744073709551616 does not fit uint64"),
        ("uint32", 0.5, "0.5 does not fit uint32"),
        ("float16", 70000, "70000 does not fit float16, which holds numbers up to 65504"),
    ],
)
def test_numbers_that_do_not_fit(dtype, value, message) -> None:
    graph = Graph("g", dtype)
    graph.node("y", graph.input("x", ()) * 1)
    with pytest.raises(DataError, match=message):
        Model(graph, outputs=["y"]).run(x=value)


def test_the_largest_numbers_fit() -> None:
    for name in NARROW[1:]:
        limits = np.iinfo(name)
        graph = Graph("g", name)
        graph.node("y", ops.identity(graph.input("x", (2,))))
        result = Model(graph, outputs=["y"]).run(x=[limits.min, limits.max])["y"]
        assert result.tolist() == [limits.min, limits.max]


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("dtype", NARROW)
def test_backends_agree_with_numpy(dtype, backend) -> None:
    graph = Graph("g", dtype)
    a, b = graph.input("a", (2, 3)), graph.input("b", (3,))
    results = {
        "sum": ops.sum(a + b, axis=0),
        "less": ops.where(a < b, a, b) * 2,
        "wide": ops.cast(a, dtype="float64") / 4 @ ops.cast(b, dtype="float64"),
        "product": a.T @ a,
        "narrow": ops.cast(ops.exp(ops.cast(b, dtype="float32")), dtype=dtype),
    }
    for name, value in results.items():
        graph.node(name, value)
    x, y = np.array([[1, 2, 3], [3, 2, 1]], dtype), np.array([2, 1, 4], dtype)
    found = dict(zip(results, Program(graph, list(results), backend).run({"a": x, "b": y}), strict=True))
    expected = {
        "sum": (x + y).sum(axis=0),
        "less": np.minimum(x, y) * np.array(2, dtype),
        "wide": x.astype(float) / 4 @ y.astype(float),
        "product": x.T @ x,
        "narrow": np.exp(y.astype(np.float32)).astype(dtype),
    }
    node_by_node = Model(graph).run(a=x, b=y)
    for name, value in expected.items():
        assert found[name].dtype == node_by_node[name].dtype == value.dtype, name
        np.testing.assert_allclose(found[name], value, rtol=1e-3 if dtype == "float16" else 1e-12)
        np.testing.assert_allclose(node_by_node[name], value)


@pytest.mark.parametrize("dtype", NARROW)
def test_sums_and_products_are_as_wide_as_numpy_s(dtype) -> None:
    x = np.array([[1, 2, 3], [3, 2, 1]], dtype)
    for name in ("sum", "prod", "cumsum", "cumprod"):
        graph = Graph("g")
        graph.node("y", getattr(ops, name)(graph.input("x", (2, 3), dtype), axis=0))
        result, expected = Model(graph, outputs=["y"]).run(x=x)["y"], getattr(np, name)(x, axis=0)
        assert (result.dtype, result.tolist()) == (expected.dtype, expected.tolist()), name


def test_derivatives_in_float16() -> None:
    graph = Graph("g", "float16")
    graph.node("y", ops.sum(ops.tanh(graph.input("x", (3,)))))
    gradient = Model(graph).gradients(of="y", wrt="x", x=[0.0, 0.5, 1.0])["x"]
    assert gradient.dtype == np.float16
    np.testing.assert_allclose(gradient, 1 - np.tanh([0.0, 0.5, 1.0]) ** 2, rtol=4e-3)


def test_what_is_refused() -> None:
    with pytest.raises(GraphError, match="has the dtype float16; a parameter is float64 or float32"):
        Graph("g", "float16").parameter("W", (2,), init="zeros")
    with pytest.raises(DtypeError, match="op 'exp' of uint8 gives float16; cast its inputs"):
        ops.exp(Graph("g").input("x", (2,), "uint8"))
    with pytest.raises(DataflowError, match="is float64 or float32"):
        loads_toml("dataflow = 2\nparameters.W = {shape = [2], init = 'zeros', dtype = 'float16'}")


def test_bfloat16_of_others_becomes_float32() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    graph = Graph("g", "float32")
    graph.node("y", graph.input("x", (2,)) * 2)
    result = Model(graph).run(x=np.array([0.5, 3], ml_dtypes.bfloat16))["y"]
    assert (result.dtype.name, result.tolist()) == ("float32", [1, 6])


def test_all_are_there() -> None:
    assert set(NARROW) < DTYPES.keys()
    assert len(DTYPES) == 12
