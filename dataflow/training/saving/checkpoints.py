"""Checkpoints: everything that a run needs to go on as if it had never stopped, in files that are whole or not there.

A checkpoint is a container (``dataflow.files.msgpack.container``) called ``checkpoint-EPOCH-BATCH.msgpack`` after the
epochs and the minibatches of the next one that were finished. Its header says ``checkpoint = 1`` and holds checksums of
model and data, the settings, the position, the number of updates and the history; its tensors are, for each dtype,
the vector of the parameters and those of the optimizer, the same after the best epoch where early stopping keeps them,
and what a trained file keeps of the run's start. The order of shuffled examples is a function of seed and epoch, so
that no generator has a state beyond the position. A checkpoint is read, never mapped, and every checksum is checked.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dataflow.errors import DataflowWarning, FileFormatError, TrainingError
from dataflow.files.msgpack.container import Container, read_container, write_container
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT
from dataflow.model.train_settings import DECIDING_OPTIONS
from dataflow.registry import registry
from dataflow.shapes import format_shape
from dataflow.support.atomic import TEMPORARY
from dataflow.support.conversion import whole
from dataflow.support.texts import shorten
from dataflow.training.history import History
from dataflow.training.minibatches.batches import digest_of
from dataflow.training.saving.locking import is_held, locked
from dataflow.training.trainer import Best, Trainer

VERSION = 1
KEPT = 3
"""How many checkpoints stay unless the caller says; older ones are deleted once a newer one is safe."""

_NAME = re.compile(r"checkpoint-([0-9]{1,12})-([0-9]{1,12})\.msgpack")


class Checkpoints:
    """The checkpoints of one run in one folder, which is locked while this is open. The folder is made if need be.

    One is written after each epoch, or, with ``every``, after so many minibatches; the last ``keep`` stay.
    """

    def __init__(self, folder: Path, trainer: Trainer, every: int | None = None, keep: int = KEPT) -> None:
        self.folder = folder
        self._trainer = trainer
        self._every = None if every is None else whole("checkpoint_every", every, 1)
        self._keep = whole("keep", keep, 1)
        self._stack = ExitStack()
        self._descriptor: int | None = None
        self._fixed: dict[str, Any] = {}
        self._last: Path | None = None
        self._saved: int | None = None
        self._tried = 0
        self._unreadable: list[Path] = []

    def __enter__(self) -> Self:
        self._lock()
        for left in self.folder.glob(TEMPORARY):  # by a run that was killed while it wrote
            with suppress(OSError):
                left.unlink()
        trainer = self._trainer
        held_out = None if trainer.held_out is None else digest_of(trainer.held_out)
        course = trainer.settings.course
        length = {"epochs": trainer.settings.epochs} if course is not None and course.uses_length else {}
        self._fixed = {
            "checkpoint": VERSION,
            "model": model_digest(trainer.model.graph, str(trainer.model.loss)),
            "data": [trainer.batches.digest(), held_out],
            "settings": {**trainer.settings.plain(), **length, "backend": trainer.settings.backend},
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, resume: bool) -> History:
        """The history up to the newest good checkpoint, to which the trainer is set; an empty one for a new run, of
        which a first checkpoint is written."""
        found = checkpoint_files(self.folder)
        if found and not resume:
            raise TrainingError(
                "has checkpoints of an earlier run; go on with it by resume=True (--resume), or choose another folder",
                file=self.folder,
            )
        if not found:
            if resume:
                self._warn(f"{self.folder}: there is no checkpoint yet; training starts from the beginning")
            history = History()
            self._write(history)
            return history
        for path in found:
            try:
                container = read_container(path, mapped=False)
            except FileFormatError as error:
                self._warn(f"{error}; this checkpoint is left out, the one before it is tried")
                self._unreadable.append(path)
                continue
            try:
                history = self._restored(path, container)
            except TrainingError as error:
                raise error.at(file=path) from None
            self._noted(path, history)
            return history
        raise TrainingError("has no checkpoint that can be read; start anew in another folder", file=self.folder)

    @property
    def left(self) -> float:
        """Minibatches until the next checkpoint is due within an epoch."""
        return math.inf if self._every is None else self._every - self._since_last

    @property
    def _since_last(self) -> int:
        return self._trainer.batches.position - self._tried

    def after_minibatch(self, history: History) -> None:
        """Within an epoch: save if the time has come."""
        if self._every is not None and self._since_last >= self._every:
            self.save(history)

    def after_epoch(self, history: History, *, last: bool) -> None:
        """When an epoch has been measured: save, unless there is a rhythm of minibatches and its time has not come."""
        if self._every is None or last or self._since_last >= self._every:
            self.save(history)

    def finish(self, history: History) -> None:
        """Save what is not saved yet, or was deleted since."""
        position = self._trainer.batches.position
        if self._tried != position or (self._saved == position and not self._is_there(self._last)):
            self.save(history)
        if not self._is_there(history.checkpoint):
            history.checkpoint = None

    def save(self, history: History) -> None:
        """Write a checkpoint, then delete those that are too old. If it cannot be written, a warning says so, the
        last one stays, and the run goes on: the next may succeed."""
        self._tried = self._trainer.batches.position
        try:
            if self._descriptor is None or not is_held(self._descriptor, self.folder):
                self._lock()  # the folder was deleted, or all that was in it
            path = self._write(history)
        except (FileFormatError, TrainingError) as error:
            there = self._last is not None and self._is_there(self._last)
            last = f"the last good one is {self._last.name}" if self._last is not None and there else "there is none"
            self._warn(f"the checkpoint could not be written: {error} ({last}); training goes on")
            return
        with suppress(OSError):
            for old in self._superseded(path):
                old.unlink()

    # -------------------------------------------------------------------------------------------- internals

    def _lock(self) -> None:
        """Make the folder if need be, and hold its lock."""
        self._stack.close()
        self._descriptor = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot be made a folder for checkpoints: {error.strerror or error}; choose another"
            raise TrainingError(message, file=self.folder) from None
        self._descriptor = self._stack.enter_context(locked(self.folder))

    @staticmethod
    def _is_there(path: Path | None) -> bool:
        return path is not None and path.is_file()

    def _superseded(self, newest: Path) -> list[Path]:
        """What may go now that the newest is safe: those before the last few, and torn ones, which are newer than it
        by their names."""
        older = [path for path in checkpoint_files(self.folder) if _position(path) <= _position(newest)]
        torn = [path for path in self._unreadable if path not in older and path.exists()]
        return [*torn, *older[self._keep :]]

    def _noted(self, path: Path, history: History) -> None:
        history.checkpoint = self._last = path
        self._saved = self._tried = self._trainer.batches.position

    def _write(self, history: History) -> Path:
        trainer = self._trainer
        epoch, batch = trainer.batches.epoch, trainer.batches.batch
        header = {
            **self._fixed,
            "epoch": epoch,
            "batch": batch,
            "steps": trainer.steps,
            "loss": history.loss,
            "metrics": history.metrics,
            "names": [list(group.names) for group in trainer.vectors.groups],
            "updates_before": trainer.optimizer_start.updates,
            **({} if trainer.best is None else {"best": [trainer.best.epoch, trainer.best.steps]}),
        }
        path = self.folder / name_at(epoch, batch)
        if path.is_symlink():  # what it leads to is not this run's to write
            path.unlink()
        write_container(path, header, self._tensors())
        self._noted(path, history)
        return path

    def _vectors(self) -> dict[str, np.ndarray]:
        vectors, best = self._trainer.vectors, self._trainer.best
        own = vectors.changing()
        kept = {} if best is None else dict(zip([f"best.{name}" for name in own], best.arrays, strict=True))
        return own | kept | {f"held.{name}": array for name, array in vectors.held.items()}

    def _tensors(self) -> dict[str, np.ndarray]:
        return self._vectors() | {f"start.{name}": array for name, array in (self._trainer.start or {}).items()}

    def _restored(self, path: Path, container: Container) -> History:
        """Set the trainer to what the file holds, once all of it was found to fit."""
        header, trainer = container.header, self._trainer
        if header.get("checkpoint") != VERSION:
            raise TrainingError("is no checkpoint that this version reads")
        self._refuse_others(header)
        if "best" in header:
            trainer.best = _best(header["best"], trainer)
        own = self._tensors()
        fits = container.tensors.keys() == own.keys() and all(
            array.dtype == own[name].dtype and array.shape == own[name].shape
            for name, array in container.tensors.items()
        )
        epoch, batch, steps = (header.get(key) for key in ("epoch", "batch", "steps"))
        before = header.get("updates_before", 0)
        metrics, names = header.get("metrics"), trainer.measured[1:]
        if (
            not fits
            or header.get("names") != [list(group.names) for group in trainer.vectors.groups]
            or not (type(epoch) is type(batch) is type(steps) is type(before) is int and min(epoch, steps, before) >= 0)
            or not 0 <= batch < trainer.batches.per_epoch
            or not _is_history(header.get("loss"), metrics, epoch, names)
        ):
            other = f"; it holds other metrics ({', '.join(metrics)})" if metrics and set(metrics) != set(names) else ""
            raise TrainingError(f"does not hold what a checkpoint of this run holds{other}; choose another folder")
        if trainer.start is not None:
            trainer.start = {name: container.tensors[f"start.{name}"] for name in trainer.start}
        for name, array in self._vectors().items():
            array[...] = container.tensors[name]
        trainer.steps = steps
        trainer.optimizer_start = replace(trainer.optimizer_start, updates=before)
        trainer.batches.seek(epoch, batch)
        return History(epoch, header["loss"], header["metrics"])

    def _refuse_others(self, header: Mapping[str, Any]) -> None:
        for key, what in (("model", "another model (its graph differs)"), ("data", "other data")):
            if header.get(key) != self._fixed[key]:
                raise TrainingError(f"was made with {what}; use the same, or choose another folder")
        saved, own = _flat(header.get("settings")), _flat(self._fixed["settings"])
        for name, option in DECIDING_OPTIONS.items():
            if not option.required:  # a checkpoint from before there was this option
                saved.setdefault(name, option.plain(option.default))
        backends = saved.pop("backend", None), own.pop("backend")
        for name in sorted(saved.keys() | own.keys()):
            if saved.get(name) != own.get(name):
                there, here = (_shown(settings.get(name)) for settings in (saved, own))
                raise TrainingError(
                    f"was made with {name} = {there}, and this run has {here}; use the same, or choose another folder"
                )
        if backends[0] != backends[1] and registry.present_name("backend", str(backends[0])) != backends[1]:
            self._warn(f"the checkpoint was made by the backend {backends[0]!r}; bits may differ with {backends[1]!r}")

    @staticmethod
    def _warn(message: str) -> None:
        warnings.warn(message, DataflowWarning, stacklevel=4)


def _best(stated: Any, trainer: Trainer) -> Best | None:
    """A place for the best state that a checkpoint has."""
    if not isinstance(stated, list) or [type(number) for number in stated] != [int, int] or min(stated) < 1:
        return None
    epoch, steps = stated
    return Best(epoch, steps, trainer.vectors.snapshot())


def checkpoint_files(folder: Path) -> list[Path]:
    """All checkpoints in a folder, the newest first."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_position)[::-1]


