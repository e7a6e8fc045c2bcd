"""Reading one hostile file under watch: what came of it, and what time and memory it took."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import dataflow
from dataflow.data.source import DataSource, read_data
from dataflow.model.digests import graph_digest, parameter_digest
from dataflow.shapes import Size, is_static

SECONDS = 2.0
"""How long reading a file may take."""
MEMORY = 256 * 2**20
"""How much memory reading may take, beside three times the file."""
HANG = 60
"""After so many seconds on the clock a case is given up."""
ELEMENTS = 200_000
"""A model that was accepted is run if its arrays have no more numbers than this."""


@dataclass
class Outcome:
    """What came of a case. ``fault`` is empty, or what should not have been."""

    kind: str
    result: str
    """``"loaded"``, or the class of the error."""
    message: str = ""
    """The error's message without names and numbers: equal for equal errors."""
    seconds: float = 0.0
    wall: float = 0.0
    memory: int = 0
    used: str = ""
    """What was done with a model that was accepted."""
    fault: str = ""
    details: str = field(default="", repr=False)


def watch(kind: str, path: Path, rng: Random, *, use: float) -> Outcome:
    """Read the file and, with the probability ``use``, work with the model if there is one."""
    size = path.stat().st_size
    outcome = Outcome(kind, "loaded")
    model: Any = None
    before = resident()
    forget_peak()
    started, clock = time.process_time(), time.perf_counter()
    try:
        with _alarm(), _capped(MEMORY + 3 * size), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", dataflow.DataflowWarning)
            model = _read(path)
    except dataflow.DataflowError as error:
        outcome.result = type(error).__name__
        outcome.message = _skeleton(error.message)
        outcome.fault = _fault_of_message(error, path)
    except BaseException as error:  # noqa: BLE001 (what is looked for)
        outcome.result = type(error).__name__
        outcome.fault = f"{type(error).__name__} while reading"
        outcome.details = traceback.format_exc()
    outcome.seconds, outcome.wall = time.process_time() - started, time.perf_counter() - clock
    outcome.memory = max(0, peak() - before)
    if outcome.seconds > SECONDS:
        outcome.fault = outcome.fault or "too slow"
    if outcome.memory > MEMORY + 3 * size:
        outcome.fault = outcome.fault or "too much memory"
    if model is not None and isinstance(model, dataflow.Model) and rng.random() < use:
        _use(outcome, model, path)
    return outcome


def _read(path: Path) -> Any:
    if path.suffix in (".toml", ".msgpack", ".onnx"):
        return dataflow.load(path)
    return read_data(path, _for_data(), DataSource(one_hot={"label": 3}))


_GRAPHS: list[dataflow.Graph] = []


def _for_data() -> dataflow.Graph:
    """The graph whose inputs a data file is read for."""
    if not _GRAPHS:
        graph = dataflow.Graph("data")
        graph.input("x", ("n", 2))
        graph.input("y", ("n", 1))
        graph.input("label", ("n", 3))
        _GRAPHS.append(graph)
    return _GRAPHS[0]


# ------------------------------------------------------------------------------------------------ using a model


