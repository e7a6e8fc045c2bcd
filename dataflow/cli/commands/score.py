"""``dataflow score``: the loss and metrics of a model over data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.progress import show_chunks
from dataflow.cli.stream_options import check_stream_options, stream_options
from dataflow.cli.terminal_text import clean, table
from dataflow.cli.train_options import declared_option
from dataflow.data.write_results import plain_numbers
from dataflow.errors import counted
from dataflow.metrics.scores import Scores
from dataflow.support.figures import check_plot
from dataflow.support.number_texts import number_text
from dataflow.support.text_tables import columns_text
from dataflow.support.texts import shorten
from dataflow.training.score_plot import DRAWING, plot_scores

CLASSES = 20
"""A confusion matrix of more classes is not printed."""


@click.command(
    "score",
    cls=Command,
    epilog=example_text(
        "dataflow score houses.msgpack --data test.csv",
        "dataflow score digits.msgpack --metrics accuracy,top_3 --json",
        "dataflow score clicks.msgpack --data clicks/ --stream",
        "dataflow score digits.msgpack --plot confusion.svg",
    ),
)
@common.model_argument
@common.table_options
@stream_options
@parameters_option
@declared_option("metrics", "What is measured beside the loss, by name, such as accuracy,f1.")
@click.option(
    "--plot",
    type=FILE,
    metavar="FILE",
    help="Draw the confusion matrix, or the predicted numbers against the true ones: .png, .svg or .pdf.",
)
@common.backend_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    given: Given,
    stream: bool | None,
    chunk_rows: int | None,
    on_error: str | None,
    metrics: list[str] | None,
    plot: Path | None,
    backend: str | None,
) -> None:
    """Score MODEL: its loss and metrics over a table with what is to be predicted.

    The loss is the model's own, over its own numbers; metrics of numbers are in the unit of the table. Metrics are
    those that the model's file names, else what fits the loss. Without --data, the model's own data is scored, all of
    it.

    With --stream the table, or a folder of tables, is read piece by piece and need not fit into memory: losses and
    metrics are put together from those of the pieces. The area under the ROC curve keeps the scores of all rows.
    """
    check_stream_options(stream, chunk_rows, on_error)
    if plot is not None:
        check_plot(plot, DRAWING)
        common.check_outputs(plot)
    with about(model_file):
        model = common.load_model(model_file)
        how: dict[str, Any] = {"metrics": metrics, "backend": backend or "numpy", **given.settings}
        if stream:
            with show_chunks(session, "scoring") as on_chunk:
                how |= {"stream": True, "chunk_rows": chunk_rows, "on_error": on_error, "on_chunk": on_chunk}
                scores = model.score(given.file, **how)
        else:
            scores = model.score(given.file, **how)
        if plot is not None:
            plot_scores(scores, plot, title=model.name)
    if session.as_json:
        session.print_json(
            {
                "examples": scores.examples,
                "loss": plain_numbers(scores["loss"]) if "loss" in scores else None,
                "metrics": {name: plain_numbers(value) for name, value in scores.items() if name != "loss"},
                "classes": dict(scores.classes),
                "warnings": session.take(),
            }
        )
        return
    session.say(_text(model.name, scores))
    if plot is not None:
        session.say(f"\nDrew {clean(plot)}.")


def _text(name: str, scores: Scores) -> str:
    numbers = [(key, number_text(value)) for key, value in scores.items() if not isinstance(value, np.ndarray)]
    parts = [f"{clean(name)}: {counted(scores.examples, 'example')}", table(("metric", "value"), numbers)]
    for key, value in scores.items():
        if isinstance(value, np.ndarray):
            parts.append(_matrix(key, value, scores.classes.get(key, [])))
    return "\n\n".join(parts)


def _matrix(name: str, matrix: np.ndarray, classes: list[str]) -> str:
    title = f"{name.replace('_', ' ')} (a row for each class, a column for each predicted one)"
    if len(classes) > CLASSES:
        return f"{title}: {counted(len(classes), 'class')}; --json has it, --plot FILE draws it"
    names = [clean(shorten(one, 24)) for one in classes]
    rows = [[one, *(f"{x:g}" for x in line)] for one, line in zip(names, matrix.tolist(), strict=True)]
    return f"{title}\n" + columns_text([["", *names], *rows], 1)
