"""What is told during long work: who computes, and a progress bar on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dataflow.backends.cluster import Workers
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean
from dataflow.model.streamed_tables import OnChunk
from dataflow.support.number_texts import number_text
from dataflow.training import History, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

TELLING = ("validation_accuracy", "validation_loss", "accuracy")
"""Of these metrics the first that there is stands beside the bar."""


class Silent:
    """Show nothing."""

    def batch(self, progress: Progress) -> None:
        """After each minibatch."""

    def epoch(self, history: History) -> None:
        """After each epoch."""

    def chunk(self, what: str, done: int, count: int | None) -> None:
        """After each piece, of so many if that is known."""


class Shown(Silent):
    """A bar over all minibatches, with the loss of the last epoch and one metric, as 80 columns hold no more."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.task = bar.add_task("training", total=None, text="")

    def batch(self, progress: Progress) -> None:
        done = (progress.epoch - 1) * progress.batches + progress.batch
        total = progress.epochs * progress.batches
        description = f"epoch {progress.epoch}/{progress.epochs}"
        self.bar.update(self.task, completed=done, total=total, description=description)

    def chunk(self, what: str, done: int, count: int | None) -> None:
        self.bar.update(self.task, completed=done, total=count, description=what)

    def epoch(self, history: History) -> None:
        measured = {"loss": history.loss}
        for name in TELLING:
            if name in history.metrics:
                measured[name] = history.metrics[name]
                break
        text = "  ".join(
            f"{name.replace('_', ' ')} {number_text(values[-1], 5)}" for name, values in measured.items() if values
        )
        self.bar.update(self.task, text=text)


@contextmanager
def show_chunks(session: Session, what: str) -> Iterator[OnChunk]:
    """A bar over the pieces of a stream, or over whatever is counted, where somebody looks at it."""
    with show_progress(session) as shown:
        yield lambda done, count: shown.chunk(what, done, count)


@contextmanager
def show_progress(session: Session) -> Iterator[Silent]:
    """Show a bar on standard error, where somebody looks at it."""
    if not session.shows_progress:
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    def text(name: str) -> TextColumn:
        return TextColumn(name, table_column=Column(no_wrap=True))

    columns = (text("{task.description}"), BarColumn(12), TimeRemainingColumn(), text("{task.fields[text]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Shown(bar)


def tell_workers(workers: Workers, quiet: bool) -> None:
    """Say how many workers there are, and where a browser shows what they do."""
    if not quiet:
        where = "" if workers.link is None else f"; dashboard: {clean(workers.link)}"
        click.echo(f"workers: {workers.count}{where}", err=True)
