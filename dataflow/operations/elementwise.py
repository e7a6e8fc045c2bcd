"""The short form of an op that is one of numpy's ufuncs: all of it in one call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from dataflow.errors import PluginError, counted
from dataflow.operations.declare_ops import primitive
from dataflow.operations.op import Op, Operation
from dataflow.operations.op_rules import Rule, Sample, sample
from dataflow.support.arguments import checked


@checked
def elementwise(
    ufunc: np.ufunc,
    doc: str,
    *,
    name: str | None = None,
    vjp: Rule | Sequence[Rule] | None = None,
    symbolic: str | Rule | None = None,
    operation: Operation | Literal["none"] = "functions",
    domain: tuple[float, float] | None = None,
    hides_nan: bool = False,
    chooses: bool = False,
) -> Op:
    """Declare a primitive op that is a ufunc of one input, x, or of two, a and b::

        exp = elementwise(np.exp, "Exponential, elementwise.", vjp=lambda g, y, x: g * y, symbolic="exp")

    ``doc`` is its documentation. ``name`` is its name if that is not the ufunc's; a trailing underscore is dropped, as
    from a function's. ``vjp`` is its rule, or one for each input. ``symbolic`` is its rule, or the name of sympy's
    function. ``operation`` is what it costs for each entry. Its samples are drawn from ``domain``, (from, to). Further
    rules are added as to any op, such as ``@exp.kink``.
    """
    kernel = _kernel(ufunc)
    kernel.__name__ = kernel.__qualname__ = name or ufunc.__name__
    kernel.__doc__ = doc
    kernel.__module__ = sys._getframe(2).f_globals["__name__"]  # of the caller; between lies the check of arguments
    declare = primitive(elementwise=True, operation=operation, ufunc=ufunc, hides_nan=hides_nan, chooses=chooses)
    op = declare(kernel)
    if callable(vjp):
        op.vjp(vjp)
    elif vjp is not None:
        if len(vjp) != len(op.inputs):
            raise PluginError(
                f"op '{op.name}' has {counted(len(op.inputs), 'input')}, and {len(vjp)} vjp rules are given"
            )
        for wrt, rule in zip(op.inputs, vjp, strict=True):
            op.vjp(wrt=wrt)(rule)
    if symbolic is not None:
        op.symbolic(_of_sympy(symbolic) if isinstance(symbolic, str) else symbolic)
    if domain is not None:
        op.samples(_samples(len(op.inputs), *domain))
    return op


def _kernel(ufunc: np.ufunc) -> Callable[..., Any]:
    def unary(x: Any) -> Any:
        return ufunc(x)

    def binary(a: Any, b: Any) -> Any:
        return ufunc(a, b)

    if ufunc.nout != 1 or ufunc.nin > 2 or ufunc.signature is not None:
        raise PluginError(f"'{ufunc.__name__}' is not an elementwise ufunc of one or two inputs and one result")
    return unary if ufunc.nin == 1 else binary


def _of_sympy(name: str) -> Rule:
    return lambda sympy, *inputs: getattr(sympy, name)(*inputs)


def _samples(inputs: int, low: float, high: float) -> Callable[[np.random.Generator], Iterable[Sample]]:
    return lambda rng: [sample(*(rng.uniform(low, high, size=(3, 4)) for _ in range(inputs)))]
