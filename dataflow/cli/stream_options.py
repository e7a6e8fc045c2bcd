"""The options of commands that go through data which need not fit into memory, and what check makes of it."""

from __future__ import annotations

from typing import Any

from dataflow.analysis.gradient_check import EXAMPLES, drawn_examples
from dataflow.cli.command import refuse, together
from dataflow.cli.common import Given
from dataflow.cli.group import Session
from dataflow.cli.progress import show_chunks
from dataflow.cli.train_options import declared_option
from dataflow.errors import DataError
from dataflow.model.model import Model
from dataflow.model.streamed_tables import CheckedData, StreamOptions, check

stream_options = together(
    declared_option(
        "stream",
        "Read the data piece by piece, so that it need not fit into memory: a file, or a folder of files.",
    ),
    declared_option("chunk_rows"),
    declared_option("on_error"),
)
"""For what goes through data that need not fit into memory."""


def check_stream_options(stream: bool | None, chunk_rows: int | None, on_error: str | None) -> None:
    """Refuse what belongs to streams where there is none."""
    more = chunk_rows is not None or on_error is not None
    refuse((more and not stream, "--chunk-rows and --on-error are of data that is read piece by piece: add --stream"))


def checked_stream(
    session: Session, model: Model, given: Given, chunk_rows: int | None, on_error: str | None
) -> CheckedData:
    """Go through all data, and keep the first examples."""
    with show_chunks(session, "checking") as on_chunk:
        options = StreamOptions.chosen(model.train_settings, chunk_rows, on_error, on_chunk)
        return check(model, given.file, EXAMPLES, options)


def first_inputs(model: Model, given: Given, streamed: CheckedData) -> tuple[dict[str, Any], DataError | None]:
    """The first examples of a stream; where it has faults, numbers that are drawn, and the error."""
    if streamed.faults.count:
        return drawn_examples(model.graph), streamed.faults.error()
    inputs = {**streamed.examples, **given.settings}
    model.decide_widths(inputs)
    return inputs if given.example is None else dict(model.one_example(inputs, given.example)), None
