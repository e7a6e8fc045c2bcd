"""Which file an error is about, where it does not say it itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        error.at(file=path)
        if isinstance(error, UndeclaredError) and path.suffix.lower() == ".msgpack":
            target = path.with_suffix(".toml")
            error.message += f"; declare it in the TOML file that {path} was made from"
            if not target.exists():  # converting would replace it
                error.message += f", or make one: dataflow convert {path} {target}"
        raise


def _given_table() -> str | None:
    """What the data of ``--data`` is called; nothing where there is none."""
    context = click.get_current_context(silent=True)
    file = None if context is None else context.params.get("data_file")
    return "standard input" if str(file) == STANDARD_INPUT else file and str(file)
