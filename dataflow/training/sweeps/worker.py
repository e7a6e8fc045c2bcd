"""A process that takes runs of a sweep, one after the other.

Messages are msgpack maps, in on standard input and out on what was standard output; whatever else is printed goes to
standard error. When standard input ends, the parent has died, and this process does at once, so that no run is done by
two.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack

from dataflow.errors import DataflowWarning
from dataflow.training.history import History
from dataflow.training.saving.interrupts import Interrupt, deferred
from dataflow.training.sweeps.luggage import unpack_inputs
from dataflow.training.sweeps.runs import Outcome, Task, do_run

PERIOD = 0.1
"""Seconds between two messages about epochs."""


def main() -> None:
    """Do what the messages say, until one of them is empty."""
    replies = os.dup(1)
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    with deferred(resend=False) as interrupt:  # Ctrl-C is the parent's to tell
        threading.Thread(target=_listen, args=(inbox, interrupt), daemon=True).start()
        while message := inbox.get():
            _do(message, replies, interrupt)


def _listen(inbox: queue.SimpleQueue[dict[str, Any]], interrupt: Interrupt) -> None:
    unpacker = msgpack.Unpacker()
    while data := os.read(0, 2**16):
        unpacker.feed(data)
        for message in unpacker:
            if message.get("stop"):
                interrupt.requested = True
            else:
                inbox.put(message)
            if not message:
                return
    os._exit(1)


def _do(message: dict[str, Any], replies: int, interrupt: Interrupt) -> None:
    task = Task(**message["task"])
    last = -PERIOD

    def tell(**reply: Any) -> None:
        data = memoryview(msgpack.packb({"number": task.number, **reply}))
        while data:
            data = data[os.write(replies, data) :]

    if interrupt.requested:
        tell(outcome=asdict(Outcome("interrupted", None, {})))
        return

    def on_epoch(history: History) -> None:
        nonlocal last
        if time.monotonic() - last >= PERIOD:
            last = time.monotonic()
            series = {"loss": history.loss, **history.metrics}
            tell(epochs=history.epochs, measured={name: values[-1] for name, values in series.items() if values})

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, DataflowWarning):
            tell(warning=str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataflowWarning)
        warnings.showwarning = show
        model, data, weights = unpack_inputs(Path(message["inputs"]))
        outcome = do_run(task, model, data, weights, on_epoch)
    tell(outcome=asdict(outcome))
