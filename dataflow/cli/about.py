"""Which file an error is about, where it does not say it itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dataflow.data.readers.opening import STANDARD_INPUT
from dataflow.errors import DataflowError, MissingInputError, UndeclaredError


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Name this file in errors raised inside, unless they name another; of an input that the data lacks, the data."""
    try:
        yield
    except DataflowError as error:
        if isinstance(error, MissingInputError):
            error.at(file=_given_table())
            error.message += "" if error.file else _ways_to_give()
        error.at(file=path)
        if isinstance(error, UndeclaredError) and path.suffix.lower() == ".msgpack":
            target = path.with_suffix(".toml")
            error.message += f"; declare it in the TOML file that {path} was made from"
            if not target.exists():  # converting would replace it
                error.message += f", or make one: dataflow convert {path} {target}"
        raise


def _given_table() -> str | None:
    """What the data of ``--data`` is called; nothing where there is none."""
    file = _parameters().get("data_file")
    return "standard input" if str(file) == STANDARD_INPUT else file and str(file)


def _ways_to_give() -> str:
    """Which options of this command give an input."""
    ways = [option for name, option in (("data_file", "--data"), ("settings", "--set")) if name in _parameters()]
    return f"; give it with {' or '.join(ways)}" if ways else ""


def _parameters() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.params
