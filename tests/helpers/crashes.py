"""Runs that are killed, from one process that has everything imported, so that each costs milliseconds.

``python crashes.py COUNT SEED FOLDER`` forks a run, kills it with SIGKILL, forks one that resumes, and so on; what came
of each is a line of JSON. Half of the runs kill themselves inside a save: before a system call, after it, or with half
of a write done. The others are killed from outside after a random time.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nets import classifier

from dataflow import DataflowWarning, TrainSettings
from dataflow.training import train

CALLS = ("open", "write", "fsync", "close", "replace", "unlink")
"""What a save asks of the system."""
EPOCHS = 12
EVERY = 4
"""Minibatches between checkpoints; an epoch has 6."""
WEIGHTS = [1 + i % 3 for i in range(50)]
"""Of the examples."""


def settings() -> TrainSettings:
    """Shuffled minibatches, momentum, examples that are held out by chance, and a run that ends itself."""
    return TrainSettings(
        {"name": "sgd", "learning_rate": 0.2, "momentum": 0.9},
        EPOCHS,
        8,
        shuffle=True,
        validation={"share": 0.1, "shuffle": True, "stratify": "y"},
        early_stopping={"patience": 5},
    )


def run(folder: Path | None, *, resume: bool = False) -> str:
    """Train to the end; a digest of all that the run leaves behind."""
    model = classifier(train=settings())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataflowWarning)  # where nothing was written yet
        every = EVERY if folder else None
        history = train(model, weights=WEIGHTS, checkpoint=folder, checkpoint_every=every, resume=resume)
    assert history.best_epoch is not None
    assert history.best_epoch < history.epochs < EPOCHS
    left = (history.epochs, history.best_epoch, history.loss, history.metrics, model.training)
    parameters = b"".join(array.tobytes() for array in model.parameters.values())
    return hashlib.sha256(repr(left).encode() + parameters).hexdigest()


class Dying:
    """Counts the system calls of saves; at the ``at``-th, the process dies."""

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how = at, how
        self.count = 0
        for name in CALLS:
            setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.count += 1
            if self.count != self.at:
                return call(*arguments, **keywords)
            if self.how == "half" and call.__name__ == "write":
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif self.how == "after":
                call(*arguments, **keywords)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("not reached")

        return counted


def forked(action: Callable[[], str]) -> tuple[int, int]:
    """A process that does something and tells its result through a pipe: its id, and the pipe's end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.write(writing, action().encode())
        status = 0
    finally:
        os._exit(status)


def ended(pid: int, reading: int) -> tuple[str, bool]:
    """What a process told, and whether it was killed."""
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read(), os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def killed_inside_a_save(folder: Path, rng: random.Random, calls: int, resume: bool) -> str | None:
    """Where the process died; ``None`` if it came to its end."""
    at, how = rng.randint(1, calls), rng.choice(("before", "after", "half"))

    def action() -> str:
        Dying(at, how)
        return run(folder, resume=resume)

    return f"{how} call {at}" if ended(*forked(action))[1] else None


def killed_from_outside(folder: Path, rng: random.Random, seconds: float, resume: bool) -> str | None:
    """After how long the process was killed; ``None`` if it had come to its end before."""
    delay = rng.uniform(0, seconds)
    pid, reading = forked(lambda: run(folder, resume=resume))
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    return f"after {delay:.4f} s" if ended(pid, reading)[1] else None


def main(count: int, seed: int, scratch: Path) -> None:
    """Kill ``count`` runs, resume each, and print what came of it."""
    rng = random.Random(seed)
    expected = run(None)
    start = time.perf_counter()
    assert ended(*forked(lambda: run(scratch / "timed"))) == (expected, False)
    seconds = time.perf_counter() - start

    def counting() -> str:
        dying = Dying(0, "never")
        run(scratch / "counted")
        return str(dying.count)

    calls = int(ended(*forked(counting))[0])
    done = 0
    while done < count:
        folder = scratch / str(done)
        inside = done % 2 == 0
        moments = []
        for attempt in range(2 if done % 4 > 1 else 1):  # every other pair is killed once more, while it resumes
            if inside:
                moment = killed_inside_a_save(folder, rng, calls, attempt > 0)
            else:
                moment = killed_from_outside(folder, rng, seconds, attempt > 0)
            moments += [moment] if moment else []
        if not moments:
            continue
        torn = len(list(folder.glob(".dataflow-*"))) if folder.is_dir() else 0
        found, _ = ended(*forked(partial(run, folder, resume=True)))
        left = sorted(path.name for path in folder.iterdir())
        told = {"inside": inside, "moments": moments, "torn": torn, "left": left, "same": found == expected}
        print(json.dumps(told), flush=True)
        done += 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
