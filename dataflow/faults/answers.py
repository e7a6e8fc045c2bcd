"""Read a learner's answer from a file: gradients, or parameters after some epochs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.readers.json_files import read_json
from dataflow.data.readers.npz import read_npz
from dataflow.data.readers.opening import Origin, opened
from dataflow.errors import DataError, counted, listed, nearest
from dataflow.model.model import Model
from dataflow.support.conversion import EntryError, TooLargeError, convert, finite, is_number, misfit
from dataflow.support.texts import no_such_file, shorten

ENDINGS = (".json", ".npz", ".csv")
CSV_LIMIT = 32 * 2**20
"""The longest table in bytes."""
MOST = 12
"""Numbers with this many decimals count as not rounded."""
EXACT = -1
"""The decimals of a number that is not rounded."""
WHOLE = 1
"""A whole number with no more decimals than this was rounded as the others of its file were."""


@dataclass(frozen=True)
class Answer:
    """Gradients with respect to parameters, or parameters after ``epochs``; ``decimals`` says of each number to how
    many it was rounded, or ``EXACT``. What has none there is exact."""

    arrays: Mapping[str, np.ndarray]
    epochs: int | None = None
    decimals: Mapping[str, np.ndarray] = field(default_factory=dict)

    def slack(self, name: str) -> np.ndarray | float:
        """By how much each number of an array may be off because it was rounded."""
        decimals = self.decimals.get(name)
        if decimals is None:
            return 0.0
        return np.where(decimals == EXACT, 0.0, 0.5001 * 10.0 ** -np.maximum(decimals, 0))

    @property
    def precision(self) -> tuple[int, int] | None:
        """The fewest and the most decimals of rounded numbers; ``None`` where there are none."""
        rounded = [x for array in self.decimals.values() for x in array.reshape(-1).tolist() if x != EXACT]
        return (min(rounded), max(rounded)) if rounded else None

    @property
    def what(self) -> str:
        """Say what the answer holds."""
        if self.epochs is None:
            return "gradients"
        return f"parameters after {counted(self.epochs, 'epoch')}"


def read_answer(path: Path, model: Model, after: int | None = None) -> Answer:
    """Read an answer to a model's exercise: gradients or, with ``after``, parameters after that many epochs.

    JSON has an object of the names, or holds one under ``gradients`` or, with ``epochs``, under ``parameters``, as
    ``dataflow run --json`` and ``dataflow train --json`` print them. An archive (.npz) has an array for each name. A
    table (.csv) has a line for each: the name, then its entries row by row. A ``DataError`` names the file and the
    place of what is wrong.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        if not path.exists():
            raise DataError(no_such_file(path, "file or folder"), file=path)
        raise DataError(f"answers end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}", file=path)
    names = list(model.parameters)
    try:
        if ending == ".npz":
            value_by_name: Mapping[str, Any] = read_npz(Origin(path), names)
        elif ending == ".csv":
            value_by_name = _rows(path)
        else:
            value_by_name, after = _object(read_json(Origin(path), WrittenNumber), after)
        arrays = {name: _to_shape(name, value, model, ending == ".csv") for name, value in value_by_name.items()}
    except DataError as error:
        raise error.at(file=path) from None
    if not arrays:
        raise DataError(f"holds no numbers; the parameters are {listed(names)}", file=path)
    places = {name: _places(value_by_name[name], array) for name, array in arrays.items()}
    return Answer(arrays, after, _settled(places, arrays))


class WrittenNumber(float):
    """A float that knows how many decimals it was written with."""

    decimals: int

    def __new__(cls, text: str) -> WrittenNumber:
        number = super().__new__(cls, finite(text))
        number.decimals = _count_decimals(text)
        return number


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


def _rows(path: Path) -> dict[str, list[WrittenNumber]]:
    with opened(path) as file:
        text = file.read(CSV_LIMIT + 1)
    if len(text) > CSV_LIMIT:
        raise DataError(f"is longer than {CSV_LIMIT / 2**20:g} MiB; use .npz")
    row_by_name: dict[str, list[WrittenNumber]] = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text.decode("utf-8-sig"))), 1):
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if not cells:
                continue
            if cells[0] in row_by_name:
                raise DataError(f"'{cells[0]}' stands there twice", line=number)
            try:
                row_by_name[cells[0]] = [WrittenNumber(cell) for cell in cells[1:]]
            except TooLargeError as error:
                raise DataError(misfit(str(error), np.dtype(np.float64)), line=number) from None
            except ValueError:
                wrong = next(cell for cell in cells[1:] if not is_number(cell))
                raise DataError(f"a number is expected, '{shorten(wrong)}' found", line=number) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is not a table: {error}") from None
    return row_by_name


def _to_shape(name: str, value: Any, model: Model, flat: bool) -> np.ndarray:
    """Convert the numbers to an array of the parameter's shape, or of its transpose's."""
    if name not in model.parameters:
        raise DataError(f"unknown parameter '{name}'{nearest(str(name), list(model.parameters))}")
    try:
        array = convert(value, np.dtype(np.float64), texts=True)
    except EntryError as error:
        raise error.named(name) from None
    shape = model.parameters[name].shape
    if flat or array.size == 1 == model.parameters[name].size:
        if array.size != model.parameters[name].size:
            raise DataError(
                f"'{name}' has {counted(model.parameters[name].size, 'entry')}, {array.size} are given; "
                f"give them row by row"
            )
        return array.reshape(shape)
    if array.shape not in (shape, shape[::-1]):
        raise DataError(
            f"'{name}' has the shape {list(shape)}, an array of {list(array.shape)} is given; give a list for each row"
        )
    return array


def _places(value: Any, array: np.ndarray) -> np.ndarray:
    """With how many decimals each number was written."""
    if not isinstance(value, np.ndarray):
        flat = list(_flattened(value))
        if len(flat) == array.size:
            return np.array([_decimals_of(entry) for entry in flat], int).reshape(array.shape)
    return np.array([_decimals_of(entry) for entry in array.reshape(-1).tolist()], int).reshape(array.shape)


def _flattened(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield from _flattened(entry)
    else:
        yield value


def _decimals_of(entry: Any) -> int:
    if isinstance(entry, WrittenNumber):
        return entry.decimals
    return _count_decimals(repr(float(entry))) if isinstance(entry, float) and np.isfinite(entry) else 0


def _count_decimals(text: str) -> int:
    digits, _, exponent = text.lower().partition("e")
    return max(0, len(digits.partition(".")[2].strip()) - int(exponent or 0))


def _settled(places: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """To how many decimals each number was rounded: those it was written with. Whole numbers, whose decimals are often
    left out, have those that are most frequent; they are exact where all numbers are whole."""
    others = Counter(
        count if count < MOST else EXACT
        for name, array in places.items()
        for count, number in zip(array.reshape(-1).tolist(), arrays[name].reshape(-1).tolist(), strict=True)
        if not _is_whole(count, number)
    )
    if not others:
        return {name: np.full(array.shape, EXACT) for name, array in places.items()}
    usual = max(others, key=lambda count: (others[count], count))
    settled = {}
    for name, array in places.items():
        whole = (array <= WHOLE) & (arrays[name] == np.rint(arrays[name]))
        settled[name] = np.where(array >= MOST, EXACT, np.where(whole, usual, array))
    return settled


def _is_whole(count: int, number: float) -> bool:
    return not np.isfinite(number) or (count <= WHOLE and number == round(number))
