"""What a backend is: it runs plans, and may run whole minibatches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from dataflow.backends.optimizer import Optimizer
from dataflow.errors import BackendError
from dataflow.registry.registry import declare_kind

if TYPE_CHECKING:
    from dataflow.plan import Plan


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
    """What a backend needs to run minibatches by itself."""

    plan: Callable[[int], Plan]
    """The plan for a minibatch of a given size: its arguments are the inputs and then what is ``fixed``, its
    outputs the loss and then what is ``written``."""
    inputs: Sequence[str]
    data: Mapping[str, np.ndarray]
    """All examples, by input."""
    split: Sequence[str]
    """The inputs that have a row for each example; the others go with every minibatch as they are."""
    count: int
    """How many examples there are."""
    batch_size: int
    """Examples in a minibatch; the last of an epoch has those that are left."""
    fixed: Sequence[np.ndarray]
    """What is read besides the inputs, in the plan's order: views of the groups' vectors, other parameters, and
    ``number`` where there is one."""
    written: Sequence[np.ndarray]
    """In the plan's order: gradients, which are views of the groups' vectors, and new values of ``state``."""
    groups: Sequence[VectorGroup]
    optimizer: Optimizer
    accumulate: int = 1
    """Minibatches whose gradients are added for an update, which is due after each so many of an epoch and after its
    last. Meanwhile they are in the groups' state, by the name ``ACCUMULATED``."""
    clip: Mapping[str, float] | None = None
    """``norm``, to which a gradient of an update is scaled where all groups together have a larger one, or ``value``,
    the largest absolute value of its entries."""
    rates: Callable[[int, int], np.ndarray] | None = None
    """The learning rates of updates ``[first, stop)``, counted from 0; ``None`` where the optimizer keeps its own."""
    threads: int | None = None
    """The most threads to use; ``None`` leaves their number to the backend."""
    state: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    """Arrays of ``fixed`` that change, each with the one of ``written`` that is copied to it after each minibatch."""
    number: np.ndarray | None = None
    """One int64 that random numbers depend on: the loop adds 1 to it after each minibatch."""


class TrainingLoop(ABC):
    """Minibatches one after the other with as little Python between them as a backend allows."""

    undoes_one: bool = False
    """Whether a single minibatch that is not finite leaves parameters and state as they were, so that nobody has to
    copy them before."""

    @abstractmethod
    def run(self, batch: int, steps: int, order: np.ndarray | None, step: int) -> tuple[int, float]:
        """Run at most ``steps`` minibatches, from number ``batch`` of an epoch on: forward, backward, update.

        ``order`` is that of the examples in this epoch, to whose end ``steps`` leads at most; without it they come as
        they lie, epoch after epoch. ``step`` counts the updates so far. Returns how many minibatches went well, and
        the loss of the last of them; NaN for none. It ends with the first minibatch whose loss or update is not finite.
        That is not counted, but may have changed parameters and state, unless ``steps`` is 1 and the loop
        ``undoes_one``.
        """


class Backend(ABC):
    """What runs a plan."""

    name: ClassVar[str]
    former_names: ClassVar[tuple[str, ...]] = ()
    """Names that it had before; they still find it, with a warning that says the name to write."""
    promises: ClassVar[str]
    """What it promises about repeatability, in a sentence."""
    device: str | None = None
    """The kind of device that it was asked for; ``None`` leaves it to the backend."""

    @property
    def full_name(self) -> str:
        """The name by which it is found again, with its device: ``jax:gpu``."""
        return self.name if self.device is None else f"{self.name}:{self.device}"

    def on(self, device: str) -> Backend:
        """The same on a kind of device. A ``BackendError`` where it takes none, or not this."""
        raise BackendError(f"the backend '{self.name}' takes no device, and '{device}' is asked for; leave it out")

    @abstractmethod
    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        """Make a plan ready to run on at most ``threads``; ``None`` leaves their number to the backend. A
        ``BackendError`` names an op that it cannot run."""

    def scope(self) -> AbstractContextManager[object]:
        """What holds while bound functions are called again and again, such as the number of threads that products
        use; entered once around them. The caller ignores numpy's warnings of NaN and infinity there."""
        return nullcontext()

    def training(self, task: TrainingTask) -> TrainingLoop | None:
        """A loop that runs whole minibatches of a task inside the backend; ``None`` where it cannot, and each is then
        run from outside, by ``prepare``."""
        return None

    def function(self, plan: Plan) -> Callable[..., Any]:
        """The plan as a function of arrays of the library that the backend is built on: it takes ``plan.arguments``
        and returns the list of outputs, and that library traces and differentiates it."""
        raise BackendError(f"the backend '{self.name}' gives no functions; 'jax' does")


declare_kind("backend", Backend)
