"""``sweep``: one model trained many times, over the product of some settings' values."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataflow.backends.cluster import open_workers
from dataflow.data.source import DataSource
from dataflow.data.streams.shards import digest_of_files, files_of
from dataflow.errors import DataError, TrainingError
from dataflow.execution.inputs import feed
from dataflow.model.digests import graph_digest
from dataflow.model.model import Model
from dataflow.model.train_settings import FILE_OPTIONS
from dataflow.registry import registry
from dataflow.support.arguments import checked
from dataflow.support.conversion import whole
from dataflow.support.temporary import temporary_folder
from dataflow.training.history import History
from dataflow.training.minibatches.batches import Minibatches, digest_of
from dataflow.training.minibatches.part_work import needs_of
from dataflow.training.saving.checkpoints import KEPT
from dataflow.training.saving.interrupts import Interrupt, deferred
from dataflow.training.settings import takes_options
from dataflow.training.sweeps.combinations import Combination, better, combine
from dataflow.training.sweeps.folder import SCRATCH, VERSION, opened
from dataflow.training.sweeps.luggage import pack_inputs, packed_inputs, repeatable
from dataflow.training.sweeps.on_workers import do_on_workers
from dataflow.training.sweeps.processes import do_tasks
from dataflow.training.sweeps.runs import Outcome, SweepRun, Task, do_run, history_from, read_model, read_outcome


@dataclass
class Sweep:
    """The runs of a sweep, in the order of their values; the last key's change fastest."""

    runs: list[SweepRun]
    metric: str = "loss"
    """What the best run is the best in: the metric of early stopping, where all finished runs have it; else the first
    that they have of held-out examples, which is their loss; else the loss."""
    best: SweepRun | None = None
    """The finished run that is the best in that metric; of equal ones the first."""
    model: Model | None = None
    """The best run's trained model."""
    watched: str = ""
    """The metric of early stopping, where it is the same for all runs and named."""
    interrupted: bool = False
    """Whether the sweep ended early because Ctrl-C or the system asked for it."""

    @property
    def better(self) -> str:
        """Whether ``"lower"`` or ``"higher"`` numbers of the metric are better."""
        return better(self.metric)

    def counted(self, state: str) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    def __repr__(self) -> str:
        best = (
            "" if self.best is None else f", best {self.best.name}: {self.metric} {self.best.measured[self.metric]:.6g}"
        )
        return f"<sweep: {self.counted('finished')} of {len(self.runs)} runs finished{best}>"

    def choose(self) -> None:
        """Find the best of the runs that are finished by now."""
        finished = [run for run in self.runs if run.state == "finished" and run.measured]
        if not finished:
            return
        shared = [name for name in finished[0].measured if all(name in run.measured for run in finished)]
        held_out = next((name for name in shared if name.startswith("validation_")), "loss")
        self.metric = self.watched if self.watched in shared else held_out
        sign = 1 if self.better == "lower" else -1
        self.best = min(finished, key=lambda run: sign * run.measured[self.metric])


