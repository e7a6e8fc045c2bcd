"""What a plugin implements besides ops: initializers, optimizers, backends and file formats."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from dataflow import attributes as attribute_module
from dataflow.attributes import Attribute
from dataflow.errors import OpError, PluginError

if TYPE_CHECKING:
    from dataflow.model import Model
    from dataflow.plan import Plan


class Initializer:
    """A rule that draws a parameter's first value: ``function(rng, shape, **attributes)`` returns float64 of
    ``shape``."""

    def __init__(self, function: Callable[..., np.ndarray]) -> None:
        self.function = function
        self.name = function.__name__.rstrip("_")
        self.doc = inspect.cleandoc(function.__doc__ or "")
        self.module = function.__module__
        self.attributes = attribute_module.declared(function, f"initializer '{self.name}'")
        if not self.doc:
            raise PluginError(f"initializer '{self.name}' has no docstring")

    def __repr__(self) -> str:
        return f"<initializer {self.name}>"

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, checked, with defaults filled in."""
        return attribute_module.bind(self.attributes, given, f"initializer '{self.name}'")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], given: Mapping[str, Any]) -> np.ndarray:
        """An array of ``shape``."""
        bound = self.bind(given)
        try:
            value = np.asarray(self.function(rng, shape, **bound))
        except (ValueError, TypeError, ArithmeticError) as error:  # such as a negative standard deviation
            raise OpError(f"initializer '{self.name}' cannot draw: {error}") from error
        if value.shape != shape:
            raise PluginError(f"initializer '{self.name}' gave the shape {value.shape} where {shape} was asked for")
        return value


def initializer(function: Callable[..., np.ndarray]) -> Initializer:
    """Declare an initializer: ``@initializer def zeros(rng, shape): ...``; attributes are keyword-only, with types."""
    return Initializer(function)


class Optimizer(ABC):
    """An update rule on flat vectors. A subclass has a ``name``, and attributes as keyword-only parameters of
    ``__init__``.

    All parameters of one dtype stand side by side in one vector, and so do their gradients, so that an update is a
    few vector operations.
    """

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the vectors, as long as the parameters and zero at first, that the rule keeps from step to step."""

    learning_rate: float

    @abstractmethod
    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        """Change ``parameters`` and ``state`` in place; ``gradients`` may be used as scratch. ``step`` counts from
        1."""

    @classmethod
    def attributes(cls) -> dict[str, Attribute]:
        """The declared attributes by name."""
        return dict(_attributes_of(cls))

    @classmethod
    def create(cls, given: Mapping[str, Any]) -> Optimizer:
        """An optimizer with these attributes, checked."""
        return cls(**attribute_module.bind(cls.attributes(), given, f"optimizer '{cls.name}'"))

    def settings(self) -> dict[str, Any]:
        """The attributes as they are now, for files."""
        return {name: getattr(self, name) for name in self.attributes()}


@cache
def _attributes_of(kind: type[Optimizer]) -> dict[str, Attribute]:
    """Read once: annotations are text that Python evaluates, which is nothing to do while a file is read."""
    return attribute_module.declared(kind.__init__, f"optimizer '{kind.name}'")


class Runner(ABC):
    """A plan that a backend has made ready."""

    @abstractmethod
    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The plan's outputs, for arrays in the order of ``plan.arguments``: new arrays, which belong to the
        caller."""

    def bind(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], object]:
        """A function that runs the plan on these very arrays, with what they hold when it is called, and writes the
        plan's outputs into ``outputs``. All are in row-major order, of the plan's shapes and dtypes, and no output
        overlaps another array. It is called inside the backend's ``scope()``."""

        def bound() -> None:
            for output, result in zip(outputs, self.run(arguments), strict=True):
                output[...] = result

        return bound

    def pieces(
        self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]
    ) -> Sequence[tuple[int, int, Callable[[], object]]] | None:
        """What the function that ``bind`` gives would run, in pieces, so that each can be timed: functions to be called
        in order, each with the instructions of the plan, ``[start:stop]``, that it runs. Several may run a part of
        the same instructions; ``start == stop`` runs none, but does what the backend needs besides. ``None`` where a
        backend cannot be taken apart."""
        return None


class VectorGroup(Protocol):
    """Parameters of one dtype side by side, their gradients, and the optimizer's state by name: vectors of one
    length."""

    @property
    def parameters(self) -> np.ndarray: ...
    @property
    def gradients(self) -> np.ndarray: ...
    @property
    def state(self) -> Mapping[str, np.ndarray]: ...


@dataclass(frozen=True)
class TrainingTask:
    """What a backend is told so that it can run minibatches by itself."""

    plan: Callable[[int], Plan]
    """The plan for a minibatch of so many examples: its arguments are the inputs and then the parameters, its outputs
    the loss and then the gradients."""
    inputs: Sequence[str]
    data: Mapping[str, np.ndarray]
    """All examples, by input."""
    split: Sequence[str]
    """The inputs that have a row for each example; the others go with every minibatch as they are."""
    count: int
    """How many examples there are."""
    batch_size: int
    """Examples in a minibatch; the last of an epoch has those that are left."""
    parameters: Sequence[np.ndarray]
    gradients: Sequence[np.ndarray]
    """Views of the groups' vectors, in the plan's order."""
    groups: Sequence[VectorGroup]
    optimizer: Optimizer
    threads: int | None = None
    """At most so many threads; ``None`` leaves their number to the backend."""


class TrainingLoop(ABC):
    """Minibatches one after the other with as little Python between them as a backend allows."""

    @abstractmethod
    def run(self, batch: int, steps: int, order: np.ndarray | None, step: int) -> tuple[int, float]:
        """At most so many minibatches, from number ``batch`` of an epoch on: forward, backward, update.

        ``order`` is that of the examples in this epoch, to whose end ``steps`` leads at most; without it they come as
        they lie, epoch after epoch. ``step`` counts the updates so far. Returns how many minibatches went well, and
        the loss of the last of them; NaN for none. It ends with the first minibatch whose loss or update is not finite.
        That is not counted, but may have changed parameters and state.
        """


class Backend(ABC):
    """What runs a plan."""

    name: ClassVar[str]
    promises: ClassVar[str]
    """What it promises of repeatability, in a sentence."""

    @abstractmethod
    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        """Make a plan ready to run, on at most so many threads; ``None`` leaves their number to the backend. A
        ``BackendError`` names an op that it cannot run."""

    def scope(self) -> AbstractContextManager[object]:
        """What holds while bound functions are called again and again, such as the number of threads that products
        use; entered once around them."""
        return nullcontext()

    def training(self, task: TrainingTask) -> TrainingLoop | None:
        """A loop that runs whole minibatches of a task inside the backend; ``None`` where it cannot, and each is then
        run from outside, by ``prepare``."""
        return None


@dataclass(frozen=True)
class FileFormat:
    """A format that models are loaded from and saved to, by the ending of a file's name."""

    name: str
    endings: tuple[str, ...]
    load: Callable[[Path], Model]
    save: Callable[[Model, Path], None]
