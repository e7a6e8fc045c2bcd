"""What a learner worked out, read from a file: gradients, or parameters after some epochs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.archives import read_npz
from dataflow.datafiles import numbers, opened, read_json
from dataflow.errors import DataError, nearest
from dataflow.model import Model

ENDINGS = (".json", ".npz", ".csv")
CSV_LIMIT = 32 * 2**20
"""The longest table in bytes."""
LEAST = 2
"""From so many decimals on, numbers count as rounded to as many as the longest of them has."""
MOST = 12
"""Numbers of so many decimals count as not rounded."""


@dataclass(frozen=True)
class Answer:
    """Gradients with respect to parameters, or parameters after ``epochs``; ``decimals`` is to how many they were
    rounded, ``None`` where they seem exact."""

    arrays: Mapping[str, np.ndarray]
    epochs: int | None = None
    decimals: int | None = None

    @property
    def what(self) -> str:
        """What it holds, in words."""
        if self.epochs is None:
            return "gradients"
        return f"parameters after {self.epochs} epoch{'' if self.epochs == 1 else 's'}"


def read_answer(path: Path, model: Model, after: int | None = None) -> Answer:
    """The answer in a file, held against the model's parameters; with ``after``, parameters after so many epochs.

    JSON has an object of the names, or holds one under ``gradients`` or, with ``epochs``, under ``parameters``, as
    ``dataflow run --json`` and ``dataflow train --json`` print them. An archive (.npz) has an array for each name. A
    table (.csv) has a line for each: the name, then its entries row by row. A ``DataError`` names the file and the
    place of what is wrong.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"answers end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}", file=path)
    names = list(model.parameters)
    try:
        if ending == ".npz":
            found: Mapping[str, Any] = read_npz(path, names)
        elif ending == ".csv":
            found = _rows(path)
        else:
            found, after = _object(read_json(path), after)
        arrays = {name: _shaped(name, value, model, ending == ".csv") for name, value in found.items()}
    except DataError as error:
        raise error.at(file=path) from None
    return Answer(arrays, after, _decimals(arrays.values()))


def _object(document: Any, after: int | None) -> tuple[Mapping[str, Any], int | None]:
    if not isinstance(document, dict):
        raise DataError('expected an object such as {"W1": [[1, 2]]}')
    if isinstance(document.get("gradients"), dict) and after is None:
        return document["gradients"], None
    if isinstance(document.get("parameters"), dict):
        epochs = document.get("epochs", 1)
        if type(epochs) is not int or epochs < 1:
            raise DataError(f"'epochs' is a whole number, 1 or more, not {epochs!r}")
        return document["parameters"], epochs if after is None else after
    return document, after


def _rows(path: Path) -> dict[str, np.ndarray]:
    with opened(path) as file:
        text = file.read(CSV_LIMIT + 1)
    if len(text) > CSV_LIMIT:
        raise DataError(f"is longer than {CSV_LIMIT / 2**20:g} MiB; use .npz")
    found: dict[str, np.ndarray] = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text.decode("utf-8-sig"))), 1):
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if not cells:
                continue
            if cells[0] in found:
                raise DataError(f"'{cells[0]}' stands there twice", line=number)
            try:
                found[cells[0]] = np.array([float(cell) for cell in cells[1:]])
            except ValueError:
                wrong = next(cell for cell in cells[1:] if not _is_number(cell))
                raise DataError(f"a number is expected, '{wrong[:40]}' found", line=number) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is no table: {error}") from None
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shaped(name: str, value: Any, model: Model, flat: bool) -> np.ndarray:
    """The numbers in the parameter's shape, or in that of its transpose."""
    if name not in model.parameters:
        raise DataError(f"there is no parameter '{name}'{nearest(str(name), list(model.parameters))}")
    array = numbers(name, value).astype(np.float64)
    shape = model.parameters[name].shape
    if flat or array.size == 1 == model.parameters[name].size:
        if array.size != model.parameters[name].size:
            raise DataError(f"'{name}' has {model.parameters[name].size} entries, {array.size} are given")
        return array.reshape(shape)
    if array.shape not in (shape, shape[::-1]):
        raise DataError(f"'{name}' has the shape {list(shape)}, an array of {list(array.shape)} is given")
    return array


def _decimals(arrays: Iterable[np.ndarray]) -> int | None:
    """The most decimals that a number has in its shortest form; ``None`` where they are none, few, or all."""
    most = max((_places(x) for array in arrays for x in _listed(array)), default=0)
    return most if LEAST <= most < MOST else None


def _listed(array: np.ndarray) -> Sequence[float]:
    entries: list[float] = array.reshape(-1).tolist()
    return entries


def _places(number: float) -> int:
    digits, _, exponent = repr(number).partition("e")
    return max(0, len(digits.partition(".")[2].rstrip("0")) - int(exponent or 0))
