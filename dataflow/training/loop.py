"""``train``: epochs, what is measured after each, checkpoints, and how a run ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dataflow.errors import TrainingError
from dataflow.model import Model
from dataflow.training.batches import Minibatches
from dataflow.training.checkpoints import KEPT, Checkpoints
from dataflow.training.history import History, Progress
from dataflow.training.interrupts import Interrupt, deferred
from dataflow.training.settings import OptimizerLike, whole
from dataflow.training.trainer import Trainer


def train(
    model: Model,
    data: Mapping[str, Any] | Minibatches | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: OptimizerLike | None = None,
    learning_rate: float | None = None,
    shuffle: bool | None = None,
    seed: int | None = None,
    validation: float | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = KEPT,
    resume: bool = False,
    backend: str = "numpy",
    threads: int | None = None,
    memory_limit: int | str | None = None,
    on_epoch: Callable[[History], object] | None = None,
    on_batch: Callable[[Progress], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
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

    Ctrl-C ends the run after the current minibatch, as does a callback that raises ``KeyboardInterrupt``:
    ``History.interrupted`` is true then. With ``checkpoint``, SIGTERM does the same, and then ends the process, unless
    the program has a handler of its own.

    ``on_batch`` is called after each minibatch, ``on_epoch`` after each epoch, and ``on_progress`` after each minibatch
    or, with a backend that runs many of them by itself, about ten times a second.

    Where NaN or infinity appears, the run stops with a ``NonFiniteError`` that names the first node that has it.
    ``model.parameters`` are those from before the minibatch at fault; if only the loss of the whole data is not finite
    after an epoch, those from the start of that epoch.
    """
    trainer = Trainer(
        model,
        data,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        shuffle=shuffle,
        seed=seed,
        validation=validation,
        backend=backend,
        threads=threads,
        memory_limit=memory_limit,
    )
    total = whole("epochs", model.train_settings.epochs if epochs is None else epochs, 0)
    if resume and checkpoint is None:
        raise TrainingError('resume needs the folder of the checkpoints: checkpoint="DIR"')
    history = History()
    with ExitStack() as stack:
        checkpoints = None
        if checkpoint is not None:
            checkpoints = stack.enter_context(Checkpoints(Path(checkpoint), trainer, checkpoint_every, keep))
            history = checkpoints.begin(resume)
        interrupt = stack.enter_context(deferred(terminate=checkpoint is not None))
        try:
            while trainer.batches.epoch < total and not interrupt.requested:
                if _epoch(trainer, total, (on_batch, on_progress), interrupt, checkpoints, history):
                    _measure(trainer, history)
                    if checkpoints is not None:
                        checkpoints.after_epoch(history, last=trainer.batches.epoch >= total)
                    _call(on_epoch, history, interrupt)
            # Asked to end when there was nothing left to do, the run is simply finished.
            history.interrupted = interrupt.requested and trainer.batches.epoch < total
            if history.interrupted and checkpoints is not None:
                checkpoints.finish(history)
        finally:
            model.training = trainer.record(history)
    return history


def _epoch(
    trainer: Trainer,
    total: int,
    callbacks: tuple[Callable[[Progress], object] | None, Callable[[Progress], object] | None],
    interrupt: Interrupt,
    checkpoints: Checkpoints | None,
    history: History,
) -> bool:
    """The rest of the current epoch; whether it came to its end."""
    batches, (on_batch, on_progress) = trainer.batches, callbacks
    epoch = batches.epoch
    trainer.mark()
    while batches.epoch == epoch:
        number = batches.batch
        most = min(batches.per_epoch - number, math.inf if checkpoints is None else checkpoints.left)
        done, loss = trainer.some(1 if on_batch is not None else int(most))
        for callback in (on_batch, on_progress):
            _call(callback, Progress(epoch + 1, total, number + done, batches.per_epoch, loss), interrupt)
        if batches.epoch == epoch and interrupt.requested:
            return False
        if batches.epoch == epoch and checkpoints is not None:
            checkpoints.after_minibatch(history)
    return True


def _measure(trainer: Trainer, history: History) -> None:
    measured = trainer.measure()
    if not math.isfinite(measured["loss"]):
        raise trainer.back_to_mark()
    history.add(measured)


def _call(callback: Callable[[Any], object] | None, argument: object, interrupt: Interrupt) -> None:
    if callback is not None:
        try:
            callback(argument)
        except KeyboardInterrupt:
            interrupt.requested = True
