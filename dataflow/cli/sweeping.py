"""``dataflow train --sweep``: many runs, a table of them, and the best as the result."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataflow.backends.cluster import open_workers
from dataflow.backends.threads import thread_count
from dataflow.cli.about import about
from dataflow.cli.command import together
from dataflow.cli.going_on import arguments_of_call, command_line
from dataflow.cli.group import Session
from dataflow.cli.progress import tell_workers
from dataflow.cli.rescue import Rescue
from dataflow.cli.terminal_text import clean, left_out, table
from dataflow.cli.train_options import NONE
from dataflow.data.source import DataSource
from dataflow.data.write_results import plain_document, plain_numbers
from dataflow.errors import DataflowError, counted
from dataflow.files import save
from dataflow.model.model import Model
from dataflow.model.train_settings import options_of
from dataflow.support.number_texts import number_text
from dataflow.training.saving.interrupts import deferred
from dataflow.training.sweep import Sweep, sweep
from dataflow.training.sweeps.combinations import MOST, check_values
from dataflow.training.sweeps.runs import SweepRun

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 40
"""So many runs are printed."""
REASON = 60
"""So many characters of a reason."""
_RANGE = re.compile(r"\s*(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})\s*(,|$)")
_BETWEEN = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?\.\.[-+]?[0-9.]+(e[-+]?[0-9]+)?")


def _parse_sweeps(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[Any]]:
    over: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, rest = text.partition("=")
        key = key.strip().replace("-", "_")
        try:
            if not equals or not rest.strip():
                raise DataflowError(f"'{text}' is not of the form KEY=V,V or KEY=A..B, such as seed=0..9")
            if key in over:
                raise DataflowError(f"{key} is swept twice; give all its values at once")
            optional = key in options_of() and options_of()[key].optional
            over[key] = check_values(key, [None if optional and value == NONE else value for value in _values(rest)])
        except DataflowError as error:
            raise click.BadParameter(f"{error.message}.", ctx, option) from None
    return over


def _values(text: str) -> Iterator[Any]:
    """The values between commas: whole numbers from A to B, JSON, or text that is itself."""
    decoder = json.JSONDecoder()
    while True:
        if match := _RANGE.match(text):
            first, last = int(match[1]), int(match[2])
            if not 0 <= last - first < MOST:
                raise DataflowError(f"{match[1]}..{match[2]} is no range of 1 to {MOST:,} whole numbers, A to B")
            yield from range(first, last + 1)
            rest = text[match.end() :] if match[3] else None
        else:
            text = text.lstrip()
            try:
                value, end = decoder.raw_decode(text)
            except (ValueError, RecursionError):
                value, end = None, -1
            if end < 0 or text[end:].lstrip()[:1] not in ("", ","):
                value, end = text.partition(",")[0].strip(), len(text.partition(",")[0])
            if isinstance(value, str) and _BETWEEN.fullmatch(value):
                raise DataflowError(f"'{value}': A..B are whole numbers; write others out, with commas: 0.05,0.1")
            if value == "":
                raise DataflowError("a value is missing beside a comma")
            yield value
            after = text[end:].lstrip()
            rest = after[1:] if after else None
        if rest is None:
            return
        text = rest


sweep_options = together(
    click.option(
        "--sweep",
        "over",
        multiple=True,
        metavar="KEY=V,V|KEY=A..B",
        callback=_parse_sweeps,
        help="Train once for each of these values of an option, such as learning_rate, seed or optimizer.momentum; "
        "several give their product.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many runs of a sweep go on at once, each in a process of its own; as many as there are cores unless "
        "given. The results do not depend on it.",
    ),
)


def run_sweep(
    session: Session,
    rescue: Rescue,
    data: Mapping[str, Any] | DataSource | None,
    over: Mapping[str, Sequence[Any]],
    jobs: int | None,
    plot: Path | None,
    *,
    cluster: str | None,
    checkpoint: Path | None,
    **options: Any,
) -> None:
    """Do the runs, show them, and save the best one's model."""
    output, words = rescue.output, arguments_of_call()
    shown = _shown(session, sys.stderr.isatty())
    try:
        with (
            about(rescue.model_file),
            deferred(terminate=True, resend=False) as interrupt,
            open_workers(cluster, lambda opened: tell_workers(opened, session.quiet)) as workers,
            shown as on_change,
        ):
            jobs = jobs or (thread_count() if workers is None else 1)
            options |= {"jobs": jobs, "cluster": workers, "checkpoint": checkpoint}
            done = sweep(rescue.model, data, over=over, on_change=on_change, **options)
    except KeyboardInterrupt:
        left = f"; what was saved is in {checkpoint}" if checkpoint is not None else "; nothing was saved"
        status = 128 + (interrupt.signal or signal.SIGINT)
        session.end(f"interrupted twice, before the runs could end in order{left}", status)
    session.live = False
    whole = not done.interrupted and not done.counted("lost")
    if whole and output is not None and done.model is not None:
        _save_best(done.model, rescue.model_file, output, checkpoint)
    if plot is not None and done.best is not None and done.best.history.loss:
        done.best.history.plot(plot, title=f"{rescue.model.name}: {done.best.name}")
    if session.as_json:
        session.print_json(_document(done))
    else:
        session.say(_text(done))
        if whole:
            saved = "-o FILE.msgpack saves it" if output is None else f"saved to {clean(output)}"
            session.say(f"The best run's model was {'not saved; ' if output is None else ''}{saved}.")
    session.flush()
    if not whole:
        _tell_how_to_go_on(session, rescue, done, checkpoint, words, interrupt.signal)


