"""``Trainer``: one minibatch after the other. The gradient of a minibatch and the update are two steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.autodiff import gradient_graph
from dataflow.errors import DataflowWarning, NonFiniteError, TrainingError
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.parameters import Parameters
from dataflow.training.batches import Minibatches
from dataflow.training.examples import checked_arrays, declared_data, minibatches, split_inputs
from dataflow.training.gradients import Gradients
from dataflow.training.history import History
from dataflow.training.inside import Inside
from dataflow.training.measure import Measure
from dataflow.training.nonfinite import non_finite_error, parameter_error
from dataflow.training.provenance import manifest
from dataflow.training.settings import OptimizerLike, resolve, whole
from dataflow.training.vectors import Vectors

SAFE_RATE = 1e3
"""Up to this learning rate, a gradient of moderate size cannot make parameters overflow in one update."""
START_LIMIT = 2**20
"""The most bytes of all parameters together for a record to keep what they were at the start."""


class Trainer:
    """Trains a model by minibatches; what is not given is what the model's file declares.

    ``data`` is a mapping of arrays by input, or ``Minibatches``; the model's own data unless given. ``optimizer`` is
    a name, a mapping with a ``name``, or an ``Optimizer``; a name alone keeps the declared attributes if it is the
    declared optimizer. ``validation`` is the share of the examples, from the end, in their order in the data, that is
    held out (rounded up to whole examples); with ``Minibatches`` nothing is held out.

    With a ``seed`` other than the one that the model's parameters were drawn from, they are drawn anew, apart from
    those with a literal value and those that were set or trained since. It decides the order of shuffled examples as
    well.

    ``memory_limit``, in bytes or as "64MB", bounds what a gradient takes besides parameters, gradients and data:
    results of the forward pass are forgotten and computed again where that helps, at the price of at most one more
    forward pass. The results are the same, bit for bit; a limit that cannot be met is a ``MemoryLimitError``.
    ``threads`` is an upper bound for the threads that a backend uses.

    All trained parameters of one dtype stand side by side in one vector, and ``model.parameters`` are views of it, so
    that training leaves its result there. Parameters that the loss does not depend on are not trained.
    """

    def __init__(
        self,
        model: Model,
        data: Mapping[str, Any] | Minibatches | None = None,
        *,
        batch_size: int | None = None,
        optimizer: OptimizerLike | None = None,
        learning_rate: float | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        validation: float | None = None,
        backend: str = "numpy",
        threads: int | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.model = model
        if model.loss is None:
            raise TrainingError('the model has no loss to make small; declare one, as loss = "NODE" under [model]')
        if not len(model.parameters):
            raise TrainingError("the model has no parameters, so there is nothing to train")
        self.settings = resolve(
            model.train_settings,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            shuffle=shuffle,
            seed=seed,
            validation=validation,
            backend=backend,
            threads=threads,
            memory_limit=memory_limit,
        )
        self.optimizer = self.settings.optimizer
        self.steps = 0
        """Updates so far."""
        gradient = gradient_graph(model.graph, model.loss, list(model.parameters))
        trained = [name for name in model.parameters if name in gradient.cotangents]
        if not trained:
            raise TrainingError(f"the loss '{model.loss}' depends on no parameter, so there is nothing to train")
        if left := [name for name in model.parameters if name not in trained]:
            listed = ", ".join(f"'{name}'" for name in left)
            warnings.warn(f"the loss does not depend on {listed}; not trained", DataflowWarning, stacklevel=2)
        needed = gradient.graph.needed_for([model.loss, *(gradient.cotangents[name] for name in trained)])
        self.inputs = [name for name in model.graph.names(INPUT) if name in needed]
        """The inputs that the loss depends on."""
        self.held_out: Mapping[str, np.ndarray] | None = None
        """The examples for validation."""
        split = split_inputs(model.graph, self.inputs)
        if isinstance(data, Minibatches):
            self.batches: Minibatches = data
        else:
            arrays = checked_arrays(model, declared_data(model) if data is None else data, self.inputs)
            self.batches, self.held_out = minibatches(arrays, split, self.settings)
        if seed is not None:
            _reseed(model, self.settings.seed)
        self.start = _copied(model.parameters)
        """The parameters before the first update, ``None`` where they are large."""
        self.vectors = Vectors(model.parameters, trained, self.optimizer.state_names)
        for name, view in self.vectors.views.items():
            if not np.isfinite(view).all():  # a relu may hide it: relu(NaN) is 0
                raise parameter_error("at the start", name, view)
        self._mark = (0, 0, 0, self.vectors.snapshot())
        self._gradients = Gradients(gradient, self.vectors, self.settings)
        self._inside = Inside.of(self._gradients, self.batches, self.vectors, self.settings)
        self._measure = Measure(model.graph, model.loss, model.parameters, split, self.settings)

    # -------------------------------------------------------------------------------------------- training

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The model's parameters by name: views of the vectors, which change with each step."""
        self.vectors.refresh()
        return dict(self.model.parameters)

    def step(self) -> float:
        """One minibatch: forward, backward, update. Returns its loss, before the update.

        Where NaN or infinity appears in the loss, the gradient or the update, ``NonFiniteError`` names the first node
        that has it; the parameters and the optimizer's state are then those from before the minibatch.
        """
        return self.run(1)

    def run(self, steps: int) -> float:
        """So many minibatches, on into further epochs. Returns the loss of the last; NaN for none."""
        left, loss = whole("steps", steps, 0), math.nan
        while left:
            done, loss = self.some(left) if self._inside is not None else self._outside(left)
            left -= done
        return loss

    def some(self, most: int) -> tuple[int, float]:
        """At least one minibatch, and at most so many: those that the backend runs by itself in a tenth of a second or
        so. Returns how many they were, and the loss of the last."""
        self.vectors.refresh()
        if self._inside is not None:
            done, loss = self._inside.run(most, self.steps)
            self.steps += done
            if done:
                return done, loss
        return self._outside(1)

    def gradient(self, batch: Mapping[str, Any]) -> float:
        """The loss of any examples; their gradient is then in ``vectors``, summed over them as the loss sums. Nothing
        is updated, so that a gradient can be added up from several sources first."""
        self.vectors.refresh()
        arrays = checked_arrays(self.model, batch, self.inputs)
        with self._gradients.scope(), np.errstate(all="ignore"):
            return self._gradients(arrays)

    def update(self) -> None:
        """Change the parameters by the gradient that is in ``vectors``, and use the gradient up."""
        with np.errstate(all="ignore"):
            self._update()

    def measure(self) -> dict[str, float]:
        """``loss`` over the whole training data with the parameters as they are, and the metrics that apply."""
        self.vectors.refresh()
        measured = self._measure(self.batches.everything())
        if self.held_out is not None:
            measured |= {f"validation_{name}": value for name, value in self._measure(self.held_out).items()}
        order = ("loss", "validation_loss", "accuracy", "validation_accuracy")
        return {name: measured[name] for name in order if name in measured}

    def record(self, history: History) -> dict[str, Any]:
        """What a trained file keeps of a run: plain data, where it comes from (``manifest``), and as arrays the
        optimizer's state and, where they take 1 MiB at most, the parameters that the run began with (``start``), from
        which it can be repeated."""
        state = {
            group.dtype.name: {
                "names": list(group.names),
                **{name: array.copy() for name, array in group.state.items()},
            }
            for group in self.vectors.groups
        }
        return {
            "epochs": history.epochs,
            "batch": self.batches.batch,
            "steps": self.steps,
            "loss": list(history.loss),
            "metrics": {name: list(values) for name, values in history.metrics.items()},
            "interrupted": history.interrupted,
            "backend": self.settings.backend,
            **self.settings.plain(),
            "manifest": manifest(self.model, self.batches, self.held_out, self.settings),
            "state": state,
            **({} if self.start is None else {"start": dict(self.start)}),
        }

    # -------------------------------------------------------------------------------------------- the last good state

    def mark(self) -> None:
        """Remember this state, for ``back_to_mark``."""
        self._mark = (self.batches.epoch, self.batches.batch, self.steps, self.vectors.snapshot())

    def back_to_mark(self) -> NonFiniteError:
        """Go back to the state that was marked, because the loss of the whole data is not finite; the error to
        raise."""
        epoch, batch, steps, snapshot = self._mark
        kept = (
            f"the parameters are those from {f'before its batch {batch + 1}' if batch else 'the start of that epoch'}"
        )
        error = self._failure(self.batches.everything(), f"epoch {epoch + 1}, over the whole data", kept)
        self.vectors.restore(snapshot)
        self.steps = steps
        self.batches.seek(epoch, batch)
        return error

    # -------------------------------------------------------------------------------------------- internals

    def _update(self) -> None:
        self.steps += 1
        for group in self.vectors.groups:
            self.optimizer.update(group.parameters, group.gradients, group.state, self.steps)

    def _outside(self, steps: int) -> tuple[int, float]:
        """So many minibatches, each step of them taken here; the loss of the last."""
        self.vectors.refresh()
        loss = math.nan
        batches, gradients = self.batches, self._gradients
        with gradients.scope(), np.errstate(all="ignore"):
            for _ in range(steps):
                batch = batches.current()
                loss = gradients(batch)
                self._checked_update(loss, batch)
                batches.advance()
        return steps, loss

    def _checked_update(self, loss: float, batch: Mapping[str, np.ndarray]) -> None:
        """The update, if everything is finite before and after it.

        A squared norm tells in one pass whether a gradient is finite. Only where that is so large, or the learning
        rate, that the update might overflow, are the parameters copied first.
        """
        risky = not getattr(self.optimizer, "learning_rate", 0.0) <= SAFE_RATE
        finite = math.isfinite(loss)
        for group in self.vectors.groups:
            gradients = group.gradients
            if not gradients.dot(gradients) < group.moderate:
                finite = finite and bool(np.isfinite(group.gradients).all())
                risky = True
        if not finite:
            raise self._failed_batch(batch)
        before = self.vectors.snapshot() if risky else None
        self._update()
        if before is not None and not self.vectors.finite():
            self.vectors.restore(before)
            self.steps -= 1
            raise self._failed_batch(batch)

    def _failed_batch(self, batch: Mapping[str, np.ndarray]) -> NonFiniteError:
        where = f"epoch {self.batches.epoch + 1}, batch {self.batches.batch + 1} of {self.batches.per_epoch}"
        return self._failure(batch, where, "the parameters are those from before this batch")

    def _failure(self, batch: Mapping[str, np.ndarray], where: str, kept: str) -> NonFiniteError:
        rate = getattr(self.optimizer, "learning_rate", None)
        return non_finite_error(self.model, self.vectors.views, batch, where, kept, rate)


def _copied(parameters: Parameters) -> dict[str, np.ndarray] | None:
    """A copy of all parameters, unless it would be large."""
    if sum(value.nbytes for value in parameters.values()) > START_LIMIT:
        return None
    return {name: value.copy() for name, value in parameters.items()}


def _reseed(model: Model, seed: int) -> None:
    """Draw from another seed what still has the value that it was drawn with; keep the rest."""
    parameters = model.parameters
    if seed == parameters.seed:
        return
    fresh = Parameters(model.graph, parameters.seed)
    kept = {name: value for name, value in parameters.items() if value.tobytes() != fresh[name].tobytes()}
    parameters.redraw(seed)
    for name, value in kept.items():
        parameters.adopt(name, value)
