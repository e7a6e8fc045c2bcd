"""A process that takes runs of a sweep, one after the other.

Messages are msgpack maps, in on standard input and out on what was standard output; whatever else is printed goes to
standard error. When standard input ends, the parent has died, and this process does at once, so that no run is done by
two.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack

from dataflow.training.saving.interrupts import Interrupt, deferred
from dataflow.training.sweeps.luggage import unpack_inputs
from dataflow.training.sweeps.reported import do_reported
from dataflow.training.sweeps.runs import Outcome, Task


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

    def tell(reply: Mapping[str, Any]) -> None:
        data = memoryview(msgpack.packb({"number": task.number, **reply}))
        while data:
            data = data[os.write(replies, data) :]

    outcome = Outcome("interrupted", None, {})
    if not interrupt.requested:
        outcome = do_reported(task, lambda: unpack_inputs(Path(message["inputs"])), tell)
    tell({"outcome": asdict(outcome)})
