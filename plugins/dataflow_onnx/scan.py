"""How many parts a file has, counted before they are parsed: parsed, an empty one of two bytes takes a hundred."""

from __future__ import annotations

from typing import Any

from dataflow import limits
from dataflow.errors import FileFormatError

_TEXT: dict[int, Any] = {0: None}
_ENTRY = {1: _TEXT, 2: _TEXT}
_VALUE = {1: _TEXT, 2: {1: {2: {1: {2: _TEXT}}}}}
_TENSOR = {8: _TEXT, 12: _TEXT, 13: _ENTRY}
_ATTRIBUTE: dict[int, Any] = {1: _TEXT, 5: _TENSOR, 10: _TENSOR, 21: _TEXT}
_NODE = {1: _TEXT, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: _ATTRIBUTE, 7: _TEXT}
_GRAPH = {1: _NODE, 2: _TEXT, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 14: {}, 15: {}}
_ATTRIBUTE |= {6: _GRAPH, 11: _GRAPH}
_FUNCTION = {1: _TEXT, 4: _TEXT, 5: _TEXT, 6: _TEXT, 7: _NODE, 9: {1: _TEXT}, 10: _TEXT, 11: _ATTRIBUTE}
_MODEL = {2: _TEXT, 6: _TEXT, 7: _GRAPH, 8: {1: _TEXT}, 14: _ENTRY, 20: {}, 25: _FUNCTION}
"""The fields of a ``ModelProto`` that hold messages or texts, by number, and those of the messages."""
_DEEPEST = 64


def check_parts(data: bytes) -> None:
    """A ``FileFormatError`` where a file is cut off, is no protocol buffer, or has more parts than the limits allow."""
    allowed = limits.current().nodes * 4
    left = allowed
    pending: list[tuple[int, int, dict[int, Any], int]] = [(0, len(data), _MODEL, 0)]
    while pending:
        position, end, fields, depth = pending.pop()
        if depth > _DEEPEST:
            raise FileFormatError(f"graphs are nested more than {_DEEPEST // 3} deep")
        while position < end:
            key, position = _number(data, position, end)
            field, kind = key >> 3, key & 7
            if kind == 0:
                _, position = _number(data, position, end)
                continue
            if kind == 2:
                size, position = _number(data, position, end)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise FileFormatError("the file is no ONNX model, or it is damaged")
            if size > end - position:
                raise FileFormatError("the file is no ONNX model, or it is cut off")
            if kind == 2 and fields.get(field) is _TEXT:
                _check_text(data[position : position + size])
            elif kind == 2 and (inner := fields.get(field)) is not None:
                left -= 1
                if left < 0:
                    raise FileFormatError(
                        f"the model has more than {allowed:,} nodes, attributes and tensors"
                        + limits.advice("nodes", 2 * limits.current().nodes)
                    )
                if inner:
                    pending.append((position, position + size, inner, depth + 1))
            position += size


def _check_text(data: bytes) -> None:
    """A text that is none would come as bytes, which no name is."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            raise FileFormatError("the file is no ONNX model, or it is damaged: a name is no text") from None


def _number(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A variable-length number, and where it ends."""
    number = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        number |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return number, position
        shift += 7
    raise FileFormatError("the file is no ONNX model, or it is cut off")