def _save_best(model: Model, model_file: Path, output: Path, checkpoint: Path | None) -> None:
    """Save the model as the output; where that cannot be written any more, where it can, and say so in the error."""
    try:
        save(model, output)
    except DataflowError as error:
        with suppress(DataflowError):
            error.message += f"; the best model was saved to {Rescue(model, model_file, output, checkpoint).save()}"
        raise


def _tell_how_to_go_on(
    session: Session, rescue: Rescue, done: Sweep, checkpoint: Path | None, words: list[str], number: int | None
) -> None:
    ended = f"{done.counted('finished') + done.counted('failed')} of {counted(len(done.runs), 'run')}"
    if checkpoint is not None:
        again = command_line([*words, *([] if "--resume" in words else ["--resume"])])
        advice = f"what there is was saved to {checkpoint}. Go on with: {again}"
    else:
        kept = "nothing was saved"
        if done.model is not None and rescue.output is not None:
            kept = f"the best so far was saved to {Rescue(done.model, rescue.model_file, rescue.output, None).save()}"
        again = command_line([*words, "--checkpoint", f"{rescue.model_file.stem}-sweep"])
        advice = f"{kept}. Start again with: {again}"
    if done.interrupted:
        click.echo(clean(f"Interrupted after {ended}; {advice}"), err=True)
        raise click.exceptions.Exit(128 + (number or signal.SIGINT))
    lost = next(run for run in done.runs if run.state == "lost")
    session.end(f"{counted(done.counted('lost'), 'run')} could not end; {lost.name}: {lost.error}; {advice}")


# ------------------------------------------------------------------------------------------------ while it runs


@contextmanager
def _shown(session: Session, on_terminal: bool) -> Iterator[Callable[[Sweep], object] | None]:
    """A live table on a terminal; elsewhere a line for each run that ends."""
    if session.quiet:
        yield None
        return
    if not on_terminal:
        told: set[str] = set()

        def tell(done: Sweep) -> None:
            for run in done.runs:
                if run.state not in ("waiting", "running") and run.name not in told:
                    told.add(run.name)
                    click.echo(clean(f"{len(told)}/{len(done.runs)}  {run.name}: {_result(run)}"), err=True)

        yield tell
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda done: live.update(_live_table(done, console.height - 6), refresh=True)


def _live_table(done: Sweep, most: int) -> Table:
    from rich.table import Table

    going = [run for run in done.runs if run.state == "running"]
    ended = [run for run in done.runs if run.state not in ("running", "waiting") and run is not done.best]
    best = [] if done.best is None else [done.best]
    left = max(1, most - len(going) - len(best))
    states = ("finished", "failed", "lost", "waiting")
    counts = ", ".join(f"{done.counted(state)} {state}" for state in states if done.counted(state))
    grid = Table(caption=f"{counted(len(done.runs), 'run')}: {counts}", box=None, caption_justify="left", expand=True)
    for heading in ("run", "epoch", "result"):
        grid.add_column(heading, no_wrap=True)
    for run in [*best, *ended[-left:], *going]:
        result = f"{_numbers(run)}{'  best' if run is done.best else ''}" if run.error is None else run.error
        grid.add_row(clean(run.name), f"{run.history.epochs}/{run.epochs}", clean(result)[:REASON])
    return grid


# ------------------------------------------------------------------------------------------------ in the end


def _result(run: SweepRun) -> str:
    if run.error is not None:
        return f"{run.state}: {run.error}"
    how = "" if run.state == "finished" else f"{run.state} after "
    return ", ".join(filter(None, (f"{how}{counted(run.history.epochs, 'epoch')}", _numbers(run))))


def _numbers(run: SweepRun) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {number_text(value)}" for name, value in run.measured.items())


def _text(done: Sweep) -> str:
    names = list(dict.fromkeys(name for run in done.runs for name in run.measured))
    keys = list(done.runs[0].values)
    rows = []
    for run in done.runs[:ROWS]:
        numbers = [number_text(run.measured[name], 8) if name in run.measured else "" for name in names]
        remark = "best" if run is done.best else "" if run.state == "finished" else run.state
        remark = remark if run.error is None else f"{run.state}: {run.error}"
        rows.append((*(_cell(run.values[key]) for key in keys), str(run.history.epochs), *numbers, clean(remark)))
    text = table((*map(clean, keys), "epochs", *(name.replace("_", " ") for name in names), ""), rows)
    text += left_out(len(done.runs) - ROWS, "run")
    if done.best is not None:
        number = f"{done.metric.replace('_', ' ')} {number_text(done.best.measured[done.metric], 12)}"
        text += f"\n\nbest: {clean(done.best.name)}, {number}"
    return text


def _cell(value: Any) -> str:
    return NONE if value is None else clean(value if isinstance(value, str) else json.dumps(plain_document(value)))


def _document(done: Sweep) -> dict[str, Any]:
    best = None if done.best is None else next(i for i, run in enumerate(done.runs) if run is done.best)
    parameters = {} if done.model is None else done.model.parameters
    return {
        "runs": [
            {
                "name": run.name,
                "values": plain_document(dict(run.values)),
                "state": run.state,
                "error": run.error,
                "folder": None if run.folder is None else str(run.folder),
                "epochs": run.history.epochs,
                "loss": plain_numbers(run.history.loss),
                "metrics": {name: plain_numbers(values) for name, values in run.history.metrics.items()},
            }
            for run in done.runs
        ],
        "metric": done.metric,
        "better": done.better,
        "best": best,
        "parameters": {name: plain_numbers(parameters[name]) for name in parameters},
    }