def _use(outcome: Outcome, model: dataflow.Model, path: Path) -> None:
    """Run, differentiate, digest, draw and convert a model from a hostile file: nothing but ``DataflowError`` may
    come of it, and what is written comes back the same."""
    steps: list[tuple[str, Callable[[], object]]] = []
    if _small(model):
        steps += [("run", lambda: _run(model)), ("digests", lambda: (graph_digest(model), parameter_digest(model)))]
        steps += [("draw", lambda: dataflow.draw(model).source)]
        steps += [
            (f"convert to {ending}", lambda ending=ending: _convert(model, path, ending))
            for ending in (".msgpack", ".toml")
        ]
    for name, step in steps:
        outcome.used += f"{name} "
        try:
            with _alarm(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                step()
        except dataflow.DataflowError:
            pass
        except BaseException as error:  # noqa: BLE001 (what is looked for)
            outcome.fault = outcome.fault or f"{type(error).__name__} in {name}"
            outcome.details = outcome.details or traceback.format_exc()


def _small(model: dataflow.Model) -> bool:
    if len(model.graph) > 300:
        return False
    count = 0
    for _, node in model.graph.node_items():
        product = 1
        for size in node.shape:
            known = size.substitute(dict.fromkeys(size.names, 3)) if isinstance(size, Size) else size
            product *= max(int(known) if isinstance(known, int) else ELEMENTS, 1)
        count += product
        if count > ELEMENTS:
            return False
    return True


def _run(model: dataflow.Model) -> None:
    rng = np.random.default_rng(0)
    inputs = {}
    for name in model.graph.names("input"):
        node = model.graph.node_of(name)
        if all(isinstance(size, int) or size.as_symbol for size in node.shape):
            shape = tuple(size if isinstance(size, int) else 3 for size in node.shape)
            inputs[name] = rng.integers(0, 2, shape).astype(node.dtype)
    for data in (inputs, None):
        with contextlib.suppress(dataflow.DataflowError):
            model.run(data=data)
        with contextlib.suppress(dataflow.DataflowError):
            model.gradients(data=data)
    if model.outputs and is_static(model.graph.node_of(model.outputs[0]).shape):
        model.gradients(of=model.outputs[0], data=inputs)


def _convert(model: dataflow.Model, path: Path, ending: str) -> None:
    copy = path.with_name(f"copy{ending}")
    try:
        dataflow.save(model, copy)
        again = dataflow.load(copy)
        if ending == ".msgpack" and graph_digest(again) != graph_digest(model):
            raise AssertionError("the copy is another model")
    finally:
        copy.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ errors

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\[.*\]|\(.*\)|\{.*\}")
_DIGITS = re.compile(r"[-+]?\d[\d.,e+]*|[0-9a-f]{8}")


def _skeleton(message: str) -> str:
    return _DIGITS.sub("0", _QUOTED.sub("'_'", message.partition("; did you mean")[0].partition("; available: ")[0]))[
        :120
    ]


def _fault_of_message(error: dataflow.DataflowError, path: Path) -> str:
    """What is wrong with an error itself: it names the file, and is one line that is not too long."""
    text = str(error)
    if not text.startswith(str(path)):
        return "an error without the file"
    if any(not character.isprintable() for character in text.removeprefix(str(path))):
        return "an error that is not one printable line"
    return "an error that is too long" if len(text) > 3000 else ""


# ------------------------------------------------------------------------------------------------ time and memory


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """A ``TimeoutError`` where something hangs."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise TimeoutError(f"given up after {HANG} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_LINUX = sys.platform == "linux"
_SLACK = 64 * 2**20
"""Address space that the allocator may take ahead of need."""


@contextlib.contextmanager
def _capped(extra: int) -> Iterator[None]:
    """No more than so many bytes of address space beyond what there is: a huge array that is asked for and never
    touched is a ``MemoryError`` too."""
    if not _LINUX:
        yield
        return
    with open("/proc/self/statm", "rb") as file:
        now = int(file.read().split()[0]) * _PAGE
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + extra + _SLACK, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def resident() -> int:
    """Bytes of memory that the process has now; 0 where that cannot be known."""
    if not _LINUX:
        return 0
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def forget_peak() -> None:
    """Let the peak of resident memory be what it is now."""
    if _LINUX:
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "wb") as file:
            file.write(b"5")


def peak() -> int:
    """The most bytes of memory that the process had since ``forget_peak``. Linux counts pages for each CPU and adds the
    counts up only now and then: on a machine of many CPUs tens of MiB may be missing, here and in ``resident``."""
    if not _LINUX:
        return 0
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    start = text.index(b"VmHWM:") + 6
    return int(text[start : text.index(b"kB", start)]) * 1024
