"""A plain number takes the dtype of the arrays beside it; one that this does not hold is refused when the node is made,
so that no backend wraps it around. numpy's own rule for Python's numbers is the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataflowError, DtypeError
from dataflow.ops import less, maximum, multiply, stack, where
from dataflow.registry import registry

UFUNCS = {
    op.name: op
    for op in registry.all_ops().values()
    if op.elementwise and op.ufunc is not None and op.ufunc.nin == 2 and not op.name.startswith("logical")
}
"""Ops of two arrays; those of logic only ask whether a number is 0."""
EDGES = [sign * 2**bits + step for bits in (0, 7, 8, 15, 16, 31, 32, 63, 64) for sign in (-1, 1) for step in (-1, 0, 1)]
DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def run(y: dataflow.Value, k: np.ndarray, backend: str | None) -> np.ndarray:
    """The node, run node by node or by a backend."""
    model = dataflow.Model(y.graph, [y.name])
    values = model.run(k=k) if backend is None else model.compile(values=[y.name], backend=backend)(k=k)[0]
    return np.asarray(values[y.name])


def test_the_usual_ops_are_among_those_that_are_tested() -> None:
    assert {"add", "subtract", "multiply", "less", "maximum"} <= UFUNCS.keys()


@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(UFUNCS)),
    dtype=st.sampled_from(DTYPES),
    number=st.sampled_from(EDGES),
    first=st.booleans(),
)
def test_numpy_decides_what_a_node_takes_and_all_backends_give_what_it_gives(
    name: str, dtype: str, number: int, first: bool
) -> None:
    op, array = UFUNCS[name], np.array([1, 2, 100], dtype)
    graph = dataflow.Graph("a")
    k = graph.input("k", ("n",), dtype)

    def on(x: object) -> list[object]:
        return [number, x] if first else [x, number]

    with np.errstate(all="ignore"):
        try:
            expected = np.asarray(op.ufunc(*on(array)))  # type: ignore[misc]
        except (OverflowError, TypeError, ValueError):
            for backend in (None, "numpy", "llvm"):
                with pytest.raises(DataflowError):
                    run(op(*on(k)), array, backend)
            return
        try:
            y = op(*on(k))
        except DtypeError as error:  # what is refused for another reason than the number's size
            assert "does not hold" not in str(error)
            return
        results = [run(y, array, backend) for backend in (None, "numpy", "llvm")]
    for result in results:
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "node",
    [
        lambda k: k * -1,
        lambda k: 70_000 + k,
        lambda k: maximum(k, -1),
        lambda k: where(k > 1, k, -1),
        lambda k: stack(k[0], -1),
    ],
)
def test_the_error_says_what_does_not_hold_what(node) -> None:
    graph = dataflow.Graph("a")
    with pytest.raises(DtypeError, match=r"uint16 does not hold (-1|70000); cast the array to a wider dtype"):
        node(graph.input("k", ("n",), "uint16"))


def test_what_fits_by_comparing_or_beside_floats_is_taken() -> None:
    graph = dataflow.Graph("a")
    k, x = graph.input("k", ("n",), "uint16"), graph.input("x", ("n",), "float32")
    assert less(k, -1).dtype == bool
    assert multiply(x, 10**30).dtype == "float32"
    assert (k + 65_535).dtype == "uint16"
