"""The processes of a sweep, seen from the one that started them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import msgpack

from dataflow.errors import DataflowWarning
from dataflow.support.texts import shorten
from dataflow.training.saving.interrupts import Interrupt
from dataflow.training.sweeps.runs import Outcome, Task

PERIOD = 0.1
"""Seconds between two looks at whether the sweep was asked to end."""
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.raw.readline()); "
    "from dataflow.training.sweeps.worker import main; main()"
)
"""The path is the parent's, so that the same plugins are found, and no folder that Python adds by itself."""


@dataclass(eq=False)
class _Process:
    handle: subprocess.Popen[bytes]
    errors: IO[bytes]
    unpacker: msgpack.Unpacker = field(default_factory=msgpack.Unpacker)
    task: Task | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        self.write(msgpack.packb(message))

    def write(self, data: bytes) -> None:
        assert self.handle.stdin is not None
        with suppress(OSError):  # it has died, which its output tells
            self.handle.stdin.write(data)
            self.handle.stdin.flush()

    def close(self) -> None:
        """Close what leads to it; its output is closed where it is read."""
        for stream in (self.handle.stdin, self.errors):
            if stream is not None:
                with suppress(OSError):  # what was not sent to a process that died
                    stream.close()

    def reason(self) -> str:
        """Why it ended."""
        code = self.handle.wait()
        self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, self.errors.tell() - 2000))
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return f"its process {how}" + (f": {shorten(last, 200)}" if last else "")


def do_tasks(
    tasks: Sequence[Task],
    jobs: int,
    inputs: Path,
    interrupt: Interrupt,
    on_start: Callable[[Task], object],
    on_progress: Callable[[int, Mapping[str, Any]], object],
    on_end: Callable[[Task, Outcome], object],
) -> None:
    """Do the tasks in so many processes, which read the model and the data in the folder ``inputs``. When asked to end,
    each run ends after its minibatch. However this returns, no process is left."""
    waiting = deque(tasks)
    processes: list[_Process] = []
    told: set[str] = set()
    stopping = False
    inbox: queue.SimpleQueue[tuple[_Process, bytes]] = queue.SimpleQueue()

    def give(process: _Process) -> None:
        process.task = waiting.popleft() if waiting and not interrupt.requested else None
        if process.task is None:
            process.send({})
        else:
            on_start(process.task)
            process.send({"task": asdict(process.task), "inputs": str(inputs)})

    try:
        while waiting or processes:
            while waiting and len(processes) < jobs and not interrupt.requested:
                processes.append(_start(inbox))
                give(processes[-1])
            if interrupt.requested and not stopping:
                stopping = True
                for process in processes:
                    process.send({"stop": True})
            if not processes:
                break
            try:
                process, data = inbox.get(timeout=PERIOD)
            except queue.Empty:
                continue
            process.unpacker.feed(data)
            for message in process.unpacker:
                if "warning" in message:
                    if message["warning"] not in told:
                        told.add(message["warning"])
                        warnings.warn(message["warning"], DataflowWarning, stacklevel=2)
                elif "outcome" in message:
                    assert process.task is not None
                    on_end(process.task, Outcome(**message["outcome"]))
                    give(process)
                else:
                    on_progress(message["number"], message)
            if not data:
                processes.remove(process)
                reason = process.reason()
                process.close()
                if process.task is not None:
                    on_end(process.task, Outcome("interrupted", None, {}) if stopping else Outcome("lost", reason, {}))
    finally:
        for process in processes:
            process.handle.kill()
        for process in processes:
            process.handle.wait()
            process.close()


def _start(inbox: queue.SimpleQueue[tuple[_Process, bytes]]) -> _Process:
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
    handle = subprocess.Popen(
        [sys.executable, "-P", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # Ctrl-C at the terminal reaches the parent alone, which ends the runs in order
    )
    process = _Process(handle, errors)
    process.write(json.dumps([os.path.abspath(folder) for folder in sys.path]).encode() + b"\n")
    threading.Thread(target=_listen, args=(process, inbox), daemon=True).start()
    return process


def _listen(process: _Process, inbox: queue.SimpleQueue[tuple[_Process, bytes]]) -> None:
    """Put what the process says into the inbox; in the end, when it has died, nothing."""
    assert process.handle.stdout is not None
    with process.handle.stdout as stream:
        while data := os.read(stream.fileno(), 2**16):
            inbox.put((process, data))
    inbox.put((process, b""))
