"""``train``: epochs, what is measured after each, checkpoints, and how a run ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataflow.backends.cluster import open_workers
from dataflow.errors import TrainingError
from dataflow.model.model import Model
from dataflow.model.train_settings import options_of
from dataflow.support.arguments import checked
from dataflow.support.conversion import whole
from dataflow.training.early_stopping import EarlyStopping
from dataflow.training.history import History, Progress, StopTraining
from dataflow.training.saving.checkpoints import KEPT, Checkpoints
from dataflow.training.saving.interrupts import Interrupt, deferred
from dataflow.training.settings import chosen_options, takes_options
from dataflow.training.trainer import Trainer


@checked
@takes_options(per_epoch=True)
def train(
    model: Model,
    data: Any = None,
    *,
    weights: Any = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = KEPT,
    resume: bool = False,
    cluster: Any = None,
    on_epoch: Callable[[History], object] | None = None,
    on_batch: Callable[[Progress], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> History:
    """Train for so many epochs; what is not given is what the model's file declares (see ``Trainer``).

    The result is in ``model.parameters``; ``model.training`` holds what a trained file keeps of the run. A run repeats
    bit for bit with the same model, data, settings and backend.

    ``checkpoint`` names a folder that is made if need be. It gets a checkpoint at the start, after each epoch (with
    ``checkpoint_every``, after so many minibatches instead), at the end and when the run is interrupted; the last
    ``keep`` are kept. Where one cannot be written, a warning says so, the last good one stays, and the run goes on.
    With ``resume``, the run goes on from the newest good one and ends bit for bit like a run that was never
    interrupted; ``epochs`` counts from the first run's start. A checkpoint of another model, other data or other
    settings is refused.

    Ctrl-C ends the run after the current minibatch, as does a callback that raises ``KeyboardInterrupt``; when all is
    saved, ``KeyboardInterrupt`` is raised again, so that a script ends. A callback that raises ``StopTraining`` ends
    the run alone: ``History.interrupted`` is true then. With ``checkpoint``, SIGTERM and SIGHUP wait for the minibatch
    and the checkpoint, too, and then end the process, unless the program has a handler of its own.

    With ``early_stopping`` the run ends when a metric has not improved for some epochs; however it ends, the result is
    then the best epoch's parameters, and ``History.best_epoch`` says which that was.

    ``on_batch`` is called after each minibatch with a ``Progress``, ``on_progress`` likewise or, with a backend that
    runs many minibatches by itself, about ten times a second, and ``on_epoch`` after each epoch with the ``History`` up
    to there.

    ``cluster`` is where the gradients of minibatches are computed: ``"local:4"`` for four processes here, the address
    of a scheduler such as ``"tcp://HOST:8786"``, or an open ``Client`` of Dask's distributed (extra ``[cluster]``);
    ``"mpi:4"`` for four processes of MPI here, ``"mpi"`` for those of ``mpiexec`` (extra ``[mpi]``). With
    ``sync_every`` over 1, workers take that many steps by themselves, and ``on_batch`` is called after each round.

    Where NaN or infinity appears, the run stops with a ``NonFiniteError`` that names the first node that has it.
    ``model.parameters`` are those from before the minibatch at fault; if only the loss of the whole data is not finite
    after an epoch, those from the start of that epoch.
    """
    with open_workers(cluster) as workers:
        known = options_of()
        per_epoch = {name: options.pop(name) for name in [*options] if known[name].per_epoch}
        trainer = Trainer(model, data, weights=weights, cluster=workers, **options)
        trainer.settings = settings = replace(trainer.settings, **chosen_options(model.train_settings, per_epoch))
        total = whole("epochs", settings.epochs, 0)
        stopping = None if settings.early_stopping is None else EarlyStopping(settings.early_stopping, trainer)
        trainer.lay_out(total)
        if resume and checkpoint is None:
            raise TrainingError('resume needs the folder of the checkpoints: checkpoint="DIR"')
        history = History()
        try:
            with ExitStack() as stack:
                checkpoints = None
                if checkpoint is not None:
                    checkpoints = stack.enter_context(Checkpoints(Path(checkpoint), trainer, checkpoint_every, keep))
                    history = checkpoints.begin(resume)
                    if stopping is not None:
                        stopping.follow(history)
                history.optimizer_start = str(trainer.optimizer_start)
                if not _is_finished(trainer, total, stopping):
                    trainer._begin()
                ending = _Ending(stack.enter_context(deferred(terminate=checkpoint is not None)))
                try:
                    while not (finished := _is_finished(trainer, total, stopping)) and not ending.requested:
                        if _epoch(trainer, total, (on_batch, on_progress), ending, checkpoints, history):
                            _measure(trainer, history)
                            if stopping is not None:
                                stopping.after_epoch(history)
                            if checkpoints is not None:
                                checkpoints.after_epoch(history, last=_is_finished(trainer, total, stopping))
                            ending.call(on_epoch, history)
                    # Asked to end when there was nothing left to do, the run is simply finished.
                    history.interrupted = not finished
                    if checkpoints is not None:
                        checkpoints.finish(history)
                    trainer.back_to_best()
                    if ending.error is not None:
                        raise ending.error
                finally:
                    model.training = trainer.record(history)
                    trainer.vectors.give_up()
        except KeyboardInterrupt as error:
            _told(error, history)
            raise
    return history


def _is_finished(trainer: Trainer, total: int, stopping: EarlyStopping | None) -> bool:
    return trainer.batches.epoch >= total or (stopping is not None and stopping.done)


def _told(error: KeyboardInterrupt, history: History) -> None:
    """Add to the error what was kept."""
    kept = "model.parameters hold what was trained"
    saved = f"; the newest checkpoint is {history.checkpoint}" if history.checkpoint is not None else ""
    error.add_note(f"training was interrupted after {history.epochs} whole epochs: {kept}{saved}")


@dataclass
class _Ending:
    """Whether the run was asked to end before its time, and how."""

    interrupt: Interrupt
    stopped: bool = False
    error: KeyboardInterrupt | None = None

    @property
    def requested(self) -> bool:
        return self.stopped or self.error is not None or self.interrupt.requested

    def call(self, callback: Callable[[Any], object] | None, argument: object) -> None:
        if callback is not None:
            try:
                callback(argument)
            except StopTraining:
                self.stopped = True
            except KeyboardInterrupt as error:
                self.error = error


def _epoch(
    trainer: Trainer,
    total: int,
    callbacks: tuple[Callable[[Progress], object] | None, Callable[[Progress], object] | None],
    ending: _Ending,
    checkpoints: Checkpoints | None,
    history: History,
) -> bool:
    """The rest of the current epoch; whether it came to its end."""
    batches, (on_batch, on_progress) = trainer.batches, callbacks
    epoch = batches.epoch
    trainer.observe(history)
    trainer.mark()
    while batches.epoch == epoch:
        number = batches.batch
        most = max(1, int(min(batches.per_epoch - number, math.inf if checkpoints is None else checkpoints.left)))
        if on_batch is None and on_progress is None:
            trainer.run_until(most, ending.interrupt)
        else:
            done, loss = trainer.some(1 if on_batch is not None else most)
            progress = Progress(epoch + 1, total, number + done, batches.per_epoch, loss)
            ending.call(on_batch, progress)
            ending.call(on_progress, progress)
        if batches.epoch == epoch and ending.requested:
            return False
        if batches.epoch == epoch and checkpoints is not None:
            checkpoints.after_minibatch(history)
    return True


def _measure(trainer: Trainer, history: History) -> None:
    measured = trainer.measure()
    if not math.isfinite(measured["loss"]):
        raise trainer.back_to_mark()
    history.add(measured)
