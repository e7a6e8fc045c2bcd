"""Read the named files of ``tests/attacks`` in this process, with an audit hook that hears of whatever Python does
outside itself: what is imported, opened, executed, connected to. ``test_attacks`` starts it and judges the JSON that it
prints.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from checkout import ATTACKS, CORPUS, ROOT
from click.testing import CliRunner

sys.path.insert(0, str(ROOT / "tools"))

from fuzzing.watch import forget_peak, peak, resident

import dataflow
from dataflow.cli.group import main as command_line
from dataflow.data.source import read_data
from dataflow.files.toml.read import loads_toml

HOST = ATTACKS / "host.toml"
MODELS = (".toml", ".msgpack", ".onnx")
ONE = "reshape(x, shape=(1,))"
FAULTS = [
    *(f"z = 'concatenate({ONE}, {ONE})'", "z = 'relu(y)'", "z = 'relu(", "z = 'x + 1e999'"),
    *("z = 'sum(x, axes=3)'", "z = 'matmull(x)'", "z = 3"),
]

heard: list[str] | None = None


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Write down what happens, and to what, while a file is read."""
    if heard is not None:
        heard.append(f"{event} {os.fspath(arguments[0]) if event == 'open' else str(arguments)[:200]}")


def main() -> None:
    """Warm up with sound files and with ordinary faults, so that what is imported when it is first needed is there;
    then listen."""
    host = dataflow.load(HOST)
    warnings.simplefilter("ignore")
    for path in sorted(CORPUS.iterdir()):
        attempt(partial(read, path, host.graph))
        check(path)
    for fault in FAULTS:
        attempt(partial(loads_toml, f"dataflow = 1\ninputs.x = {{}}\n[nodes]\n{fault}\n"))
    sys.addaudithook(hook)
    rows = {}
    for path in (ATTACKS / name for name in sorted(sys.argv[1:])):
        rows[path.name] = {**watched(partial(read, path, host.graph)), **watched_check(path)}
    print(json.dumps(rows))


def read(path: Path, graph: dataflow.Graph) -> None:
    """A model is loaded and run with its own data, which is when a data file is opened; data are read for a graph."""
    if path.suffix in MODELS:
        dataflow.load(path).run()
    else:
        read_data(path, graph)


def attempt(action: Callable[[], Any]) -> dataflow.DataflowError | None:
    """The error that comes of it."""
    try:
        action()
    except dataflow.DataflowError as error:
        return error
    return None


def watched(action: Callable[[], Any]) -> dict[str, Any]:
    """What came of reading, and what was heard meanwhile."""
    global heard  # noqa: PLW0603 (the hook outlives every call)
    before = resident()
    forget_peak()
    started = time.process_time()
    heard = events = []
    try:
        error = attempt(action)
    finally:
        heard = None
    return {
        "error": None
        if error is None
        else next(kind.__name__ for kind in type(error).__mro__ if hasattr(dataflow, kind.__name__)),
        "text": "" if error is None else str(error),
        "events": list(dict.fromkeys(events)),
        "seconds": time.process_time() - started,
        "memory": max(0, peak() - before),
    }


def check(path: Path) -> Any:
    """``dataflow check`` of a model, or of the host with a data file."""
    is_model = path.suffix in MODELS
    words = ["check", str(path)] if is_model else ["check", str(HOST), "--data", str(path)]
    return CliRunner().invoke(command_line, words)


def watched_check(path: Path) -> dict[str, Any]:
    """What ``dataflow check`` printed, and what was heard meanwhile."""
    global heard  # noqa: PLW0603
    heard = events = []
    try:
        done = check(path)
    finally:
        heard = None
    return {"status": done.exit_code, "stderr": done.stderr, "check_events": list(dict.fromkeys(events))}


if __name__ == "__main__":
    main()
