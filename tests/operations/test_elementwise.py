"""Ops that are declared as a ufunc in one call."""

from __future__ import annotations

import numpy as np
import pytest

import dataflow
from dataflow import elementwise
from dataflow.errors import ArgumentError, PluginError
from dataflow.testing import assert_op

sinh = elementwise(
    np.sinh,
    "Hyperbolic sine.",
    vjp=lambda g, y, x: g * (dataflow.ops.exp(x) + dataflow.ops.exp(-x)) / 2,
    symbolic="sinh",
)
product = elementwise(
    np.multiply,
    "Product.",
    name="product",
    operation="multiplications",
    vjp=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
)
difference = elementwise(
    np.subtract, "Difference.", name="difference_", operation="additions", vjp=lambda g, y, a, b: (g, -g)
)
log2 = elementwise(np.log2, "Logarithm to the base 2.", vjp=lambda g, y, x: g / (x * np.log(2)), domain=(0.5, 2))


@pytest.mark.parametrize("op", [sinh, product, difference, log2], ids=repr)
def test_an_op_made_so_passes_every_check(op: dataflow.Op) -> None:
    assert_op(op)


def test_it_is_what_a_decorated_function_would_be() -> None:
    assert (sinh.name, sinh.inputs, sinh.doc, sinh.module) == ("sinh", ("x",), "Hyperbolic sine.", __name__)
    assert (difference.name, difference.inputs, difference.operation) == ("difference", ("a", "b"), "additions")
    assert sinh.ufunc is np.sinh
    assert sinh.operation == "functions"
    assert sinh in dataflow.ops_in(__import__("sys").modules[__name__])


@pytest.mark.parametrize("ufunc", [np.modf, np.matmul, np.divmod])
def test_a_ufunc_of_another_kind_is_an_error(ufunc: np.ufunc) -> None:
    with pytest.raises(PluginError, match=f"'{ufunc.__name__}' is not an elementwise ufunc of one or two inputs"):
        elementwise(ufunc, "What it is.")


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(PluginError, match="'add' has 2 inputs, and 1 vjp rules are given"):
        elementwise(np.add, "Sum.", vjp=[lambda g, y, a, b: g])
    with pytest.raises(PluginError, match="its vjp rule takes"):
        elementwise(np.exp, "Exponential.", vjp=lambda g, x: g)
    with pytest.raises(PluginError, match="no docstring"):
        elementwise(np.exp, "")
    with pytest.raises(ArgumentError, match="ufunc takes an? ufunc"):
        elementwise(np.sum, "Sum.")  # type: ignore[arg-type]
