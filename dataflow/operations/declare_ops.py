"""How an op is declared: ``@op`` over a composite body, ``@primitive`` over a numpy kernel."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, overload

import numpy as np

from dataflow.errors import PluginError
from dataflow.operations.op import OPERATIONS, Compares, Op, Operation, Structure, ViewKind
from dataflow.operations.op_rules import Rule
from dataflow.support.arguments import checked


@overload
def op(function: Rule) -> Op: ...
@overload
def op(
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    hides_nan: bool = False,
    chooses: bool = False,
    compares: Compares | None = None,
    over_one_entry: float | None = None,
) -> Callable[[Rule], Op]: ...
@checked
def op(
    function: Rule | None = None,
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    hides_nan: bool = False,
    chooses: bool = False,
    compares: Compares | None = None,
    over_one_entry: float | None = None,
) -> Any:
    """Declare a composite op: the body calls other ops. ``name`` if it is not the function's own; ``hides_nan`` and
    ``chooses`` as of a primitive one.

    ``outputs`` is for an op that gives several arrays, each by its name, such as ``("values", "indices")``: the body,
    the shape rule and the batch rule return a tuple of them, and a vjp rule takes such tuples for ``g`` and ``y``. It
    may be a function of attributes, which it takes by keyword, that returns the names.

    ``compares`` is for a loss of a prediction, its first input, and a target, its second, and says what they are:
    "classes" (logits along a last axis of classes, and shares along it or the class's number in its place, where those
    that an attribute ``ignore_index`` names do not count), "binary" (a logit and a share of "yes", each for itself) or
    "numbers". It decides which metrics fit. ``over_one_entry`` is what an op that normalizes along its attribute
    ``axis`` gives where that has a single entry, such as 1 for softmax: a model that does so gets a warning.
    """

    def declare(body: Rule) -> Op:
        declared = Op(body, primitive=False, elementwise=False, name=name, outputs=outputs)
        declared.hides_nan, declared.chooses = hides_nan, chooses
        declared.compares, declared.over_one_entry = compares, over_one_entry
        if over_one_entry is not None and "axis" not in declared.attributes:
            raise PluginError(f"op '{declared.name}' declares over_one_entry, but has no attribute 'axis'")
        if compares and len(declared.inputs) < 2:
            raise PluginError(f"op '{declared.name}' declares compares; it needs two inputs, a prediction and a target")
        return declared

    return declare if function is None else declare(function)


@overload
def primitive(function: Rule) -> Op: ...
@overload
def primitive(
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
    hides_nan: bool = False,
    chooses: bool = False,
) -> Callable[[Rule], Op]: ...
@checked
def primitive(
    function: Rule | None = None,
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
    hides_nan: bool = False,
    chooses: bool = False,
) -> Any:
    """Declare a primitive op: the body is its numpy kernel. ``elementwise`` ops broadcast and need no shape rule.
    ``outputs`` as of a composite one.

    ``structure`` is "selection" for an op that only moves or repeats entries, "sum" for one that only adds them up.
    ``operation`` says what it costs, if that is one operation for each entry of the result, such as "multiplications"
    or "functions", or "none"; for anything else there is ``@op.cost``.
    The rest lets plans run it faster. ``ufunc`` is the numpy ufunc that the body calls with all inputs and nothing
    else. ``reduces`` is the ufunc whose reduction over some axes the op is. ``view`` is "always" where the
    body returns a view of its first input, whatever the entries, and "contiguous" where it does so if that input is in
    row-major order. ``shape_only`` is for an op whose result depends on its inputs' shapes and dtypes alone.
    ``hides_nan`` is for an op that may give a number where an entry that it depends on is NaN, such as a comparison.
    ``chooses`` is for an op that takes one of two branches, entry by entry: training names the choice where NaN comes
    from the branch not taken.
    """
    if operation is not None and operation not in (*OPERATIONS, "none"):
        raise PluginError(f"operation={operation!r} is not known; available: {', '.join(OPERATIONS)} and none")

    def declare(body: Rule) -> Op:
        declared = Op(body, primitive=True, elementwise=elementwise, name=name, outputs=outputs)
        declared.structure = structure
        declared.operation = operation
        declared.ufunc, declared.reduces, declared.view, declared.shape_only = ufunc, reduces, view, shape_only
        declared.hides_nan, declared.chooses = hides_nan, chooses
        return declared

    return declare if function is None else declare(function)


@checked
def ops_in(module: ModuleType) -> list[Op]:
    """The ops that a module defines itself, in order, for a plugin's ``register_ops``; each once, whatever else refers
    to it."""
    own = (value for value in vars(module).values() if isinstance(value, Op) and value.module == module.__name__)
    return list(dict.fromkeys(own))
