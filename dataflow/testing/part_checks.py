"""What is checked of everything else that plugins register: optimizers, schedules, initializers, metrics, backends,
file formats and commands. Each check yields a line for each fault that it finds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import dataflow.testing.schedule_checks as schedules
from dataflow.backends.interface import Backend
from dataflow.backends.optimizer import Optimizer
from dataflow.backends.rule import example_settings
from dataflow.backends.schedule import Schedule
from dataflow.errors import DataflowError, MissingExtraError, PluginError
from dataflow.execution.initializers import Initializer
from dataflow.files.file_format import FileFormat
from dataflow.graph.graph import Graph
from dataflow.metrics.compared import Compared
from dataflow.metrics.metric import Metric
from dataflow.model.model import Model
from dataflow.operations.engine_ops import sum_to
from dataflow.support.arguments import checked

SHAPES = ((3, 4), (4, 4), (2, 3, 3, 3), (5,), ())
"""Of parameters; an initializer may be for some of them."""


def check_part(kind: str, part: Any) -> list[str]:
    """All faults of an optimizer, a schedule (their classes), an initializer, a metric, a backend, a file format or
    a command; none where an extra is not installed that it needs."""
    try:
        return list(PARTS[kind](part))
    except MissingExtraError:
        return []
    except Exception as error:  # noqa: BLE001 (a plugin's own code runs here, and may raise anything)
        return [_reason(error)]


@checked
def assert_optimizer(optimizer: type[Optimizer]) -> None:
    """A ``PluginError`` lists the faults of an optimizer. One without keeps its attributes, changes parameters and
    declared state in place, and repeats from a checkpoint: all that it remembers is in its state."""
    if faults := check_part("optimizer", optimizer):
        raise PluginError("\n".join(f"optimizer '{optimizer.name}': {text}" for text in faults))


def _optimizer(optimizer: type[Optimizer]) -> Iterator[str]:
    given = yield from _settings(optimizer)
    if given is None:
        return
    if "learning_rate" not in given:
        yield "it has no attribute learning_rate, which schedules multiply; take it as a keyword-only parameter"
        return
    for dtype in (np.float64, np.float32):
        whole = _Run(optimizer, given, dtype)
        faults = list(whole.updates(1, 6))
        yield from faults
        if faults:
            return
        parts = _Run(optimizer, given, dtype)
        list(parts.updates(1, 3))
        parts.optimizer = optimizer.create(parts.optimizer.settings())
        list(parts.updates(4, 6))
        if not np.array_equal(whole.parameters, parts.parameters, equal_nan=True):
            yield (
                "it does not repeat from a checkpoint: what it remembers from update to update stands in self, not in "
                "the state; name it in state_names"
            )
            return


class _Run:
    """Parameters, state and an optimizer on its way through some updates."""

    def __init__(self, optimizer: type[Optimizer], given: Mapping[str, Any], dtype: type[np.floating[Any]]) -> None:
        self.optimizer = optimizer.create(given)
        self.parameters = np.linspace(-1, 1, 7).astype(dtype)
        self.state = {name: np.zeros(7, dtype) for name in optimizer.state_names}

    def updates(self, first: int, last: int) -> Iterator[str]:
        """Do these updates; a line for the first fault."""
        for step in range(first, last + 1):
            rng = np.random.default_rng(step)
            gradients = rng.normal(size=7).astype(self.parameters.dtype)
            before, own = self.parameters.copy(), dict(self.state)
            try:
                result: Any = self.optimizer.update(self.parameters, gradients, own, step)
            except KeyError as error:
                yield f"update uses state[{error}], which state_names does not declare; name it there"
                return
            if np.array_equal(self.parameters, before):
                told = " and returns something, which nobody reads" if result is not None else ""
                yield f"update leaves the parameters as they are{told}; change them in place, as parameters -= ..."
                return
            for name, array in own.items():
                if array is not self.state.get(name):
                    yield f"update puts a new array in state['{name}']; change it in place: state['{name}'][...] = ..."
                    return
            if not np.isfinite(self.parameters).all():
                yield f"update {step} of finite gradients gives parameters that are not finite"
                return


def _schedule(schedule: type[Schedule]) -> Iterator[str]:
    given = yield from _settings(schedule)
    if given is not None:
        made = schedule.create(given)
        for name, check in schedules.CHECKS.items():
            yield from (f"{name}: {text}" for text in check(made))


def _settings(rule: type[Any]) -> Any:
    """Attributes with which the rule can be made; ``None`` after a fault."""
    if not (rule.__doc__ or "").strip():
        yield "it has no docstring; say in a line what it does"
    made = rule.create(example_settings(rule))
    for name in rule.attributes():
        if not hasattr(made, name):
            yield f"its attribute {name} is not kept: write self.{name} = {name}, as files read it from there"
            return None
    return made.settings()


def _initializer(initializer: Initializer) -> Iterator[str]:
    attributes = initializer.attributes
    given = {name: 1 for name, attribute in attributes.items() if attribute.required}
    errors = []
    for shape in SHAPES:
        try:
            first, second = (initializer.draw(np.random.default_rng(3), shape, given) for _ in range(2))
        except PluginError as error:
            yield error.message.partition("initializer ")[2].partition("' ")[2] or error.message
            return
        except DataflowError as error:  # it is for other shapes
            errors.append(error.message)
            continue
        if first.dtype.kind != "f":
            yield f"it gives {first.dtype}, not floats"
        elif not np.isfinite(first).all():
            yield f"it gives numbers that are not finite for the shape {shape}"
        elif not np.array_equal(first, second):
            yield "it gives other numbers for the same seed: draw with rng, and with nothing else"
        else:
            continue
        return
    if len(errors) == len(SHAPES):
        yield f"it draws for none of the shapes {', '.join(map(str, SHAPES))}: {errors[0]}"


def _metric(metric: Metric) -> Iterator[str]:
    if metric.numbered and metric.k is None:
        metric = metric.numbered_with(1)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(8, 3))
    truth = np.eye(3)[rng.integers(0, 3, 8)]
    targets = {"classes": truth, "binary": truth, "numbers": rng.normal(size=(8, 3))}
    for fits in metric.fits:
        first, second = (metric.measure(Compared(fits, scores, targets[fits], logits=True)) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=True):
            yield f"for {fits}, the same predictions give other numbers the second time"
        elif not metric.table and not np.isfinite(first):
            yield f"for {fits}, it gives {first} for usual predictions"


def _small_model() -> Model:
    graph = Graph("check")
    x, w = graph.input("x", ("n", 3)), graph.parameter("w", (3, 2), value=np.linspace(-1, 1, 6).reshape(3, 2))
    h = graph.node("h", x @ w)
    return Model(graph, outputs=["h"], loss=graph.node("loss", sum_to(h * h, shape=())).name)


def _backend(backend: Backend) -> Iterator[str]:
    if not getattr(backend, "promises", ""):
        yield 'it says nothing of what repeats: promises = "..." in a sentence'
    model = _small_model()
    for count in (4, 1):
        data = {"x": np.random.default_rng(count).normal(size=(count, 3))}
        computed = [
            model.compile(values=["h", "loss"], gradients=["w"], backend=name)(data=data)
            for name in (backend.name, "numpy")
        ]
        for part, (own, expected) in enumerate(zip(*computed, strict=True)):
            for name in expected:
                if not np.allclose(own[name], expected[name], rtol=1e-9, atol=1e-12):
                    yield f"{'the gradient of' if part else 'node'} '{name}' differs from what numpy gives"
                    return


def _file_format(form: FileFormat) -> Iterator[str]:
    model = _small_model()
    data = {"x": np.random.default_rng(0).normal(size=(4, 3))}
    expected = model.run(data=data)["h"]
    for ending in form.endings:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{ending}"
            form.save(model, path)
            if not path.exists():
                yield f"save writes no file {path.name}"
                continue
            loaded = form.load(path)
            values = loaded.run(data=data)
            if "h" not in values or not np.allclose(values["h"], expected, rtol=1e-6):
                yield f"a model that is saved as {ending} and loaded again computes something else"


def _command(command: Any) -> Iterator[str]:
    if not (command.help or "").strip():
        yield "it has no help; write what it does as the docstring of its function"
    parts = getattr(command, "commands", {})
    for name, part in parts.items():
        yield from (f"{name}: {text}" for text in _command(part))
    if not parts and "Example:" not in f"{command.epilog} {command.help}":
        yield 'its help shows no example: @click.command(epilog="\\b\\nExample:\\n  dataflow ...")'
    for option in command.params:
        if option.param_type_name == "option" and not option.hidden and not option.help:
            yield f'its option {option.opts[-1]} has no help; say in a line what it is for: help="..."'


PARTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "optimizer": _optimizer,
    "schedule": _schedule,
    "initializer": _initializer,
    "metric": _metric,
    "backend": _backend,
    "file format": _file_format,
    "command": _command,
}
"""The checks of each kind."""


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, DataflowError) else f"{type(error).__name__}: {error}"
