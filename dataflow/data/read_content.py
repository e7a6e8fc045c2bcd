"""What a source of data holds, as it was read: a table with the columns of each input, or an array for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from dataflow.data.columns import Columns, Patterns, chosen_columns
from dataflow.data.raw_table import RawTable
from dataflow.data.read_table import read_file, read_table
from dataflow.data.readers.dialect import Dialect
from dataflow.data.readers.json_files import read_json
from dataflow.data.readers.npz import read_npy, read_npz
from dataflow.data.readers.opening import Origin, nothing_for
from dataflow.data.readers.rows import read_rows
from dataflow.errors import DataError, listed, nearest, plural
from dataflow.limits import grant
from dataflow.support.texts import shorten


@dataclass(frozen=True, eq=False)
class Content:
    """A table, or arrays by name."""

    name: str | None
    """What a message calls it; ``None`` for arrays that a model's file holds."""
    table: RawTable | None
    columns: Columns
    """Of each input that the table has, the columns."""
    arrays: Mapping[str, Any]
    skipped: Sequence[int] = ()
    """The numbers of rows that are none and were left out."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is looked for."""

    inputs: Sequence[str]
    columns: Patterns
    """Those that are declared for an input."""
    also: Collection[str]
    """Further columns."""
    optional: Collection[str]
    """Those of them that may lack."""
    texts: Collection[str]
    """The columns that hold names, whatever they look like."""
    strict: bool
    """Whether what is declared has to be there."""
    carried: Collection[str] = ()
    """Those of the further columns that are handed on, as they are written where that says more than a number."""
    plain: Collection[str] = ()
    """The inputs that are their columns as they are, in float64."""
    needed: Collection[str] | None = None
    """The inputs of which one has to be there; any of them where it is None."""

    @property
    def kinds(self) -> dict[str, str]:
        """What readers of tables are told of columns."""
        return dict.fromkeys(self.carried, "written") | dict.fromkeys(self.texts, "text")


class Choice:
    """``choice(header)`` gives the columns of a table that are wanted; those of each input are then ``chosen``."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.chosen: dict[str, list[str]] = {}
        self.kinds = wanted.kinds
        """What readers of tables are told of columns: nothing of those of inputs, but which hold names."""

    def __call__(self, header: Sequence[str]) -> set[str]:
        wanted = self._wanted
        self.chosen.update(
            chosen_columns(header, wanted.inputs, wanted.columns, wanted.strict, wanted.also, wanted.needed)
        )
        used = {column for columns in self.chosen.values() for column in columns}
        for column in used - {*wanted.texts}:
            self.kinds.pop(column, None)
        for column in wanted.also:
            if column not in header and column not in wanted.optional:
                raise DataError(f"unknown column '{shorten(column)}'{nearest(column, header)}")
        return used | {*wanted.also}

    def together(self) -> list[Sequence[str]]:
        """The columns of each input that is made of them as they are."""
        return [columns for name, columns in self.chosen.items() if name in self._wanted.plain]


def read_lines(
    read: Callable[..., RawTable], origin: Origin, wanted: Wanted, told: Dialect | Sequence[str], skip: bool
) -> Content:
    """What ``read`` finds in text of what is wanted, without what is no row if ``skip`` is true; ``told`` is what it is
    told of the text."""
    choice, skipped = Choice(wanted), list[int]()
    table = read(origin, choice, choice.kinds, told, skipped if skip else None)
    return Content(origin.name, table, choice.chosen, {}, skipped)


def read_content(origin: Any, wanted: Wanted, dialect: Dialect) -> Content:
    """What a file, standard input ("-"), a DataFrame or rows of Python hold of what is wanted."""
    choose = Choice(wanted)
    kinds, chosen = choose.kinds, choose.chosen
    if not isinstance(origin, str | PathLike | Origin):
        table = read_table(origin, columns=choose, kinds=kinds)
        return Content(table.source, table, chosen, {})
    place = origin if isinstance(origin, Origin) else Origin.at(Path(origin))
    grant(place.size)
    names = [*wanted.inputs, *(name for name in wanted.also if name not in wanted.inputs)]
    if place.format == "npy":
        if len(wanted.inputs) > 1:
            raise DataError(
                f"holds one array, and the model has the {plural('input', len(wanted.inputs))} "
                f"{listed(wanted.inputs)}; use .npz",
                file=place.name,
            )
        return Content(place.name, None, {}, dict.fromkeys(wanted.inputs, read_npy(place)))
    if place.format == "npz":
        return Content(place.name, None, {}, read_npz(place, names))
    if place.format == "json":
        content = read_json(place)
        if isinstance(content, dict):
            arrays = {name: content[name] for name in names if name in content}
            if not arrays:
                raise nothing_for(wanted.inputs, list(content), "keys").at(file=place.name)
            return Content(place.name, None, {}, arrays)
        if isinstance(content, list) and _holds_lists(content):
            return Content(place.name, None, {}, _stacked(content, names, place.name))
        if not isinstance(content, list):
            message = "is a JSON object of arrays by input, or a list of row objects; something else found"
            raise DataError(message, file=place.name)
        table = read_rows(content, choose, kinds, place.name)
    else:
        table = read_file(place, choose, kinds, dialect, choose.together)
    return Content(place.name, table, chosen, {})


def _stacked(rows: Sequence[Mapping[str, Any]], names: Sequence[str], source: str) -> dict[str, Any]:
    """The cells of each of these names that the rows have, which are arrays."""
    there = [name for name in names if name in rows[0]]
    if not there:
        raise nothing_for(names, list(rows[0]), "keys").at(file=source)
    for i, row in enumerate(rows):
        for name in there:
            if name not in row:
                raise DataError(f"row {i + 1} lacks '{name}', which row 1 has", file=source)
    return {name: [row[name] for row in rows] for name in there}


def _holds_lists(rows: Sequence[Any]) -> bool:
    """Whether rows of JSON hold an array in a cell, so that they are examples and no table."""
    return all(isinstance(row, dict) for row in rows) and any(
        isinstance(cell, list) for row in rows for cell in row.values()
    )
