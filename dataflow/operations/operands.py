"""The arguments of an op: their specs, and plain numbers, which take the dtype of the arrays beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DtypeError, OpError, RuleError
from dataflow.operations.outputs import Outputs, several_outputs
from dataflow.shapes import TensorSpec
from dataflow.support.arrays import masked_types
from dataflow.support.conversion import EntryError, to_array, to_dtype

Literal: TypeAlias = int | float | bool


def specs_of(arguments: Sequence[Any]) -> list[TensorSpec | None]:
    """The specs of arrays and numbers."""
    arrays = [None if argument is None else np.asarray(argument) for argument in arguments]
    return [None if array is None else TensorSpec(array.shape, array.dtype) for array in arrays]


def literals_of(arguments: Sequence[Any]) -> dict[int, Literal]:
    """The arguments that are plain numbers, by position."""
    return {i: argument for i, argument in enumerate(arguments) if type(argument) in (int, float, bool)}


def with_literals(specs: Sequence[TensorSpec | None], literals: Mapping[int, Literal]) -> list[TensorSpec | None]:
    """The arguments' specs with those of plain numbers, which take the dtype of the arrays beside them; a boolean is no
    number and stays what it is."""
    if not literals:
        return list(specs)
    beside = tuple([spec.dtype for spec in specs if spec is not None])
    return [
        _spec_of_number(type(literals[i])(1) if beside else literals[i], beside) if i in literals else spec
        for i, spec in enumerate(specs)
    ]


@lru_cache(maxsize=1024, typed=True)
def _spec_of_number(number: Literal, beside: tuple[np.dtype, ...]) -> TensorSpec:
    return TensorSpec((), np.dtype(bool) if isinstance(number, bool) else np.result_type(number, *beside))


def refuse_outputs(argument: Any) -> None:
    """An ``OpError`` where all outputs of an op are given for an array."""
    if isinstance(argument, Outputs):
        raise OpError(several_outputs("an input", argument.names, lambda name: f'["{name}"]'))


def as_array(name: str, result: Any) -> Any:
    """What the body of an op, called ``name`` in errors, gave."""
    if type(result) is not np.ndarray and isinstance(result, masked_types()):
        raise RuleError(f"op '{name}' gave a masked array, whose mask would be lost; fill it in the body")
    return np.asarray(result)


def as_operand(argument: Any) -> Any:
    """An array of numbers in the machine's order of bytes. Plain numbers stay plain, so that they take the dtype of the
    arrays beside them."""
    if argument is None or type(argument) in (int, float, bool):
        return argument
    if type(argument) is not np.ndarray:
        refuse_outputs(argument)
        try:
            argument = to_array(argument)
            argument = to_dtype(argument, np.dtype(np.int64)) if argument.dtype.kind == "O" else argument
        except EntryError as error:
            raise DtypeError(f"an op takes arrays of numbers: {error.message}") from None
    if argument.dtype.kind not in "fiub":
        raise DtypeError(f"an op takes arrays of numbers, not {argument.dtype}")
    return argument if argument.dtype.isnative else to_dtype(argument, argument.dtype.newbyteorder("="))
