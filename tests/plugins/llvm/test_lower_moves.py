"""Padding, pieces at known places, and products of vectors: what the numpy backend computes, without leaving the
compiled loop."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from inside_code import run_inside

from dataflow import Graph, ops

pytest.importorskip("llvmlite")

PADDED: list[tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = [  # numpy's own words behind ours
    ((3, 4), {"padding": ((1, 2), (0, 3)), "value": 2.5}, {"mode": "constant", "constant_values": 2.5}),
    ((3, 4), {"padding": ((2, 1), (1, 3)), "mode": "reflect"}, {"mode": "reflect"}),
    ((3, 4), {"padding": ((0, 7), (0, 0)), "mode": "reflect"}, {"mode": "reflect"}),
    ((3, 2), {"padding": ((1, 2), (2, 0)), "mode": "edge"}, {"mode": "edge"}),
    ((3, 4), {"padding": ((4, 1), (2, 9)), "mode": "wrap"}, {"mode": "wrap"}),
    ((1, 3), {"padding": ((2, 1), (0, 0)), "mode": "reflect"}, {"mode": "reflect"}),
    ((3, 4), {"padding": ((0, 0), (0, 0))}, {"mode": "constant"}),
]


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize(("shape", "given", "own"), PADDED, ids=[str(case[1]) for case in PADDED])
def test_padding(shape: tuple[int, ...], given: dict[str, Any], own: dict[str, Any], dtype: str) -> None:
    """Expected is what numpy.pad makes."""
    value = given.get("value", 0)
    if dtype != "float32" and value:
        given, own = {**given, "value": 1}, {**own, "constant_values": 1}
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 9, size=shape).astype(dtype)
    graph = Graph("g", dtype="float32")
    graph.node("out", ops.pad(graph.input("x", shape, dtype), **given))
    np.testing.assert_array_equal(run_inside(graph, {"x": x}), np.pad(x, given["padding"], **own))


def test_padding_that_takes_entries_away() -> None:
    x = np.arange(12, dtype="float32").reshape(3, 4)
    graph = Graph("g", dtype="float32")
    graph.node("out", ops.pad(graph.input("x", (3, 4)), padding=((-1, 1), (1, -2)), value=7.0))
    expected = [[7, 4, 5], [7, 8, 9], [7, 7, 7]]
    np.testing.assert_array_equal(run_inside(graph, {"x": x}), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(8, 8), (7, 40), (33, 17), (256, 64), (400, 300), (3, 40, 21), (2, 3, 20, 9)])
def test_arrays_with_their_axes_in_another_order(shape: tuple[int, ...], dtype: str) -> None:
    """Expected is what numpy.transpose makes, of bits of any kind: NaN's, too."""
    x = np.random.default_rng(0).integers(0, 256, size=(*shape, 8), dtype=np.uint8)
    x = x[..., : np.dtype(dtype).itemsize].copy().view(dtype)[..., 0] if dtype != "bool" else x[..., 0] > 127
    for axes in permutations(range(len(shape))):
        graph = Graph("g", dtype="float32")
        graph.node("out", ops.transpose(graph.input("x", shape, dtype), axes=axes))
        found, expected = run_inside(graph, {"x": x}), np.ascontiguousarray(x.transpose(axes))
        np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))


@pytest.mark.parametrize("indices", [[[1, 0], [-1, -3], [2, 1]], [[0], [-1]], [[2, 2]]])
def test_pieces_at_known_places(indices: list[list[int]]) -> None:
    x = np.random.default_rng(0).normal(size=(3, 3, 5)).astype("float32")
    graph = Graph("g", dtype="float32")
    graph.node("out", ops.gather_nd(graph.input("x", x.shape), graph.constant("at", np.array(indices), "int64")))
    expected = np.stack([x[tuple(index)] for index in indices])
    np.testing.assert_array_equal(run_inside(graph, {"x": x}), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (5, 40), (3000, 700)])
def test_a_row_times_a_matrix_that_lies_transposed(rows: int, length: int, adds: bool, dtype: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(size=shape).astype(dtype)
        for name, shape in (("x", (1, length)), ("W", (rows, length)), ("b", (1, rows)))
    }
    graph = Graph("g", dtype=dtype)
    x, weights, b = (graph.input(name, array.shape) for name, array in arrays.items())
    product = x @ ops.transpose(weights)
    graph.node("out", (b * 2 + product) if adds else product + 0 * b)
    expected = arrays["x"].astype(float) @ arrays["W"].astype(float).T + (2 * arrays["b"] if adds else 0)
    tolerance = 100 * np.finfo(dtype).eps * length
    np.testing.assert_allclose(run_inside(graph, arrays), expected, rtol=0, atol=tolerance)
