"""A run of a sweep in another process, which reports what becomes of it; there or on a worker of a cluster."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgpack

from dataflow.errors import DataflowWarning
from dataflow.support.atomic import replace_file
from dataflow.support.temporary import temporary_folder
from dataflow.training.history import History
from dataflow.training.saving.interrupts import Interrupt, sharing
from dataflow.training.saving.locking import NAME as LOCK
from dataflow.training.sweeps.luggage import inputs_of
from dataflow.training.sweeps.runs import HISTORY, Outcome, Task, do_run

PERIOD = 0.1
"""Seconds between two reports of epochs."""


def do_reported(
    task: Task, inputs: Callable[[], tuple[Any, Any, Any]], tell: Callable[[Mapping[str, Any]], object]
) -> Outcome:
    """Do a run on the model, the data and the weights that ``inputs`` gives, and tell its epochs and warnings."""
    last = -PERIOD

    def on_epoch(history: History) -> None:
        nonlocal last
        if time.monotonic() - last >= PERIOD:
            last = time.monotonic()
            series = {"loss": history.loss, **history.metrics}
            measured = {name: values[-1] for name, values in series.items() if values}
            tell({"epochs": history.epochs, "measured": measured})

    own, others = threading.get_ident(), warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if threading.get_ident() != own:  # of the process that this is a thread of
            others(message, category, *place, **more)
        elif issubclass(category, DataflowWarning):
            tell({"warning": str(message)})

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataflowWarning)
        warnings.showwarning = show
        model, data, weights = inputs()
        return do_run(task, model, data, weights, on_epoch)


def pack_task(task: Task) -> bytes:
    """A run for ``do_packed``, with the checkpoints that it goes on from."""
    found = Path(task.folder or "").glob("checkpoint-*.msgpack") if task.checkpoints else ()
    files = {path.name: path.read_bytes() for path in found}
    packed: bytes = msgpack.packb({"task": asdict(task), "files": files})
    return packed


def do_packed(inputs: Sequence[bytes], packed: bytes, tell: Callable[[bytes], object], interrupt: Interrupt) -> bytes:
    """Do a run in a folder that goes when it has ended: its files are a part of what is returned, for ``unpack``.
    ``inputs`` are from ``luggage.packed_inputs``; it ends early once the ``interrupt`` is requested."""
    message = msgpack.unpackb(packed)
    task = Task(**message["task"])
    with temporary_folder("run") as here, sharing(interrupt):
        folder = here / "run"
        folder.mkdir()
        for name, data in message["files"].items():
            (folder / name).write_bytes(data)
        outcome = Outcome("interrupted", None, {})
        if not interrupt.requested:
            own = replace(task, folder=str(folder))
            outcome = do_reported(own, lambda: inputs_of(inputs), lambda report: tell(msgpack.packb(report)))
        if outcome.error is not None:
            outcome = replace(outcome, error=outcome.error.replace(str(folder), str(task.folder)))
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK and path.is_file()}
    result: bytes = msgpack.packb({"outcome": asdict(outcome), "files": files})
    return result


def unpack(task: Task, result: bytes) -> Outcome:
    """How a run ended, whose files are written to its folder; what was there of checkpoints and is not among them
    goes."""
    message = msgpack.unpackb(result)
    files: dict[str, bytes] = message["files"]
    folder = Path(str(task.folder))
    if files:
        folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: name == HISTORY):  # last: who has it has the others
        replace_file(folder / name, [files[name]])
    if task.checkpoints:
        for path in folder.glob("checkpoint-*.msgpack"):
            if path.name not in files:
                path.unlink()
    history = message["outcome"]["history"]
    if history.get("checkpoint") is not None:
        history["checkpoint"] = str(folder / Path(history["checkpoint"]).name)
    return Outcome(**message["outcome"])