def name_at(epoch: int, batch: int) -> str:
    """What a checkpoint is called after so many epochs, and minibatches of the next."""
    return f"checkpoint-{epoch:06d}-{batch:06d}.msgpack"


def is_newest(history: History, record: Mapping[str, Any]) -> bool:
    """Whether the run's last state, which ``record`` tells of, is in its newest checkpoint."""
    path = history.checkpoint
    return path is not None and path.name == name_at(record["epochs"], record["batch"]) and path.is_file()


def _position(path: Path) -> tuple[int, ...]:
    """The epochs and minibatches in a checkpoint's name."""
    return tuple(map(int, path.stem.split("-")[1:]))


def model_digest(graph: Graph, loss: str) -> str:
    """A checksum of what the loss depends on: nodes, ops, attributes, shapes and constants, not parameters' values."""
    digest = hashlib.sha256(loss.encode())
    for name in sorted(graph.needed_for([loss])):
        node = graph.node_of(name)
        attributes = sorted((key, repr(value)) for key, value in node.attributes.items())
        about = (name, node.kind, node.op or None, format_shape(node.shape), node.dtype.name, attributes)
        digest.update(repr((*about, graph.arguments(name))).encode())
        if node.kind == CONSTANT:
            digest.update(np.ascontiguousarray(node.value).tobytes())
    return digest.hexdigest()


def _is_history(loss: Any, metrics: Any, epochs: int, names: Sequence[str]) -> bool:
    """Whether there is a number for each epoch, of the loss and of each metric that this run measures."""
    if not isinstance(metrics, dict) or set(metrics) != set(names if epochs else ()):
        return False
    series = [loss, *metrics.values()]
    return all(
        isinstance(values, list) and len(values) == epochs and all(isinstance(value, float) for value in values)
        for values in series
    )


def _flat(settings: Any) -> dict[str, Any]:
    """One level of names: an optimizer's attributes by themselves, its name as ``optimizer``."""
    if not isinstance(settings, dict):
        return {}
    result = {key: value for key, value in settings.items() if key != "optimizer"}
    optimizer = settings.get("optimizer")
    inner = dict(optimizer) if isinstance(optimizer, dict) else {}
    return {**result, "optimizer": inner.pop("name", None), **inner}


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return shorten(json.dumps(value), 80)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
