"""Texts that stand for whole numbers, or for the entries along a last axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.errors import GraphError
from dataflow.graph.node import Node
from dataflow.shapes import format_shape
from dataflow.support.texts import shorten


def check_classes(name: str, node: Node, texts: Any) -> None:
    """A ``GraphError`` unless these are different texts, and the node has whole numbers for them, or is of floats with
    an entry for each along its last axis."""
    fault = ""
    if node.dtype.kind not in "iuf":
        fault = f"'{name}' is {node.dtype}; whole numbers stand for texts, and floats have one for each of a last axis"
    elif not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        fault = f"of '{name}' a list of texts is expected"
    elif len(set(texts)) < len(texts):
        twice = next(text for text, count in Counter(texts).items() if count > 1)
        fault = f"of '{name}' the text '{shorten(twice, 60)}' is listed twice"
    elif node.dtype.kind == "f" and (not node.shape or node.shape[-1] != len(texts)):
        fault = f"'{name}' is {format_shape(node.shape)}, and its last axis is to have {len(texts)} entries"
    if fault:
        raise GraphError(f"classes: {fault}", node=name)


def numbers_of(value: Any, texts: Sequence[str]) -> Any:
    """Texts as the numbers that stand for them, in their shape, and all else as it is; a text that none stands for is
    the number behind the last."""
    if getattr(getattr(value, "dtype", None), "kind", "O") in "iufb":
        return value
    array = np.array(value, object)
    if not any(isinstance(entry, str) for entry in array.flat):
        return value
    places = {text: number for number, text in enumerate(texts)}
    numbers = [places.get(entry, len(texts)) if isinstance(entry, str) else entry for entry in array.flat]
    result = np.empty(len(numbers), object)
    result[:] = numbers
    return result.reshape(array.shape).tolist()
