"""What a chain of dense layers is: columns of units, and how each is computed from the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np

from dataflow.operations.op import Op
from dataflow.shapes import Size

Width: TypeAlias = "int | Size"


@dataclass(frozen=True)
class Selection:
    """What moves the entries of a parameter, such as ``W.T``."""

    op: Op
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Weights:
    """A parameter, or a constant, and what moves its entries."""

    name: str
    selections: tuple[Selection, ...] = ()

    def places(self, shape: Sequence[int]) -> np.ndarray:
        """Where in the parameter of this shape each entry comes from, in row-major order."""
        places = np.arange(prod(shape)).reshape(shape)
        for selection in self.selections:
            places = selection.op.compute([places], selection.attributes)
        return places


@dataclass(frozen=True)
class Layer:
    """How a column is computed from the one before: ``result`` is the node of the sum of products, bias included."""

    weights: Weights
    is_left: bool
    """Whether the weights are the left factor: (out, in), else (in, out)."""
    bias: Weights | None
    result: str

    def weight_places(self, shape: Sequence[int], out: int) -> np.ndarray:
        """Where in the parameter the weight is from each unit (a column) to each one after it (a row)."""
        places = self.weights.places(shape)
        return places.reshape(out, -1) if self.is_left else places.reshape(-1, out).T


@dataclass(frozen=True)
class Column:
    """Units side by side: the entries of ``value``. ``functions`` are the ops between the layer's result and it."""

    value: str
    width: Width
    functions: tuple[str, ...] = ()
    layer: Layer | None = None


@dataclass(frozen=True)
class Chain:
    """The columns in the order of evaluation, and the loss of the last with what it is compared with."""

    columns: tuple[Column, ...]
    loss: str | None = None
    targets: tuple[str, ...] = ()
    prediction: str = ""
    """What the loss is computed from."""