@checked
@takes_options(per_epoch=True)
def sweep(
    model: Model,
    data: Any = None,
    *,
    over: Mapping[str, Sequence[Any]],
    weights: Any = None,
    jobs: int = 1,
    cluster: Any = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = KEPT,
    resume: bool = False,
    on_change: Callable[[Sweep], object] | None = None,
    **options: Any,
) -> Sweep:
    """Train once for each combination of the values that ``over`` gives to options of ``train``, such as
    ``{"learning_rate": [0.01, 0.1], "seed": range(10)}``; a key of an option that is a table is written
    ``"optimizer.momentum"``. What else is given holds for all runs. The model stays as it is.

    ``data`` is what ``train`` takes. With ``jobs``, so many processes take the runs; with 1, this one does. Each run
    gives what ``train`` with its options gives, bit for bit, whatever ``jobs`` is. Every process uses as many threads
    as a single run would; ``threads=1`` keeps them from waiting for each other. Other processes get the model and
    arrays as msgpack files, so that its ops must be registered by plugins; they read tables themselves, which must be
    files.

    With ``cluster`` (see ``train``), each run is a task of one of its workers, with the same result; files of data are
    read there, under the same path. What a run leaves travels back, and this process writes it. On Dask a run whose
    worker is lost is done again.

    ``checkpoint`` names a folder in which each run gets one of its own, with its checkpoints, its trained model and its
    history. With ``resume``, the sweep goes on where it was: runs that ended stay as they are, others go on from their
    checkpoints, and values may have been added.

    A run in which NaN or infinity appears, or whose settings cannot be, is ``"failed"`` and does not end the others. A
    ``TrainingError`` if all of them failed. Ctrl-C ends all runs after their minibatches; when all is saved,
    ``KeyboardInterrupt`` is raised again. ``on_change`` is called when a run begins, when it ends, and in between about
    ten times a second.
    """
    jobs, keep = whole("jobs", jobs, 1), whole("keep", keep, 1)
    if resume and checkpoint is None:
        raise TrainingError('resume needs the folder of the sweep: checkpoint="DIR"')
    if cluster is not None and jobs > 1:
        raise TrainingError("jobs are processes here, and a cluster has its own workers; leave out one of them")
    combinations = combine(model.train_settings, over, options)
    if data is not None and not isinstance(data, Mapping | DataSource | Minibatches):
        data = (model.data or DataSource()).at(data)
    given = _Given(model, None if data is model.data else data, weights, checkpoint is not None, checkpoint_every, keep)
    if given.own_ops and (jobs > 1 or cluster is not None or checkpoint is not None):
        what = f"op '{given.own_ops[0]}' is registered by no plugin, so that no file can hold the model"
        raise TrainingError(f"{what}: register it, or use jobs=1 without a cluster or a checkpoint folder")
    with ExitStack() as stack:
        workers = stack.enter_context(open_workers(cluster))
        once = stack.enter_context(temporary_folder("sweep"))
        given = replace(given, data=repeatable(given.data, once))
        folder = stack.enter_context(opened(checkpoint, resume, given.description))
        runs = [
            SweepRun(one.name, one.values, one.settings.epochs, None if checkpoint is None else folder / one.name)
            for one in combinations
        ]
        watched = {(one.settings.early_stopping or {}).get("metric", "") for one in combinations}
        result = Sweep(runs, watched=watched.pop() if len(watched) == 1 else "")
        tasks = []
        for number, (run, one) in enumerate(zip(runs, combinations, strict=True)):
            task = given.task(number, one, folder / one.name)
            ended = read_outcome(folder / one.name, task.record) if resume else None
            if ended is None:
                tasks.append(task)
            else:
                run.state, run.error, run.history = ended.state, ended.error, history_from(ended.history)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder)))
        interrupt = stack.enter_context(deferred(terminate=checkpoint is not None))
        report = _Report(result, on_change)
        if workers is not None and tasks:
            inputs, ops, given_names = packed_inputs(model, given.data, weights)
            used = [one.settings for one in combinations]
            needs = needs_of(ops, {one.backend for one in used}, {one.rule.name for one in used})
            reports = (report.started, report.progressed, report.ended)
            do_on_workers(tasks, workers, inputs, given_names, needs, interrupt, *reports)
        elif jobs == 1 or len(tasks) < 2:
            _do_here(tasks, given, interrupt, report)
        else:
            pack_inputs(scratch, model, given.data, weights)
            do_tasks(tasks, jobs, scratch, interrupt, report.started, report.progressed, report.ended)
        result.interrupted = interrupt.requested and any(run.state in ("waiting", "interrupted") for run in runs)
        result.choose()
        if result.best is not None and (number := runs.index(result.best)) in given.trained:
            result.model = given.trained[number]
        elif result.best is not None:
            result.model = _with_place(read_model(folder / result.best.name), model)
    if all(run.state == "failed" for run in runs):
        raise TrainingError(f"all runs failed; {runs[0].name}: {runs[0].error}")
    return result


