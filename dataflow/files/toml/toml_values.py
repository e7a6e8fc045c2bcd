"""Plain data and arrays as TOML text. tomlkit writes the strings; numbers come back as the same numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import FileFormatError
from dataflow.shapes import format_shape

WIDTH = 120
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def key(text: str) -> str:
    """A key, with quotes where it needs them."""
    return text if _BARE_KEY.fullmatch(text) else string(text)


def string(text: str) -> str:
    """A string on one line."""
    if "\\" not in text and text.isprintable():
        if '"' not in text:
            return f'"{text}"'
        if "'" not in text:
            return f"'{text}'"
    from tomlkit import item

    return item(text).as_string()


def paragraph(text: str) -> str:
    """A string that may go over several lines, if it has several or is long."""
    if "\r" in text or ("\n" not in text and len(text) < WIDTH - 10):
        return string(text)
    from tomlkit import string as make

    rest = text.lstrip("\n")
    # whoever reads it drops the line break right after the quotes; tomlkit's versions differ in those behind it
    return '"""\n' + "\n" * (len(text) - len(rest)) + make(rest, multiline=True).as_string()[3:]


def value(data: Any) -> str:
    """Plain data: text, numbers, booleans, arrays, maps; what TOML has no word for is a ``FileFormatError``."""
    if isinstance(data, Mapping):
        return table([(name, value(item)) for name, item in data.items()])
    if isinstance(data, list | tuple):
        return "[" + ", ".join(map(value, data)) + "]"
    if isinstance(data, np.ndarray):
        return array(data)
    if isinstance(data, str):
        return string(data)
    return number(data)


def table(pairs: Sequence[tuple[str, str]]) -> str:
    """An inline table of keys and values that are text already."""
    return "{ " + ", ".join(f"{key(name)} = {text}" for name, text in pairs) + " }" if pairs else "{}"


def number(data: Any) -> str:
    """An integer, a float or a boolean; the shortest text that gives the same number."""
    if isinstance(data, np.generic):
        data = data.item()
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, int):
        if not -(2**63) <= data < 2**63:
            raise FileFormatError("a number of more than 64 bits cannot be written in TOML; save the model as .msgpack")
        return str(data)
    if isinstance(data, float):
        return "-nan" if math.isnan(data) and math.copysign(1, data) < 0 else repr(data)
    raise FileFormatError(f"{type(data).__name__} cannot be written in TOML; save the model as .msgpack")


def array(data: np.ndarray) -> str:
    """A number or nested arrays, a row a line where one line is too long. float32 and float16 are as short
    as they allow."""
    if 0 in data.shape[:-1]:
        shape = format_shape(data.shape)
        raise FileFormatError(f"an array of the shape {shape} cannot be written in TOML; save the model as .msgpack")
    if data.dtype in (np.float32, np.float16):
        texts: Any = _nested([narrow(item) for item in data.reshape(-1)], data.shape)
    else:
        texts = _nested([number(item) for item in data.reshape(-1).tolist()], data.shape)
    return _layout(texts, "") if data.ndim else str(texts)


def narrow(item: np.floating[Any]) -> str:
    """The shortest text that gives this float32 or float16 when it is read as a float64 and rounded."""
    text = str(item)
    return text if np.isfinite(item) and type(item)(float(text)) == item else number(float(item))


def _nested(flat: list[str], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    rows: Any = flat
    for size in reversed(shape[1:]):
        rows = [rows[i : i + size] for i in range(0, len(rows), size)] if size else [[]] * math.prod(shape[:-1])
    return rows


def _layout(item: Any, indent: str) -> str:
    if isinstance(item, str):
        return item
    line = _flat(item)
    if len(indent) + len(line) <= WIDTH - 20:
        return line
    inner = indent + "  "
    if isinstance(item[0], str):
        lines = _filled(item, WIDTH - len(inner) - 1)
    else:
        lines = [_layout(part, inner) + "," for part in item]
    return "[\n" + "".join(f"{inner}{text}\n" for text in lines) + indent + "]"


def _flat(item: Any) -> str:
    return item if isinstance(item, str) else "[" + ", ".join(map(_flat, item)) + "]"


def _filled(texts: Sequence[str], width: int) -> list[str]:
    """Numbers with commas, as many on a line as there is room for."""
    lines, line = [], ""
    for text in texts:
        if line and len(line) + len(text) + 2 > width:
            lines.append(line)
            line = ""
        line += (" " if line else "") + text + ","
    return [*lines, line]