@dataclass(frozen=True)
class _Given:
    """What is the same for all runs."""

    model: Model
    data: Any
    weights: Any
    checkpoints: bool
    checkpoint_every: int | None
    keep: int
    trained: dict[int, Model] = field(default_factory=dict)
    """The trained models by the numbers of their runs, where no file can hold them."""

    @property
    def own_ops(self) -> list[str]:
        """The ops that only this process knows."""
        return [name for name, op in self.model.graph.ops.items() if not registry.is_registered(op)]

    def task(self, number: int, one: Combination, folder: Path) -> Task:
        settings: dict[str, Any] = {"fresh_optimizer": one.settings.fresh_optimizer, "backend": one.settings.backend}
        until: dict[str, Any] = {}
        for name, option in FILE_OPTIONS.items():
            (until if option.per_epoch else settings)[name] = option.plain(getattr(one.settings, name))
        record = {"name": one.name, "values": dict(one.values), "settings": settings, "until": until}
        place = None if self.own_ops else str(folder)
        return Task(number, dict(one.options), place, self.checkpoints, self.checkpoint_every, self.keep, record)

    def description(self) -> dict[str, Any]:
        """What tells whether a folder belongs to the same sweep: its values may be others."""
        model = self.model
        values = {name: model.parameters.known(name) for name in model.parameters}
        known = digest_of({name: value for name, value in values.items() if value is not None})
        start = f"{graph_digest(model)} {model.loss} {model.parameters.seed} {known}"
        return {"sweep": VERSION, "model": hashlib.sha256(start.encode()).hexdigest(), "data": self._data_digest()}

    def _data_digest(self) -> str | None:
        if isinstance(self.data, Mapping):
            return digest_of(feed(self.model.graph, self.data)[0])
        source = self.model.data if self.data is None else self.data
        if not isinstance(source, DataSource):
            return None
        if source.origin is None and source.file is None:
            return digest_of(source.load(self.model.graph))
        path = source.path() if source.origin is None else source.origin
        if not isinstance(path, str | os.PathLike):
            return None  # checkpoints, too, tell whether the examples are the same
        if os.path.isdir(path):
            return digest_of_files(files_of(Path(path)))
        try:
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=path) from None


@dataclass
class _Report:
    """Tells what becomes of the runs."""

    sweep: Sweep
    on_change: Callable[[Sweep], object] | None

    def started(self, task: Task) -> None:
        self.sweep.runs[task.number].state = "running"
        self._tell()

    def progressed(self, number: int, message: Mapping[str, Any]) -> None:
        history = History(message["epochs"] - 1)
        history.add(message["measured"])
        self.sweep.runs[number].history = history
        self._tell()

    def ended(self, task: Task, outcome: Outcome) -> None:
        run = self.sweep.runs[task.number]
        run.state, run.error = outcome.state, outcome.error
        if outcome.history:
            run.history = history_from(outcome.history)
        self.sweep.choose()
        self._tell()

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change(self.sweep)


def _do_here(tasks: Sequence[Task], given: _Given, interrupt: Interrupt, report: _Report) -> None:
    """Do the tasks one after the other, in this process."""
    for task in tasks:
        if interrupt.requested:
            return
        report.started(task)

        def on_epoch(history: History, task: Task = task) -> None:
            report.sweep.runs[task.number].history = history
            report._tell()

        model = copy.deepcopy(given.model)
        outcome = do_run(task, model, given.data, given.weights, on_epoch)
        if task.folder is None and outcome.state == "finished":
            given.trained[task.number] = model
        report.ended(task, outcome)


def _with_place(trained: Model, model: Model) -> Model:
    """The model, whose data lie where those of the original do: a run's folder does not have them."""
    if model.data is not None and model.data.file is not None:
        trained.data = replace(trained.data or model.data, file=model.data.file, folder=model.data.folder)
    return trained
